"""Replays, held against two sessions that take turns over the text as the duet lets them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.base import BoundaryPredictor, Verdict
from antiphon.boundary.making.judge import judge, judge_marked
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.replay import Replay, Toll, at_threshold, replay, replayed, toll, worst
from antiphon.boundary.words import words
from antiphon.trace import Author
from tests.boundary.contract import TEXTS as TRICKY

from .texts import TEXTS, Told, marked, marked_texts

S, T = Author.STUDENT, Author.TEACHER
GENERAL = load("general")
TOLD = st.lists(st.tuples(st.booleans(), st.sampled_from([0.5, 0.75, 0.9])), max_size=30)


def said(classes: list[bool], confidence: float = 0.9) -> list[Verdict]:
    return [Verdict(2 * n, 2 * n + 1, style, confidence) for n, style in enumerate(classes)]


def performed(text: str, predictor: BoundaryPredictor) -> Replay:
    """The same with real sessions: characters arrive one by one, what is refused is rolled back."""
    spans = words(text)
    sessions = {role: predictor.session(role) for role in (S, T)}
    writers: list[Author] = []
    forced: list[int] = []
    turns = thrown = 0
    author, refusal = S, None
    while len(writers) < len(spans):
        session = sessions[author]
        at = len(writers)
        position = spans[at - 1][1] if at else 0
        session.context(text[session.position : position])
        verdicts: list[Verdict] = []
        turns += 1
        cut = None
        while cut is None and session.position < len(text):
            verdicts += session.feed(text[session.position])
            cut = next((v for v in verdicts if v.style is not (author is S)), None)
        read = session.position
        if cut is None:
            verdicts += session.finish()
            cut = next((v for v in verdicts if v.style is not (author is S)), None)
        kept = len({v.start for v in verdicts if cut is None or v.start < cut.start})
        writers += [author] * kept
        if cut is None:
            break
        session.rollback(spans[at + kept - 1][1] if kept else position)
        thrown += sum(cut.start <= start < read for start, _ in spans)
        if kept or refusal is None:
            author, refusal = author.other, None if kept else cut
            continue
        keeper = min((author, cut), (author.other, refusal), key=lambda each: (each[1].confidence, each[0] is T))[0]
        writers.append(keeper)
        forced.append(at)
        thrown -= 1
        author, refusal = keeper.other, None
    return Replay(tuple(writers), tuple(forced), turns, thrown)


def from_verdicts(text: str, predictor: BoundaryPredictor) -> Replay:
    async def both() -> list[tuple[Verdict, ...]]:
        return [(await judge(predictor, [(text, role)], by_word=True))[0].verdicts for role in (S, T)]

    student, teacher = asyncio.run(both())
    return replay(student, teacher, predictor.lookahead)


SPACED = st.lists(st.sampled_from(["Okay,", "so", "let", "me", "x", "3+4", "But", "wait."]), min_size=1).map(" ".join)


@given(SPACED, TOLD, TOLD, st.integers(0, 3))
def test_one_reading_tells_what_two_sessions_would_do(
    text: str, student: list[tuple[bool, float]], teacher: list[tuple[bool, float]], lookahead: int
) -> None:
    predictor = Told({S: student, T: teacher}, lookahead)
    assert from_verdicts(text, predictor) == performed(text, predictor)


@given(st.one_of(TRICKY, TEXTS), st.sampled_from([GENERAL, load("math"), load("code")]))
def test_with_rule_pages_too_on_any_text(text: str, predictor: BoundaryPredictor) -> None:
    found, expected = from_verdicts(text, predictor), performed(text, predictor)
    # Where words touch (CJK), the one that shows that a word is whole may have begun.
    assert found.thrown <= expected.thrown <= found.thrown + found.turns
    assert found == expected._replace(thrown=found.thrown)


def test_without_lookahead_only_refused_words_are_thrown_away() -> None:
    verdicts = said([True, False, False, True])
    for lookahead in (-1, 0):
        assert replay(verdicts, verdicts, lookahead) == Replay((S, T, T, S), (), 3, 2)


@given(marked_texts())
def test_every_word_is_kept_once_and_a_perfect_predictor_puts_none_wrong(item: MarkedText) -> None:
    classes = item.classes
    perfect = replay(said(classes), said(classes), lookahead=2)
    assert perfect.writers == tuple(S if style else T for style in classes)
    assert perfect.forced == ()
    changes = sum(a is not b for a, b in zip([True, *classes], classes, strict=False))
    assert perfect.turns == 1 + changes
    assert toll([(perfect, classes)]) == Toll(len(classes), 0, perfect.thrown, perfect.turns, 0)
    wrong = replay(said([not c for c in classes]), said([not c for c in classes]), lookahead=2)
    assert toll([(wrong, classes)]).wrong == len(classes)


@given(TOLD, st.data())
def test_any_two_predictors_keep_every_word_once(told: list[tuple[bool, float]], data: st.DataObject) -> None:
    other = data.draw(st.lists(TOLD.filter(bool).map(lambda some: some[0]), min_size=len(told), max_size=len(told)))
    student, teacher = ([Verdict(n, n + 1, *each) for n, each in enumerate(some)] for some in (told, other))
    found = replay(student, teacher, lookahead=1)
    assert len(found.writers) == len(told)
    for n in found.forced:
        assert not student[n].style and teacher[n].style, "forced, though one of them would have gone on"


def test_the_less_sure_of_two_refusals_is_forced() -> None:
    sure, unsure = Verdict(0, 1, False, 0.9), Verdict(0, 1, True, 0.6)
    assert replay([sure], [unsure], 0).writers == (T,)
    assert replay([sure._replace(confidence=0.6)], [unsure], 0) == Replay((S,), (0,), 2, 1)
    with pytest.raises(ValueError, match="1 and 0"):
        replay([sure], [], 0)


def test_only_words_with_their_lookahead_are_replayed() -> None:
    (judgement,) = asyncio.run(judge_marked(Told([(True, 0.9)] * 9, lookahead=2), [marked("a b c d e ", [True] * 9)]))
    assert replayed(judgement).writers == (S, S, S)


def test_the_worst_words() -> None:
    text = "Okay, let me add 3 and 4 and 5 "
    told = [(True, 0.9), (True, 0.9), (True, 0.9), (True, 0.7), (False, 0.9), (True, 0.8), (False, 0.9)]
    judgements = asyncio.run(judge_marked(Told(told), [marked(text, [True, True, True], domain="math")]))
    first, second = worst(judgements)
    assert (first.word, first.confidence, first.writer, first.domain) == ("and", 0.8, S, "math")
    assert (second.word, second.before, second.after) == ("add", "Okay, let me ", " 3 and 4 and 5 ")
    assert worst(judgements, 1) == [first]


@given(TOLD.map(lambda told: [Verdict(n, n + 1, *each) for n, each in enumerate(told)]))
def test_thresholds(verdicts: list[Verdict]) -> None:
    assert at_threshold(verdicts, 0.5) == verdicts
    styles = [sum(v.style for v in at_threshold(verdicts, threshold / 20)) for threshold in range(1, 20)]
    assert styles == sorted(styles, reverse=True)
    for verdict, other in zip(verdicts, at_threshold(verdicts, 0.3), strict=True):
        chance = verdict.confidence if verdict.style else 1 - verdict.confidence
        assert other.style is (chance >= 0.3)
        assert other.confidence == (chance if other.style else 1 - chance)
