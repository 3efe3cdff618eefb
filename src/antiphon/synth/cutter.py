"""Boundaries that nobody judged: spans as long as those of another variant, at random or always alike."""

from __future__ import annotations

import hashlib
import json
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import accumulate, count, groupby

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import WordReader, words
from antiphon.trace import Author, Key, Kind, Trace

Lengths = Mapping[Author, Mapping[int, int]]
"""By author: how many spans have so many words."""


def lengths(traces: Iterable[Trace]) -> Lengths:
    """How long the spans of these traces are."""
    counted: dict[Author, Counter[int]] = {Author.STUDENT: Counter(), Author.TEACHER: Counter()}
    for trace in traces:
        thinking = [span for span in trace.spans if span.kind not in (Kind.ANSWER, Kind.MARKER)]
        for author, together in groupby(thinking, lambda span: span.author):
            if author in counted:
                counted[author][sum(len(words(span.text)) for span in together)] += 1
    return {author: {length: n for length, n in sorted(some.items()) if length} for author, some in counted.items()}


class Cutter(BoundaryPredictor):
    """Says of each word whose span it falls into. What it says depends on the word's number in the thinking alone, so
    both authors are told the same, and a trace that is taken up as well.

    Args:
        lengths: of both authors' spans; the student's class is style, and it opens.
        random: lengths are drawn from those, by problem and sample; else each author's are its mean, as nearly as whole
            words can be.
    """

    lookahead = 0

    def __init__(self, lengths: Lengths, *, random: bool):
        spelled = json.dumps({author.value: list(some.items()) for author, some in lengths.items()}, sort_keys=True)
        self.digest = hashlib.sha256(spelled.encode()).hexdigest()
        self.id = f"{'random' if random else 'fixed'}:{self.digest[:16]}"
        self._lengths = lengths
        self._random = random

    def session(self, role: Author) -> Session:
        return self.session_of(Key("", "", 0), role)

    def session_of(self, key: Key, role: Author) -> Session:
        if not self._random:
            return _Session(Course(*(_alike(self._lengths[author]) for author in (Author.STUDENT, Author.TEACHER))))
        digest = hashlib.sha256(repr((key.problem, key.sample)).encode("utf-8", "surrogatepass")).digest()
        chance = random.Random(digest)
        return _Session(Course(*(_drawn(self._lengths[author], chance) for author in (Author.STUDENT, Author.TEACHER))))


def _drawn(lengths: Mapping[int, int], chance: random.Random) -> Iterator[int]:
    some, weights = list(lengths), list(accumulate(lengths.values()))
    while True:
        yield chance.choices(some, cum_weights=weights)[0]


def _alike(lengths: Mapping[int, int]) -> Iterator[int]:
    mean = Fraction(sum(length * n for length, n in lengths.items()), sum(lengths.values()))
    for n in count():
        yield int((n + 1) * mean) - int(n * mean)


class Course:
    """Which words of a thinking are style: spans of style and of capability in turns, the first of style."""

    def __init__(self, style: Iterator[int], capability: Iterator[int]):
        self._lengths = (style, capability)
        self._ends: list[int] = []

    def is_style(self, word: int) -> bool:
        """Whether the word of this number, from 0, is."""
        while not self._ends or self._ends[-1] <= word:
            length = next(self._lengths[len(self._ends) % 2])
            self._ends.append((self._ends[-1] if self._ends else 0) + length)
        return bisect_right(self._ends, word) % 2 == 0


class _Session(Session):
    def __init__(self, course: Course):
        self._course = course
        self._reader = WordReader()
        self._before = 0  # words before the last seam
        self._ends: list[int] = []  # of the words fed since

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._before += len(self._ends) + (self._reader.partial is not None) + len(words(text))
        self._ends.clear()
        self._reader.skip(len(text))

    def feed(self, text: str) -> list[Verdict]:
        return self._verdicts(self._reader.push(text))

    def finish(self) -> list[Verdict]:
        return self._verdicts(self._reader.finish())

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)
        while self._ends and self._ends[-1] > offset:
            self._ends.pop()

    def _verdicts(self, whole: Iterable[tuple[int, int]]) -> list[Verdict]:
        verdicts = []
        for start, end in whole:
            style = self._course.is_style(self._before + len(self._ends))
            self._ends.append(end)
            verdicts.append(Verdict(start, end, style, 1.0))
        return verdicts
