"""A trace that is taken up again after a kill (docs/method.md)."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.store import Saved
from antiphon.synth.record import MemoryRecorder
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Status, unpack_words
from tests.synth.duets import (
    ANSWER,
    CLOSE,
    END,
    TEXTUAL,
    duet,
    in_turn,
    perform,
    spans,
)


def saved(composed: Any, *kept: tuple[Author, Kind, str, SpanEnd | None]) -> Saved:
    """Spans as an earlier session left them."""
    made = [Span(Author.NONE, Kind.MARKER, "<think>\n", end=SpanEnd.SEAM)]
    for author, kind, text, end in kept:
        engine = composed.voices[Author.STUDENT if author is Author.NONE else author].engine
        ids = engine.vocabulary.encode(text)
        made.append(Span(author, kind, text, ids, IdsFrom.SAMPLED, end))
    return Saved(tuple(made), {}, 0)


STYLE, CAPABILITY = Kind.STYLE, Kind.CAPABILITY


def resume(composed: Any, *kept: tuple[Author, Kind, str, SpanEnd | None]) -> tuple[Any, MemoryRecorder]:
    return perform(composed, saved=saved(composed, *kept))


def test_after_a_kill_the_same_author_goes_on_with_its_open_span() -> None:
    composed = duet(in_turn([" So", " 4", " x"], ANSWER), in_turn([" 4", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", None))
    assert spans(recorder)[0] == ("student", "style", "Okay, So")
    assert [word.end for word in unpack_words(recorder.spans[1].words)] == [8]


def test_after_a_kill_an_open_span_whose_next_word_is_refused_is_a_cut() -> None:
    composed = duet(in_turn([" 4", " x"], ANSWER), in_turn([" four", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", None))
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " four")]
    assert recorder.spans[1].end is SpanEnd.BOUNDARY


def test_after_a_kill_an_open_code_fence_is_still_one() -> None:
    composed = duet(
        in_turn(["Say('", "</think>", "')\n", " x"], ANSWER), in_turn(["```\n", "</think>"]), dialect=TEXTUAL
    )
    _, recorder = resume(composed, (Author.TEACHER, CAPABILITY, "```\nx(1)\n", SpanEnd.BOUNDARY))
    assert [span.text for span in recorder.spans[2:-1]] == ["Say('</think>')\n", "```\n", "</think>\n\n"]


def test_after_a_kill_a_finished_span_hands_over() -> None:
    composed = duet(in_turn(ANSWER), in_turn([" four", CLOSE]))
    _, recorder = resume(composed, (Author.STUDENT, STYLE, "Okay,", SpanEnd.BOUNDARY))
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " four")]


@pytest.mark.parametrize(
    ("author", "kind", "end", "by"),
    [
        (Author.TEACHER, CAPABILITY, SpanEnd.THINK_CLOSE, Author.TEACHER),
        (Author.TEACHER, CAPABILITY, SpanEnd.THINK_CLOSE_TEXT, Author.TEACHER),
        (Author.STUDENT, STYLE, SpanEnd.THINK_CLOSE, Author.STUDENT),
        (Author.STUDENT, STYLE, SpanEnd.END_OF_TURN, Author.STUDENT),
    ],
)
def test_after_a_kill_a_closed_thinking_is_not_reopened(author: Author, kind: Kind, end: SpanEnd, by: Author) -> None:
    composed = duet(in_turn(ANSWER), in_turn())
    ending, recorder = resume(composed, (author, kind, "Okay,", end))
    assert ending.status is Status.COMPLETE
    assert recorder.closed_by is by


def test_after_a_kill_the_teachers_end_of_turn_hands_over() -> None:
    composed = duet(in_turn([" Wait", CLOSE], ANSWER), in_turn())
    _, recorder = resume(composed, (Author.TEACHER, CAPABILITY, "four", SpanEnd.END_OF_TURN))
    assert spans(recorder)[1] == ("student", "style", " Wait")


def test_after_a_kill_one_voice_goes_on() -> None:
    composed = duet(in_turn([" 5", CLOSE], ANSWER), in_turn(), name="student_only")
    _, recorder = resume(composed, (Author.STUDENT, Kind.THINKING, "Okay 4", None))
    assert spans(recorder)[0] == ("student", "thinking", "Okay 4 5")
    composed = duet(in_turn(ANSWER), in_turn(), name="student_only")
    ending, _ = resume(composed, (Author.STUDENT, Kind.THINKING, "Okay 4", SpanEnd.THINK_CLOSE))
    assert ending.status is Status.COMPLETE


@pytest.mark.parametrize(
    ("last", "end", "by"),
    [
        ((Author.TEACHER, CAPABILITY), SpanEnd.THINK_CLOSE, Author.TEACHER),
        ((Author.TEACHER, CAPABILITY), SpanEnd.THINK_CLOSE_TEXT, Author.TEACHER),
        ((Author.TEACHER, CAPABILITY), SpanEnd.BOUNDARY, Author.STUDENT),
        ((Author.STUDENT, STYLE), SpanEnd.BUDGET, Author.NONE),
    ],
)
def test_after_a_kill_the_answer_goes_on(last: tuple[Author, Kind], end: SpanEnd, by: Author) -> None:
    composed = duet(in_turn([" is", " 4.", END]), in_turn(), answer_budget=4)
    marker = (Author.NONE, Kind.MARKER, "\n</think>\n\n", SpanEnd.SEAM)
    ending, recorder = resume(composed, (*last, "four", end), marker, (Author.STUDENT, Kind.ANSWER, "It", None))
    assert ending.status is Status.COMPLETE
    assert recorder.spans[-1].text == "It is 4."
    assert recorder.closed_by is by


def test_after_a_kill_an_empty_thinking_was_closed_by_the_student() -> None:
    heard: list[str] = []

    def student(here: Any) -> Any:
        heard.append(here.text)
        return [CLOSE] if here.text.endswith("<think>\n") else ANSWER

    _, unbroken = perform(duet(student, in_turn()))
    (_, before), marker = heard, unbroken.spans[1].text
    _, recorder = resume(duet(student, in_turn()), (Author.NONE, Kind.MARKER, marker, SpanEnd.SEAM))
    assert recorder.closed_by is unbroken.closed_by is Author.STUDENT
    assert heard[-1] == before


def test_both_voices_read_what_was_kept_before_they_go_on() -> None:
    heard: dict[str, str] = {}

    def teacher(here: Any) -> Any:
        heard["teacher"] = here.text
        return [" five", CLOSE]

    def student(here: Any) -> Any:
        heard["student"] = here.text
        return ANSWER

    composed = duet(student, teacher)
    resume(
        composed,
        (Author.STUDENT, STYLE, "Okay,", SpanEnd.BOUNDARY),
        (Author.TEACHER, CAPABILITY, " four.\n\n", SpanEnd.BOUNDARY),
        (Author.STUDENT, STYLE, "Wait,", SpanEnd.BOUNDARY),
    )
    prompt = "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert heard["teacher"] == prompt + "Okay, four.\n\nWait,"
    assert heard["student"] == prompt + "Okay, four.\n\nWait, five\n</think>\n\n"
