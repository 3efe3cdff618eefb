"""Marks of a predictor on texts: they change kinds, and nothing else."""

from __future__ import annotations

import asyncio

from hypothesis import given

import antiphon.boundary
from antiphon.analyse.text import Stretch, Text, marked, stretches
from antiphon.boundary.making.judge import judge
from antiphon.trace import Author, Kind, Span
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, UNKNOWN, texts

GENERAL = antiphon.boundary.load("general")


def mark(text: Text) -> Text:
    (found,) = asyncio.run(marked([text], GENERAL))
    return found


@given(texts())
def test_marks_part_the_thinking_that_nobody_told_apart_and_leave_all_else(text: Text) -> None:
    found = mark(text)
    assert found.has_kinds and found.marked is not text.has_kinds
    assert (found.thinking, found.answer) == (text.thinking, text.answer)
    by_author = ["".join(one.text for one in of.stretches if one.author is STUDENT) for of in (text, found)]
    assert by_author[0] == by_author[1]
    told = [one for one in text.stretches if one.kind is not THINKING]
    left = list(found.stretches)
    assert all(one in left for one in told)
    assert all(one.text for one in left)


def test_marks_are_the_verdicts_of_the_predictor() -> None:
    thinking = "Okay, so I need to find 3+4. That is 7. Wait, maybe 8? No, 3+4=7."
    found = mark(Text("k", "p", (), (Stretch(UNKNOWN, THINKING, thinking), Stretch(UNKNOWN, ANSWER, "7"))))
    (judged,) = asyncio.run(judge(GENERAL, [(thinking, Author.TEACHER)], by_word=False))
    at, given_kinds = 0, []
    for one in found.stretches[:-1]:
        given_kinds += [one.kind for verdict in judged.verdicts if at <= verdict.start < at + len(one.text)]
        at += len(one.text)
    assert given_kinds == [STYLE if verdict.style else CAPABILITY for verdict in judged.verdicts]
    assert {STYLE, CAPABILITY} == set(given_kinds)
    assert all(a.kind is not b.kind for a, b in zip(found.stretches, found.stretches[1:], strict=False))


def test_spans_of_one_author_and_kind_are_one_stretch_and_markers_none() -> None:
    spans = [
        Span(Author.NONE, Kind.MARKER, "<think>\n"),
        Span(STUDENT, STYLE, "Okay, "),
        Span(STUDENT, STYLE, "so "),
        Span(TEACHER, STYLE, "so ", forced=True),
        Span(TEACHER, CAPABILITY, ""),
        Span(STUDENT, ANSWER, "7"),
    ]
    assert stretches(spans) == (
        Stretch(STUDENT, STYLE, "Okay, so "),
        Stretch(TEACHER, STYLE, "so ", forced=True),
        Stretch(STUDENT, ANSWER, "7"),
    )
