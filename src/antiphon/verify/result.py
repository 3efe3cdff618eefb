"""What a trace came to: how it ended, and what was said of its answer, in one word."""

from __future__ import annotations

from enum import StrEnum

from antiphon.trace import Label, Status


class Result(StrEnum):
    """What a trace came to. The first six count; the others say nothing of its models and are left out of all rates.

    `NO_ANSWER`: it ended without an answer, or there is nothing to judge in it. `CUT_OFF`: the budget, the context or
    the guard against loops ended it. `TIMED_OUT`, `CRASHED`: the program that it wrote did. `NOT_JUDGED`: it is whole.
    """

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    CUT_OFF = "cut_off"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    CANNOT_JUDGE = "cannot_judge"
    NOT_JUDGED = "not_judged"
    FAILED = "failed"
    PENDING = "pending"

    @property
    def counts(self) -> bool:
        """Whether it is part of the rates."""
        return self not in _LEFT_OUT

    @property
    def says(self) -> str:
        """The same for people."""
        return self.value.replace("_", " ")


_LEFT_OUT = (Result.CANNOT_JUDGE, Result.NOT_JUDGED, Result.FAILED, Result.PENDING)
_ENDED = {
    None: Result.PENDING,
    Status.FAILED: Result.FAILED,
    Status.NO_ANSWER: Result.NO_ANSWER,
    Status.TOO_LONG: Result.CUT_OFF,
    Status.CONTEXT_FULL: Result.CUT_OFF,
    Status.REPETITION: Result.CUT_OFF,
}


def result_of(status: Status | None, label: Label | None) -> Result:
    """What a trace came to that ended so (None: not yet), by its newest verdict (None: there is none).

    A trace that did not end whole has given no answer, whatever was said of the part that is there.
    """
    if status is Status.COMPLETE:
        return Result.NOT_JUDGED if label is None else Result(label.value)
    return _ENDED[status]
