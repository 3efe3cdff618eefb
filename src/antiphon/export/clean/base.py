"""What the filters that clean have in common: they can say more than a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.export.base import Filter
from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.store import Outcome


class Cleaner(Filter, Protocol):
    """A filter that tells what it did."""

    def detail(self, problem: Problem, outcome: Outcome) -> Mapping[str, Any]:
        """Of an answer that it leaves out: why, as JSON has it."""
        ...

    def report(self) -> Mapping[str, Any]:
        """What it looked at and found, as JSON has it; after the export."""
        ...
