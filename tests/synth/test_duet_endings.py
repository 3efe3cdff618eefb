"""How a trace ends: ends of turns, closed thinking, budgets, contexts, loops; with one voice, too (docs/method.md)."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.synth.record import MemoryRecorder
from antiphon.trace import Author, Kind, Span, SpanEnd, Status
from tests.synth.duets import (
    ANSWER,
    CLOSE,
    END,
    duet,
    in_turn,
    perform,
    spans,
)


def test_the_teachers_end_of_turn_hands_over() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], [" Wait", CLOSE], ANSWER), in_turn([" four", END]))
    _, recorder = perform(composed)
    assert spans(recorder)[1:3] == [("teacher", "capability", " four"), ("student", "style", " Wait")]
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN
    assert recorder.closed_by is Author.STUDENT


def test_the_students_end_of_turn_ends_the_thinking() -> None:
    composed = duet(in_turn(["Okay,", END], ANSWER), in_turn())
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert [span.text for span in recorder.spans] == ["<think>\n", "Okay,", "\n</think>\n\n", "It is 4."]


def test_two_ends_in_a_row_without_a_word_give_no_answer() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], [END]), in_turn([END]))
    ending, recorder = perform(composed)
    assert ending.status is Status.NO_ANSWER
    assert spans(recorder) == [("student", "style", "Okay,")]


def test_a_refusal_and_an_end_force_the_refused_word() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"], ["5", " x", " y"], ANSWER), in_turn([END], [" six", CLOSE]))
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[1] == ("student", "capability", "5")


def test_a_cut_found_at_an_end_or_close_wins() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", END], [" Wait,", " 5", CLOSE], ANSWER),
        in_turn([" four", " Wait", CLOSE], [" five", CLOSE]),
        lookahead=3,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:4] == [
        ("student", "style", "Okay,"),
        ("teacher", "capability", " four"),
        ("student", "style", " Wait,"),
        ("teacher", "capability", " five"),
    ]
    assert recorder.spans[2].end is SpanEnd.BOUNDARY


def test_an_immediate_end_is_legal_and_an_empty_answer_is_no_answer() -> None:
    ending, recorder = perform(duet(in_turn([END], ["\n", END]), in_turn()))
    assert ending.status is Status.NO_ANSWER
    assert [span.kind for span in recorder.spans] == [Kind.MARKER, Kind.MARKER, Kind.ANSWER]
    assert recorder.spans[1].text == "\n</think>\n\n"


def test_only_the_student_closes_where_it_is_set_so() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait,", CLOSE], ANSWER), in_turn([" four", CLOSE]), only_student_closes=True
    )
    _, recorder = perform(composed)
    assert recorder.closed_by is Author.STUDENT
    assert spans(recorder)[1:3] == [("teacher", "capability", " four"), ("student", "style", " Wait,")]


def test_a_budget_drops_the_unfinished_word_and_stops() -> None:
    composed = duet(in_turn(["Okay,", " So", " H", "m"]), in_turn(), thinking_budget=3, lookahead=2)
    ending, recorder = perform(composed)
    assert ending.status is Status.TOO_LONG
    assert "3 tokens" in recorder.cause
    assert spans(recorder) == [("student", "style", "Okay, So")]
    assert recorder.spans[-1].end is SpanEnd.BUDGET


def test_a_cut_found_at_a_budget_wins() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" six", " seven", " eight"]),
        thinking_budget=3,
        lookahead=2,
        close_on_budget=True,
    )
    _, recorder = perform(composed)
    assert spans(recorder)[:2] == [("student", "style", "Okay,"), ("teacher", "capability", " six")]


def test_a_budget_closes_the_thinking_where_it_is_set_so() -> None:
    composed = duet(in_turn(["Okay,", " So", " So"], ANSWER), in_turn(), thinking_budget=3, close_on_budget=True)
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert recorder.closed_by is Author.NONE
    assert [span.text for span in recorder.spans] == ["<think>\n", "Okay, So", "\n</think>\n\n", "It is 4."]


def test_thinking_leaves_the_answers_budget_of_the_context() -> None:
    composed = duet(in_turn(["Okay,"] + [" So"] * 50), in_turn(), answer_budget=30, student_is={"context": 50})
    ending, recorder = perform(composed)
    assert ending.status is Status.CONTEXT_FULL
    prompt = composed.voices[Author.STUDENT].engine
    assert prompt.requests == 1
    assert len(recorder.spans[1].ids) + 1 < 20  # the prompt takes some


def test_a_prompt_longer_than_the_context_is_context_full() -> None:
    ending, recorder = perform(duet(in_turn(), in_turn(), student_is={"context": 6}))
    assert ending.status is Status.CONTEXT_FULL
    assert "student's context" in recorder.cause


def test_an_answer_cut_by_its_budget_is_never_complete() -> None:
    ending, _ = perform(duet(in_turn([CLOSE], ANSWER), in_turn(), answer_budget=2))
    assert ending.status is Status.TOO_LONG


def test_an_answer_that_fills_the_context() -> None:
    composed = duet(
        in_turn(["Okay,", CLOSE], [" x"] * 99),
        in_turn(),
        answer_budget=90,
        student_is={"context": 118},
        guard_repetition=False,
    )
    ending, _ = perform(composed)
    assert ending.status in (Status.CONTEXT_FULL, Status.TOO_LONG)


def test_what_stands_is_recorded_before_a_turn_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.synth.passage._SETTLE_EVERY", -1.0)
    monkeypatch.setattr("antiphon.synth.record._SAVE_EVERY", -1.0)
    grown: list[tuple[int, str]] = []

    class Growing(MemoryRecorder):
        def grow(self, index: int, head: Span, text: str, ids: Any, words: bytes) -> None:
            grown.append((index, text))
            super().grow(index, head, text, ids, words)

    composed = duet(in_turn(["Okay,", " So", " Wait", " But", CLOSE], ANSWER), in_turn())
    _, recorder = perform(composed, recorder=Growing())
    assert [text for index, text in grown if index == 1][:2] == ["Okay,", " So"]
    assert recorder.spans[1].text == "Okay, So Wait But"


def test_where_budget_and_context_end_together_it_is_the_budget() -> None:
    ended = {}
    for context in range(30, 90):
        composed = duet(
            in_turn(["Okay,", CLOSE], [" x"] * 99),
            in_turn(),
            answer_budget=20,
            student_is={"context": context},
            guard_repetition=False,
        )
        ending, recorder = perform(composed)
        answer = sum(len(span.ids) for span in recorder.spans if span.kind is Kind.ANSWER)
        if answer:
            assert ending.status is (Status.TOO_LONG if answer == 20 else Status.CONTEXT_FULL)
            ended[context] = answer
    assert set(ended.values()) >= {19, 20}


def test_a_loop_ends_the_trace_as_repetition() -> None:
    composed = duet(in_turn(["Okay,", " 4", " x"]), in_turn([" and", " again", ",", " it"] * 900))
    ending, recorder = perform(composed)
    assert ending.status is Status.REPETITION
    text = recorder.spans[-1].text
    assert 500 < len(text) < 2000
    assert len(recorder.spans[-1].ids) == len(text.split(" ")) - 1 + text.count(",")


def test_a_loop_in_the_answer_ends_the_trace_as_repetition() -> None:
    ending, _ = perform(duet(in_turn(["Okay", CLOSE], [" and", " again", " it"] * 900), in_turn()))
    assert ending.status is Status.REPETITION


# -- methods of one voice


def test_student_only_and_teacher_only() -> None:
    ending, recorder = perform(duet(in_turn(["Okay", " 4", CLOSE], ANSWER), in_turn(), name="student_only"))
    assert ending.status is Status.COMPLETE
    assert spans(recorder) == [("student", "thinking", "Okay 4"), ("student", "answer", "It is 4.")]
    ending, recorder = perform(duet(in_turn(), in_turn(["We", " 4", END], ANSWER), name="teacher_only"))
    assert ending.status is Status.COMPLETE
    assert spans(recorder) == [("teacher", "thinking", "We 4"), ("teacher", "answer", "It is 4.")]
    assert recorder.closed_by is Author.TEACHER
    assert recorder.spans[0].text == "<think>\n"


@pytest.mark.parametrize(("close", "status"), [(True, Status.COMPLETE), (False, Status.TOO_LONG)])
def test_one_voice_at_its_budget(close: bool, status: Status) -> None:
    composed = duet(
        in_turn(["a", " b", " c"], ANSWER), in_turn(), name="student_only", thinking_budget=3, close_on_budget=close
    )
    ending, recorder = perform(composed)
    assert ending.status is status
    assert recorder.spans[1].text == "a b c"


def test_one_voice_in_a_loop() -> None:
    ending, _ = perform(duet(in_turn([" a", " b", " c"] * 999), in_turn(), name="student_only"))
    assert ending.status is Status.REPETITION


def test_one_voice_fills_the_context() -> None:
    composed = duet(
        in_turn([" a"] * 99),
        in_turn(),
        name="student_only",
        answer_budget=5,
        student_is={"context": 40},
        guard_repetition=False,
    )
    ending, _ = perform(composed)
    assert ending.status is Status.CONTEXT_FULL
