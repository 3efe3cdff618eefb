"""The contracts of an export: a format, and a filter of what goes into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome

Pair = tuple[Problem, "Outcome"]
"""A problem and an answer to it, whose response is there."""


class Unfit(Exception):  # not one of antiphon.errors: it never leaves the package
    """An answer that a format or a file cannot hold truly. It is left out, and counted by this text."""


class Row(NamedTuple):
    """What a format makes of an answer.

    Attributes:
        fields: by column, as JSON has them.
        response: what `Exporter.response` must say of the row when it has been read back.
        text: the whole of it as a trainer reads it, control tokens spelled out; "" where the format does not say.
        tokens: its length, where the format says it.
        counts: what is to be summed over all rows, by a few words that say it.
    """

    fields: dict[str, Any]
    response: str
    text: str = ""
    tokens: int | None = None
    counts: Mapping[str, int] = {}


class Exporter(ABC):
    """One shape of training rows. What it makes of a trace comes from the spans' joined text, and of nothing but what
    it is given: rows can be made anywhere."""

    @abstractmethod
    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """The row of an answer.

        Args:
            trace: with its spans, for a format that is made of `whole` traces.

        Raises:
            Unfit: it has none; says why.
        """

    @abstractmethod
    def response(self, fields: Mapping[str, Any]) -> str:
        """The response as someone who reads a row gets it: after writing it is compared with the record. Fields
        without a value may be missing or None.

        Raises:
            KeyError, IndexError, TypeError, ValueError, Unfit: the row is not of this shape.
        """

    @abstractmethod
    def schema(self) -> pyarrow.Schema:
        """The columns in Parquet."""

    def files(self, name: str, data: Sequence[str]) -> Mapping[str, str]:
        """What a trainer needs beside the rows, by path in a folder.

        Args:
            name: the folder's own.
            data: the paths of the rows in it, all in one folder.
        """
        return {}


def together(data: Sequence[str]) -> str:
    """One path for all rows: the file, or the folder of several."""
    return data[0] if len(data) == 1 else data[0].rpartition("/")[0]


class Filter(Protocol):
    """Leaves answers out by what they and their problems say.

    Filters are asked one after the other; each sees what those before it keep. A run may be written to meanwhile, so
    `reason` may be asked of an answer that `prepare` has not seen.
    """

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """Looks at all answers before the first is decided on, as lazily as they come, in the order of the export. One
        that needs no such look leaves `pairs` alone, which then cost nothing."""
        ...

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        """Why the answer is left out, in a few words that are counted; None keeps it."""
        ...
