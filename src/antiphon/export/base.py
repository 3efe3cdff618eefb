"""The contracts of an export: a format, and a filter of what goes into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from antiphon.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome, Reader

Pair = tuple[Problem, "Outcome"]
"""A problem and an answer to it, whose response is there."""


class Unfit(Exception):  # not one of antiphon.errors: it never leaves the package
    """An answer that a format or a file cannot hold truly. It is left out, and counted by this text."""


class Row(NamedTuple):
    """What a format makes of an answer.

    Attributes:
        fields: by column, as JSON has them.
        response: what `Exporter.response` must say of the row when it has been read back.
        remarks: what is to be counted of it, each in a few words.
    """

    fields: dict[str, Any]
    response: str
    remarks: tuple[str, ...] = ()


class Exporter(Protocol):
    """One shape of training rows. What it makes of a trace comes from the spans' joined text.

    Attributes:
        name: what `--format` calls it.
        suffixes: the endings of files that may hold it; a folder always may.
    """

    name: str
    suffixes: tuple[str, ...]

    def row(self, problem: Problem, outcome: Outcome) -> Row:
        """The row of an answer.

        Raises:
            Unfit: it has none; says why.
        """
        ...

    def response(self, fields: Mapping[str, Any]) -> str:
        """The response as someone who reads a row gets it: after writing it is compared with the record. Fields
        without a value may be missing or None.

        Raises:
            KeyError, IndexError, TypeError, ValueError, Unfit: the row is not of this shape.
        """
        ...

    def schema(self) -> pyarrow.Schema:
        """The columns in Parquet."""
        ...


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


@dataclass(frozen=True, slots=True)
class Source:
    """What formats may ask for besides the rows' answers: the run they come from."""

    reader: Reader
