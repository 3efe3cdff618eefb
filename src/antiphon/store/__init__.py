"""The run directory: problems, variants and traces, kept through anything (docs/run-directory.md)."""

from __future__ import annotations

from antiphon.store.reader import Call, Outcome, Reader, Totals, Variant
from antiphon.store.writer import Recorder, Saved, Store

__all__ = ["Call", "Outcome", "Reader", "Recorder", "Saved", "Store", "Totals", "Variant"]
