"""The small predictor at work: words become rows of numbers, and each row its verdict when its look-ahead is there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.default.features import features, place
from antiphon.boundary.default.folder import Stored, read_folder
from antiphon.boundary.default.network import BACK, FURTHEST, REACH, Network, Rows
from antiphon.boundary.reading import Reading, Sight
from antiphon.boundary.region import has_delimiter
from antiphon.boundary.spec import options, probability
from antiphon.trace import Author

_BLOCK = 512
"""Words whose rows are held at a time."""
_STEP = 31
"""Words that go through the network at a time: no BLAS spreads products of that size over cores."""
_GRID = 16
"""Logits are rounded to whole parts of this; from -_STEEPEST to _STEEPEST."""
_STEEPEST = 8


class _Seen(NamedTuple):
    """What the network makes of a word by its letters alone."""

    text: str
    vector: NDArray[np.int32]
    delimiter: bool


class SmallPredictor(BoundaryPredictor):
    """The predictor of one set of weights, the same for both authors.

    A verdict is style where the probability of style is above `threshold`. It depends on the word, the `REACH` words
    before it and the `lookahead` words after it, and on nothing else.
    """

    def __init__(self, stored: Stored, *, threshold: float = 0.5):
        self.network = Network(stored.arrays)
        self.lookahead = self.network.lookahead
        self.trained_on = stored.trained_on
        shaping = "" if threshold == 0.5 else f":threshold={threshold:g}"
        self.id = f"default:{stored.name}:{stored.digest[:12]}{shaping}"
        self.see = Sight(self._look_at)
        style = 1 / (1 + np.exp(-np.arange(-_STEEPEST * _GRID, _STEEPEST * _GRID + 1) / _GRID))
        self._said = [(bool(p > threshold), float(max(0.5, p if p > threshold else 1 - p))) for p in style]

    @classmethod
    def load(cls, reference: str | Path, *, threshold: float = 0.5) -> SmallPredictor:
        """From a folder; `default` is the shipped one.

        Args:
            threshold: the probability above which a word is style.

        Raises:
            ModelError: there is none, it was made by a newer version, or its weights are damaged.
        """
        return cls(read_folder(reference), threshold=threshold)

    @classmethod
    def from_spec(cls, spec: str) -> SmallPredictor:
        """From `default` or a folder, with `?threshold=P` behind it.

        Raises:
            SettingsError: an option is unknown or wrong.
            ModelError: see `load`.
        """
        reference, given = options(spec, {"threshold": probability})
        return cls.load(reference, **given)

    def session(self, role: Author) -> SmallSession:
        return SmallSession(self)

    def said(self, logits: NDArray[np.float32]) -> list[tuple[bool, float]]:
        """Class and confidence of each word."""
        most, said = float(_STEEPEST), self._said
        return [said[round(min(most, max(-most, logit)) * _GRID) + _STEEPEST * _GRID] for logit in logits.tolist()]

    def _look_at(self, word: str) -> _Seen:
        return _Seen(word, self.network.word(features(word)), has_delimiter(word))


class SmallSession(Session):
    """One reading of one trace.

    Rows stand for words, some of them before the oldest word that `_reading` holds: `_x` for all words up to the last
    whole one, `_a` for those of them that have their look-ahead.
    """

    def __init__(self, predictor: SmallPredictor):
        self._predictor = predictor
        self._network = network = predictor.network
        self._reading = Reading(predictor.see)
        self._regions: list[str] = []  # behind each word of the reading
        self._places = bytearray()  # of each word of the reading
        self._region = ""  # before the first of them
        self._given = 0  # how many of them have had their verdict
        self._x = np.empty((_BLOCK, network.width), np.float32)
        self._a = np.zeros((_BLOCK, network.hidden), np.float32)
        self._x[:REACH] = network.before
        self._first = -REACH  # the word of the reading for which row 0 stands
        self._rows = REACH  # of x
        self._judged = REACH  # of a

    @property
    def position(self) -> int:
        return self._reading.position

    def context(self, text: str) -> None:
        reading = self._reading
        reading.read_apart(text)
        self._judge()
        reading.settle()
        spare = max(0, len(reading) - REACH - self._network.lookahead)
        if spare:
            reading.forget(spare)
            self._region = self._regions[spare - 1]
            del self._regions[:spare], self._places[:spare]
            self._first -= spare
        self._given = len(reading)

    def feed(self, text: str) -> list[Verdict]:
        self._reading.read(text)
        return self._judge()

    def finish(self) -> list[Verdict]:
        self._reading.close()
        verdicts = self._judge()
        left = len(self._reading) - self._given
        if left:
            network, judged = self._network, self._judged
            behind = np.tile(network.behind, (network.lookahead, 1))
            x = np.concatenate([self._x[judged - BACK : self._rows], behind])
            a = np.concatenate([self._a[judged - FURTHEST : judged], network.windows(x)])
            verdicts += self._verdicts(network.logits(a)[-left:])
        return verdicts

    def rollback(self, offset: int) -> None:
        reading = self._reading
        reading.rollback(offset)
        count = len(reading)
        if count == len(self._regions):
            return
        del self._regions[count:], self._places[count:]
        self._given = min(self._given, count)
        self._rows = count - self._first
        self._judged = max(min(self._judged, self._rows - self._network.lookahead), -self._first)
        if self._judged < FURTHEST:
            self._rebuild()

    def _judge(self) -> list[Verdict]:
        """Makes rows of all new words; gives the verdicts that are due and were not given before."""
        reading, verdicts = self._reading, []
        while len(self._regions) < len(reading):
            if self._rows == _BLOCK:
                self._shift()
            begin = len(self._regions)
            end = min(len(reading), begin + _STEP, begin + _BLOCK - self._rows)
            self._place(begin, end)
            self._add_rows(begin, end)
            verdicts += self._advance()
        return verdicts

    def _place(self, begin: int, end: int) -> None:
        """Finds the places of words of the reading."""
        reading = self._reading
        region = self._regions[-1] if self._regions else self._region
        for seen, gap in zip(reading.seen[begin:end], reading.gaps[begin:end], strict=True):
            number, region = place(gap, region, seen.text, seen.delimiter)
            self._places.append(number)
            self._regions.append(region)

    def _add_rows(self, begin: int, end: int) -> None:
        """x of words of the reading, behind the rows there are."""
        seen = self._reading.seen
        words = seen[begin].vector[None] if end == begin + 1 else np.stack([word.vector for word in seen[begin:end]])
        self._x[self._rows : self._rows + end - begin] = self._network.placed(words, self._places[begin:end])
        self._rows += end - begin

    def _advance(self) -> list[Verdict]:
        """a of the words that have their look-ahead now, and their verdicts."""
        network, judged = self._network, self._judged
        until = self._rows - network.lookahead
        if until <= judged:
            return []
        self._a[judged:until] = network.windows(self._x[judged - BACK : self._rows])
        self._judged = until
        due = self._first + until - self._given
        if due <= 0:
            return []
        return self._verdicts(network.logits(self._a[until - due - FURTHEST : until]))

    def _verdicts(self, logits: Rows) -> list[Verdict]:
        """The verdicts on the next words."""
        verdicts = []
        for said in self._predictor.said(logits):
            verdicts.append(Verdict(*self._reading.span(self._given), *said))
            self._given += 1
        return verdicts

    def _shift(self) -> None:
        """Makes room: only rows that a verdict to come depends on stay."""
        spare = self._judged - REACH
        self._x[: self._rows - spare] = self._x[spare : self._rows].copy()
        self._a[:REACH] = self._a[spare : self._judged].copy()
        self._first += spare
        self._rows -= spare
        self._judged = REACH

    def _rebuild(self) -> None:
        """Makes the rows anew that a verdict to come depends on: a rollback went further back than they do."""
        network, count = self._network, len(self._reading)
        self._first = count - network.lookahead - REACH
        early = max(0, -self._first)  # rows before the trace begins
        self._x[:early] = network.before
        self._rows = early
        if count:
            self._add_rows(max(0, self._first), count)
        self._a[BACK:REACH] = network.windows(self._x[: self._rows])
        self._a[:early] = 0
        self._judged = max(REACH, early)
