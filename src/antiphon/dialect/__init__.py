"""How a model family opens its prompt, its thinking and its answer. Families are data (`families/*.toml`)."""

from __future__ import annotations

from antiphon.dialect.base import Dialect, Message, Part, text_of

__all__ = ["Dialect", "Message", "Part", "text_of"]
