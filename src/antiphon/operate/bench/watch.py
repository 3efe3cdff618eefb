"""What is noted while a run writes: its turns, and every now and then how it stands."""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from antiphon.synth.score import Listener
from antiphon.trace import Author, Kind, Turn


class Heard(NamedTuple):
    """A turn, and when it ended (`time.monotonic`)."""

    ended: float
    turn: Turn

    @property
    def began(self) -> float:
        """When it began."""
        return self.ended - self.turn.seconds

    def within(self, begin: float, end: float) -> float:
        """The share of it that lies between two times."""
        if not self.turn.seconds:
            return float(begin < self.ended <= end)
        return max(0.0, min(end, self.ended) - max(begin, self.began)) / self.turn.seconds


class Moment(NamedTuple):
    """How a run stood at one time (`time.monotonic`).

    Attributes:
        process, loop: seconds of CPU that the process, and its event loop's thread, have had so far.
        coreless: seconds that this thread could have gone on and had no core, so far; None where the system does not
            tell.
        late: seconds by which the event loop was late for this look.
        silent: an engine was being waited for.
    """

    time: float
    in_flight: int
    process: float
    loop: float
    coreless: float | None = None
    late: float = 0.0
    silent: bool = False


class Watch(Listener):
    """Notes every turn.

    Attributes:
        turns: in the order in which they ended.
        judged: characters that each role's predictor was shown.
    """

    def __init__(self) -> None:
        self.turns: list[Heard] = []
        self.judged: Counter[Author] = Counter()

    def proposed(self, author: Author, kind: Kind, text: str) -> None:
        if kind in (Kind.STYLE, Kind.CAPABILITY):
            self.judged[author] += len(text)

    def turned(self, turn: Turn) -> None:
        self.turns.append(Heard(time.monotonic(), turn))
