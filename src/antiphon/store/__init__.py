"""The run directory: problems, variants and traces, kept through anything (docs/run-directory.md)."""

from __future__ import annotations

from antiphon.store.asked import Asked
from antiphon.store.found import Call, Outcome, Session, Standing, Totals, Variant
from antiphon.store.reader import Reader
from antiphon.store.writer import Recorder, Saved, Store

__all__ = [
    "Asked",
    "Call",
    "Outcome",
    "Reader",
    "Recorder",
    "Saved",
    "Session",
    "Standing",
    "Store",
    "Totals",
    "Variant",
]
