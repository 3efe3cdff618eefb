"""Training files from a run's record: one module a format."""

from __future__ import annotations

from antiphon.export.base import Exporter, Filter
from antiphon.export.file import FORMATS, Exported, write

__all__ = ["FORMATS", "Exported", "Exporter", "Filter", "write"]
