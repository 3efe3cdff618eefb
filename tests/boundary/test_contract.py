"""The contract check itself: it lets a right predictor pass at every look-ahead, and finds every kind of fault."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import is_whole, words

from .contract import Part, check_contract, traces


class Plain(Session):
    """Judges each word by the lengths of itself, its neighbour on the left and all it may look ahead to; from
    scratch at every call."""

    def __init__(self, lookahead: int):
        self.lookahead = lookahead
        self.base, self.text, self.before = 0, "", 0
        self.seams: list[int] = []
        self.given: list[Verdict] = []

    @property
    def position(self):
        return self.base + len(self.text)

    def spans(self):
        ends = [*self.seams, len(self.text)]
        return [(s + a, s + b) for s, e in zip([0, *ends], ends, strict=False) for a, b in words(self.text[s:e])]

    def judge(self, index, spans):
        lengths = [end - start for start, end in spans[max(0, index - 1) : index + max(0, self.lookahead) + 1]]
        if self.lookahead < 0:
            lengths = [end - start for start, end in spans[max(0, index - 1) : index]]
        return sum(lengths) % 2 == 1, 0.5 + sum(lengths) % 10 / 20

    def due(self, finished):
        spans = self.spans()
        known = len(spans)
        if spans and not finished and not is_whole(self.text, spans[-1][1]) and spans[-1][1] not in self.seams:
            known -= 1
        ready = known if finished else max(0, known - max(0, self.lookahead))
        last = max((v.end for v in self.given), default=self.base)
        found = []
        for index, (start, end) in enumerate(spans[: ready + (self.lookahead < 0)]):
            if self.base + end <= last:
                continue
            style, confidence = self.judge(index, spans)
            if self.lookahead < 0 and all(v.start != self.base + start for v in self.given):
                found.append(Verdict(self.base + start, self.base + start, style, confidence))
            if index < ready:
                found.append(Verdict(self.base + start, self.base + end, style, confidence))
        self.given += found
        return found

    def context(self, text):
        self.base, self.text, self.seams, self.given = self.position + len(text), "", [], []

    def feed(self, text):
        self.text += text
        return self.due(False)

    def finish(self):
        found = self.due(True)
        self.seams.append(len(self.text))
        return found

    def rollback(self, offset):
        if not self.base <= offset <= self.position:
            raise ValueError(offset)
        self.text = self.text[: offset - self.base]
        self.seams = [seam for seam in self.seams if seam <= len(self.text)]
        self.given = [v for v in self.given if v.end <= offset and (v.end > v.start or v.start < offset)]


class Predictor(BoundaryPredictor):
    def __init__(self, kind, lookahead):
        self.kind, self.lookahead, self.id = kind, lookahead, "plain"

    def session(self, role):
        return self.kind(self.lookahead)


@pytest.mark.parametrize("lookahead", [-1, 0, 1, 3])
@settings(deadline=None)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_a_right_predictor_passes(lookahead, trace, random):
    check_contract(Predictor(Plain, lookahead), trace, random)


class DependsOnPieces(Plain):
    def feed(self, text):
        return [v._replace(style=len(text) > 3) for v in super().feed(text)]


class GivesTwice(Plain):
    def finish(self):
        return super().finish() + self.given[-1:]


class ForgetsTheEnd(Plain):
    def finish(self):
        return super().finish()[:-1]


class GivesTooLate(Plain):
    def due(self, finished):
        return super().due(finished) if finished else []


class RunsAhead(Plain):
    def judge(self, index, spans):
        return len(spans) > 3, 0.5


class JudgesTheContext(Plain):
    def context(self, text):
        super().context(text)
        self.text, self.base = text, self.base - len(text)


class RemembersWhatWasRolledBack(Plain):
    feeds = 0

    def feed(self, text):
        self.feeds += len(text)
        return [v._replace(style=self.feeds > self.position) for v in super().feed(text)]


class RollsBackAnywhere(Plain):
    def rollback(self, offset):
        super().rollback(min(max(offset, self.base), self.position))


class NeverRollsBack(Plain):
    def rollback(self, offset):
        raise ValueError(offset)


class LosesItsPlace(Plain):
    @property
    def position(self):
        return super().position - self.text.count("\n")


class IsTooSure(Plain):
    def judge(self, index, spans):
        return True, 1.5


FAULTS = [DependsOnPieces, GivesTwice, ForgetsTheEnd, GivesTooLate, RunsAhead, JudgesTheContext]
FAULTS += [RemembersWhatWasRolledBack, RollsBackAnywhere, NeverRollsBack, LosesItsPlace, IsTooSure]


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_is_found(kind):
    trace = [Part("a b ", True), Part("Okay, so\n", False), Part("the sum of 3 and 4 is\n7, 好的", True, finish=True)]
    with pytest.raises((AssertionError, ValueError)):
        for seed in range(20):
            check_contract(Predictor(kind, 1), trace, Random(seed))
