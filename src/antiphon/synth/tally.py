"""How a run is doing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from antiphon.synth.score import Listener
from antiphon.synth.spend import Spend
from antiphon.trace import Author, Label, Status, Turn, Usage


@dataclass(slots=True)
class Aim:
    """How far a run is that goes on until answers are right: problems, those that get no further traces, and those
    among these that have as many right ones as are wanted."""

    problems: int
    settled: int = 0
    reached: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no problem gets a further trace."""
        return self.settled == self.problems


class Tally(Listener):
    """What this session has done so far. Read it at any time.

    Attributes:
        planned: traces that this session is to finish, as far as that is known.
        before: traces that were finished earlier.
        finished: traces by status, `causes` failures by cause.
        usage: what each role has cost, in `turns` turns.
        in_flight: traces being written now, of as many as there are `places` for.
        spend: what the variant has cost in all sessions, and which limit stopped the run; None before writing begins.
        labels: verdicts by label, `aim` how far it is, where it goes on until answers are right; None elsewhere.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.planned = self.before = self.in_flight = self.places = self.turns = 0
        self.finished: Counter[Status] = Counter()
        self.causes: Counter[str] = Counter()
        self.labels: Counter[Label] = Counter()
        self.aim: Aim | None = None
        self.usage = {Author.STUDENT: Usage(), Author.TEACHER: Usage()}
        self.spend: Spend | None = None
        self.silent = False
        """Whether an engine does not answer and is being waited for."""

    def turned(self, turn: Turn) -> None:
        self.turns += 1
        self.usage[turn.role] += turn.usage

    @property
    def done(self) -> int:
        """Traces finished in this session."""
        return sum(self.finished.values())
