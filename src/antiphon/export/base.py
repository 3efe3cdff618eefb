"""The contract of an export format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from antiphon.problem import Problem
from antiphon.trace import Trace


class Exporter(Protocol):
    """One shape of training rows. What it makes of a trace comes from the spans' joined text, `Trace.response`."""

    name: str

    def rows(self, pairs: Iterable[tuple[Problem, Trace]]) -> Iterator[dict[str, Any]]:
        """One row, JSON-able, for each problem and answer to it, in their order; as lazily as they come."""
        ...

    def response(self, row: Mapping[str, Any]) -> str:
        """The response as someone who reads a row gets it: after writing it is compared with the stored one.

        Raises:
            KeyError, IndexError, TypeError: the row is not of this shape.
        """
        ...
