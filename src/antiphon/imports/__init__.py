"""Data made elsewhere into a run's record: rows of published data sets become traces of an unknown author."""

from __future__ import annotations

from antiphon.imports.record import FORMATS
from antiphon.imports.run import bring
from antiphon.imports.writing import Imported

__all__ = ["FORMATS", "Imported", "bring"]
