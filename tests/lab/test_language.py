"""The lab's language: classes of words that do not mix, and manners that differ."""

from __future__ import annotations

import random

import pytest

from antiphon.boundary import load
from antiphon.boundary.words import words
from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.language import LABELS, MANNERS, STUDENT, STYLE_WORDS, TEACHER, bare, result_of, told
from antiphon.lab.tasks import FAMILIES, draw
from antiphon.trace import Author


def solutions(family: str, count: int = 40):
    rng = random.Random(family)
    for task, _ in zip(draw(family, rng, held_out=True), range(count), strict=False):
        for role, manner in MANNERS.items():
            steps, result = task.solve(Arithmetic())
            yield role, told(steps, result, manner, rng), result


def test_the_two_manners_share_no_word():
    assert not STUDENT.style_words & TEACHER.style_words


def test_no_label_is_a_style_word():
    assert not STYLE_WORDS & {bare(label) for label in LABELS}


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_steps_are_no_style_words_and_those_of_phrases_are(family):
    for role, spans, _ in solutions(family):
        for span in spans:
            if span.kind == "style":
                assert {bare(word) for word in span.text.split()} <= MANNERS[role].style_words
            elif span.kind == "step":
                assert not {bare(word) for word in span.text.split()} & STYLE_WORDS


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rule_page_finds_every_boundary(family):
    predictor = load("lab")
    assert predictor.lookahead == 0
    for role, spans, _ in solutions(family):
        session, expected, position = predictor.session(Author(role)), [], 0
        for span in spans:
            if span.kind in ("style", "step"):
                found = words(span.text)
                expected += [(position + start, position + end, span.kind == "style") for start, end in found]
                position += len(span.text)
        thinking = "".join(span.text for span in spans if span.kind in ("style", "step"))
        given = session.feed(thinking) + session.finish()
        assert [(verdict.start, verdict.end, verdict.style) for verdict in given] == expected


def test_the_rule_page_holds_the_style_words_and_no_others():
    predictor = load("lab")
    every = (
        {bare(word) for manner in MANNERS.values() for word in manner.inner_words}
        | {bare(w) for w in LABELS}
        | STYLE_WORDS
    )
    for word in every:
        session = predictor.session(Author.STUDENT)
        (verdict,) = session.feed(word) + session.finish()
        assert verdict.style == (word in STYLE_WORDS), word


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_gives_its_result_back(family):
    for _, spans, result in solutions(family):
        assert spans[-1].kind == "answer"
        assert result_of(spans[-1].text) == result


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("I get 42.", "42"),
        ("  Answer:  42 \n", "42"),
        ("42", "42"),
        ("42.", "42"),
        ("So it is so well.", "so well"),
        ("I get", "I get"),
        ("", ""),
        ("I get 42. I get 43.", "42. I get 43"),
    ],
)
def test_results_of_odd_answers(answer, result):
    assert result_of(answer) == result
