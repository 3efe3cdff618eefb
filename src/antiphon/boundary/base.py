"""The contract of a boundary predictor: where style ends and capability begins, word by word.

Anything importable as `package.module:Name` that keeps it can be one. `Name` is called without arguments, or with
the text after `?` as one string argument (`mine:Predictor?path=model.bin`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from antiphon.trace import Author, Key


class Verdict(NamedTuple):
    """The class of one word. `start` and `end` are characters of the thinking, counted from its first.

    `confidence` is the probability of the class given, 0.5 to 1. Final once given. With a look-ahead of -1 a word's
    verdict comes when its first character is there, with `end == start`; the same word is given again, with its
    end and the same class, when it is whole.
    """

    start: int
    end: int
    style: bool
    confidence: float


class Session(ABC):
    """One predictor reading one trace for one author.

    Text of the trace reaches it in order and once: `context` for what is settled, `feed` for what its author has just
    written. Its verdicts are on fed words only, in order, each once (see `Verdict` for look-ahead -1), and do not
    depend on how the text was cut into pieces. A word ends at white space, at a seam (a `context`, a `finish`) or,
    for CJK, after one character (`antiphon.boundary.words`).
    """

    @property
    @abstractmethod
    def position(self) -> int:
        """Characters of the thinking read so far."""

    @abstractmethod
    def context(self, text: str) -> None:
        """Settled text follows: the other author's, or its own after a resume or a forced word.

        Fed words without a verdict are settled with it, and get none.
        """

    @abstractmethod
    def feed(self, text: str) -> list[Verdict]:
        """New text of its author; gives the verdicts that are now due: those of words with `lookahead` whole words
        after them."""

    @abstractmethod
    def finish(self) -> list[Verdict]:
        """The author stops here: the last word is whole and all verdicts still owed are due. The session lives on."""

    @abstractmethod
    def rollback(self, offset: int) -> None:
        """Forgets what was fed from `offset` on, verdicts included. Never before the last `context`.

        Raises:
            ValueError: for an offset before the last `context` or after the position.
        """


class Step(NamedTuple):
    """Work for `BoundaryPredictor.advance`: feed `text` to `session`, then finish it if `finish`."""

    session: Session
    text: str
    finish: bool = False


class BoundaryPredictor(ABC):
    """Makes sessions. One object serves all traces of a run and both roles if asked to.

    `id` names it in the record and in a variant's fingerprint: equal ids give equal verdicts. `lookahead` is how
    many whole words after a word it needs for that word's verdict: 0 none, -1 not even the word itself.
    """

    id: str
    lookahead: int

    @abstractmethod
    def session(self, role: Author) -> Session:
        """A fresh session at the start of a thinking, for what `role` writes in it."""

    def session_of(self, key: Key, role: Author) -> Session:
        """The same for the trace of this key. The default reads all traces alike."""
        return self.session(role)

    async def advance(self, steps: Sequence[Step]) -> list[list[Verdict]]:
        """Carries out the steps, in order for each session; gives the verdicts of each step.

        This is what a run calls, from many traces at once. A predictor that gains from batches (a tagger, a remote
        one) gathers the steps of concurrent calls here; this default feeds them one by one.
        """
        return [step.session.feed(step.text) + (step.session.finish() if step.finish else []) for step in steps]

    async def probe(self) -> None:
        """Returns if it gives verdicts now. The default always does.

        Raises:
            EngineUnavailable: a server that it asks does not answer.
        """

    async def close(self) -> None:
        """Lets go of what it holds (connections, device memory). The default holds nothing."""
