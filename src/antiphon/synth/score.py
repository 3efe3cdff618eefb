"""What all traces of a run have in common, and who may listen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from antiphon.boundary.base import BoundaryPredictor
from antiphon.synth.admission import Admission
from antiphon.synth.ahead import RunAhead
from antiphon.synth.methods import Method
from antiphon.synth.voice import Voice
from antiphon.trace import Author, Kind, Turn


class Listener:
    """Hears a trace as it is written. This one ignores it all."""

    def proposed(self, author: Author, kind: Kind, text: str) -> None:
        """Text arrived; whether it stays is not known yet."""

    def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
        """Text became part of the trace."""

    def rolled_back(self, author: Author, text: str) -> None:
        """Text was thrown away."""

    def turned(self, turn: Turn) -> None:
        """A turn is over."""


class Both(Listener):
    """Tells two listeners."""

    def __init__(self, first: Listener, second: Listener):
        self._listeners = (first, second)

    def proposed(self, author: Author, kind: Kind, text: str) -> None:
        for listener in self._listeners:
            listener.proposed(author, kind, text)

    def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
        for listener in self._listeners:
            listener.kept(author, kind, text, forced=forced)

    def rolled_back(self, author: Author, text: str) -> None:
        for listener in self._listeners:
            listener.rolled_back(author, text)

    def turned(self, turn: Turn) -> None:
        for listener in self._listeners:
            listener.turned(turn)


@dataclass(frozen=True)
class Score:
    """The method, the voices it needs, and budgets in the student's tokens.

    `script` is the voice in whose dialect the response is stored: the student's where there is one. `breaks` is how
    many broken streams a trace survives. `marks` tells style from capability in what others wrote, if the method asks.
    """

    method: Method
    voices: Mapping[Author, Voice]
    script: Voice
    thinking_budget: int = 0
    answer_budget: int = 0
    marks: BoundaryPredictor | None = None
    close_on_budget: bool = False
    only_student_closes: bool = False
    guard_repetition: bool = True
    breaks: int = 8
    run_ahead: RunAhead = field(default_factory=RunAhead)
    admission: Admission = field(default_factory=Admission)
    seed: int | None = None
    keep_rejected: bool = False
    listener: Listener = field(default_factory=Listener)
