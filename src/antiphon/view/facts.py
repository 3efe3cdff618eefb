"""What lists and charts know of a trace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from antiphon.trace import Author, Kind, Status, Trace
from antiphon.verify.result import Result, result_of


@dataclass(frozen=True, slots=True)
class Facts:
    """A trace without its text.

    Attributes:
        tokens: of the whole response, each span in its author's own; an estimate for spans without ids.
        student, teacher, unknown: shares of the response's characters, markers left out, from 0 to 1.
        finished: seconds since the epoch.
    """

    problem: str
    variant: str
    sample: int
    status: Status | None
    result: Result
    tokens: int
    spans: int
    student: float
    teacher: float
    unknown: float
    finished: float | None


def facts_of(trace: Trace) -> Facts:
    """Counts them."""
    characters: Counter[Author] = Counter()
    for span in trace.spans:
        if span.kind is not Kind.MARKER:
            characters[span.author] += len(span.text)
    whole = sum(characters.values()) or 1
    label = trace.verdicts[-1].label if trace.verdicts else None
    return Facts(
        *trace.key,
        status=trace.status,
        result=result_of(trace.status, label),
        tokens=sum(span.tokens for span in trace.spans),
        spans=len(trace.spans),
        student=characters[Author.STUDENT] / whole,
        teacher=characters[Author.TEACHER] / whole,
        unknown=characters[Author.UNKNOWN] / whole,
        finished=trace.finished,
    )
