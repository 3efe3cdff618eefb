"""A predictor's verdicts on texts, in one piece and word by word."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.making.judge import Judged, judge, judge_marked, speed
from antiphon.boundary.words import is_whole, words
from antiphon.errors import PredictorError
from antiphon.trace import Author
from tests.boundary.test_contract import Plain, Predictor

from .texts import TEXTS, Mute, Told, marked

GENERAL = load("general")


def judged(predictor: BoundaryPredictor, text: str, *, by_word: bool) -> Judged:
    (found,) = asyncio.run(judge(predictor, [(text, Author.STUDENT)], by_word=by_word))
    return found


@given(TEXTS, st.sampled_from([Predictor(Plain, -1), Predictor(Plain, 0), Predictor(Plain, 2), GENERAL]))
def test_every_word_has_its_verdict_and_word_by_word_those_are_due_that_have_their_lookahead(
    text: str, predictor: BoundaryPredictor
) -> None:
    found = judged(predictor, text, by_word=True)
    assert [(v.start, v.end) for v in found.verdicts] == words(text)
    whole = [end for _, end in words(text) if is_whole(text, end)]
    begun = len(words(text)) if predictor.lookahead < 0 else max(0, len(whole) - predictor.lookahead)
    assert found.due == begun
    assert judged(predictor, text, by_word=False) == found


def test_each_text_has_a_session_of_its_own_in_its_writers_role() -> None:
    predictor = Told({Author.STUDENT: [(True, 0.8)], Author.TEACHER: [(False, 0.7)]})
    texts = [marked("a b ", author=Author.TEACHER, id="1"), marked("a b ", id="2")]
    done: list[None] = []
    first, second = asyncio.run(judge_marked(predictor, texts, done=lambda: done.append(None)))
    assert predictor.sessions == 6 == len(done)
    assert [v.style for v in (first.online.verdicts[0], first.whole.verdicts[0])] == [False, False]
    assert [v.style for v in (second.online.verdicts[0], second.whole.verdicts[0])] == [True, True]
    assert (first.student, first.teacher) == (second.student, second.teacher)


class Stray(Told):
    """Its verdicts are one character off."""

    def session(self, role: Author) -> Session:
        session = super().session(role)
        feed = session.feed

        def off(text: str) -> list[Verdict]:
            return [verdict._replace(start=verdict.start + 1) for verdict in feed(text)]

        session.feed = off  # type: ignore[method-assign]
        return session


@pytest.mark.parametrize(
    ("predictor", "said"), [(Mute(lookahead=1), "2 verdicts on a text of 3"), (Stray(), "was due")]
)
def test_a_predictor_that_breaks_its_contract_is_told_of(predictor: Told, said: str) -> None:
    with pytest.raises(PredictorError, match=f"told: .*{said}"):
        judged(predictor, "ab cd ef ", by_word=True)


def test_a_verdict_too_many() -> None:
    class Twice(Told):
        def session(self, role: Author) -> Session:
            session = super().session(role)
            session.finish = lambda: [Verdict(9, 10, True, 0.9)]  # type: ignore[method-assign]
            return session

    with pytest.raises(PredictorError, match="no word was left"):
        judged(Twice(), "ab cd ", by_word=True)


def test_speed_is_measured_on_what_is_there() -> None:
    fast = asyncio.run(speed(GENERAL, ["Okay, so 3+4=7. "] * 10))
    assert fast.bulk > 0 and fast.online > 0
