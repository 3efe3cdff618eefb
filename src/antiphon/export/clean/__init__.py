"""Filters that make training data clean: without evaluation sets, without near-duplicates, balanced."""

from __future__ import annotations

from antiphon.export.clean.balance import Balance
from antiphon.export.clean.base import Cleaner
from antiphon.export.clean.listing import listed
from antiphon.export.clean.near import NearDuplicates
from antiphon.export.clean.without import Without

__all__ = ["Balance", "Cleaner", "NearDuplicates", "Without", "listed"]
