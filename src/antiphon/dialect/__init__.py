"""How a model family opens its prompt, its thinking and its answer. Families are data (`families/*.toml`)."""

from __future__ import annotations

from antiphon.dialect.base import Dialect, Message, Part, text_of
from antiphon.dialect.check import check, differences
from antiphon.dialect.family import shipped_families
from antiphon.dialect.find import load
from antiphon.dialect.spelling import spellings

__all__ = ["Dialect", "Message", "Part", "check", "differences", "load", "shipped_families", "spellings", "text_of"]
