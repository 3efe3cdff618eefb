"""A run's record held in memory, read as the store's reader is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from antiphon.dialect import Message
from antiphon.problem import Problem
from antiphon.store import Outcome, Variant
from antiphon.trace import Author, Key, Kind, Span, Status, Trace

if TYPE_CHECKING:
    from antiphon.store import Reader


def problem(id: str = "p") -> Problem:
    return Problem(
        id,
        (
            Message(role="system", content="Be brief."),
            Message(role="user", content="1+1?"),
        ),
        {"answer": "2"},
    )


def trace(
    *texts: str, problem: str = "p", variant: str = "tessy", sample: int = 0, status: Status | None = Status.COMPLETE
) -> Trace:
    """A trace whose spans have these texts, the students' and the teacher's in turn."""
    authors = (Author.STUDENT, Author.TEACHER)
    spans = tuple(Span(authors[n % 2], Kind.THINKING, text) for n, text in enumerate(texts))
    return Trace(Key(problem, variant, sample), spans, status)


class Fake:
    """What an export reads of a run; the change numbers are the traces' places, from 1."""

    def __init__(self, traces: Sequence[Trace], problems: Sequence[Problem] = (problem(),)):
        self._traces = [replace(trace, change=number) for number, trace in enumerate(traces, 1)]
        self._problems = {p.id: p for p in problems}

    def variants(self) -> list[Variant]:
        return []

    def outcomes(
        self, statuses: Collection[Status | None], *, variant: str | None = None, since: int = 0, **_: None
    ) -> Iterator[tuple[Problem, Outcome]]:
        for trace in self._traces:
            if trace.change > since and variant in (None, trace.key.variant):
                wanted = trace.status in statuses
                yield (
                    self._problems[trace.key.problem],
                    Outcome(
                        trace.key,
                        trace.status,
                        trace.response if wanted else None,
                        trace.change,
                        "" if wanted else trace.status or "pending",
                    ),
                )


def run(*traces: Trace, problems: Sequence[Problem] = (problem(),)) -> Reader:
    return cast("Reader", Fake(traces, problems))
