"""What a reader gives besides traces, turns and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.trace import Author, Key, Status, Usage, Verdict


@dataclass(frozen=True, slots=True)
class Variant:
    """A method with all that shapes its text.

    `shaping` is that, `fingerprint` the SHA-256 of its canonical JSON, `about` what else was known when it was last
    worked on (`earlier`: at the times before, where it was different), `created` seconds since the epoch.
    """

    name: str
    fingerprint: str
    shaping: Mapping[str, Any]
    about: Mapping[str, Any]
    created: float
    earlier: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A time in which a run wrote traces of a variant, to its end or until it was stopped.

    `began` and `ended` are seconds since the epoch, the loading of models left out. `places` is how many traces may
    have been in flight, `turns` how many ended. `cpu` are the seconds for which the event loop computed, `coreless`
    those for which it could have and had no core (None: the system does not tell).
    """

    began: float
    ended: float
    places: int
    turns: int
    cpu: float
    coreless: float | None = None


PENDING, NOT_JUDGED, BEYOND = "pending", "not judged", "beyond --per-problem"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trace came to, without its spans: how it ended (None: not yet) and its response, which is None where it
    was not asked for. `left_out` then says why, in a word: its status, its verdict's label, or one of the above.
    `change` is the trace's."""

    key: Key
    status: Status | None
    response: str | None
    change: int
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a trace stands, without its text: how it ended (None: not yet), and its verdicts, the newest last."""

    key: Key
    status: Status | None
    verdicts: tuple[Verdict, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that counts: the newest. None where nobody has judged."""
        return self.verdicts[-1] if self.verdicts else None


@dataclass(frozen=True, slots=True)
class Call:
    """An auxiliary call for a trace: who was asked, what for, its cost and its answer."""

    role: Author
    purpose: str
    usage: Usage
    text: str


@dataclass(frozen=True, slots=True)
class Totals(Usage):
    """What one author wrote and cost over many traces: sums over their turns and closed spans.

    `refused` are hand-overs with nothing kept: a boundary before the first word. `spans` are those of thinking.
    `forced` are words that liveness forced. Lengths are in the author's own tokens.
    """

    turns: int = 0
    words: int = 0
    refused: int = 0
    spans: int = 0
    forced: int = 0
