"""The contract of an export format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.store import Outcome


class Exporter(Protocol):
    """One shape of training rows. What it makes of a trace comes from the spans' joined text."""

    name: str

    def rows(self, pairs: Iterable[tuple[Problem, Outcome]]) -> Iterator[dict[str, Any]]:
        """One row, JSON-able, for each problem and answer to it (whose response is there), in their order; as lazily as
        they come."""
        ...

    def response(self, row: Mapping[str, Any]) -> str:
        """The response as someone who reads a row gets it: after writing it is compared with the stored one.

        Raises:
            KeyError, IndexError, TypeError: the row is not of this shape.
        """
        ...
