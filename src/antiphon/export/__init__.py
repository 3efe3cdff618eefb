"""Training files from a run's record: one module a format."""

from __future__ import annotations

from antiphon.export.base import Exporter, Filter
from antiphon.export.file import Exported, write
from antiphon.export.formats import FORMATS

__all__ = ["FORMATS", "Exported", "Exporter", "Filter", "write"]
