"""Markers and control tokens in what the voices write (docs/method.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from antiphon.engine.scripted import Control
from antiphon.trace import Author, IdsFrom, SpanEnd, Status
from tests.synth.duets import (
    ANSWER,
    CLOSE,
    DIALECT,
    END,
    TEXTUAL,
    duet,
    in_turn,
    perform,
    spans,
)


def test_a_marker_in_plain_text_is_left_alone_where_the_model_has_a_token() -> None:
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" print('", "</think>", "')", " <", "think", ">", CLOSE])
    )
    _, recorder = perform(composed)
    assert spans(recorder)[1] == ("teacher", "capability", " print('</think>') <think>")
    assert recorder.spans[-2].text == "\n</think>\n\n"


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_a_textual_marker_is_found_however_it_is_cut(chunk: int, ids: bool) -> None:
    how = {"chunk": chunk, "ids": ids}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" a", "</", " b", ".</", "thi", "nk", ">\n", "x"]),
        student_is=how,
        teacher_is=how,
        dialect=TEXTUAL,
    )
    _, recorder = perform(composed)
    assert "".join(span.text for span in recorder.spans) == "<think>\nOkay, a</ b.\n</think>\n\nIt is 4."
    assert recorder.spans[2].reencoded is ids
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE_TEXT
    assert recorder.closed_by is Author.TEACHER


@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_a_server_that_tells_no_ids_closes_by_the_spelling_of_the_token(chunk: int) -> None:
    how = {"chunk": chunk, "ids": False}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER), in_turn([" a", " b.", CLOSE, "\n", "x"]), student_is=how, teacher_is=how
    )
    _, recorder = perform(composed)
    assert "".join(span.text for span in recorder.spans) == "<think>\nOkay, a b.\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE_TEXT
    assert recorder.spans[2].ids_from is IdsFrom.NONE


def test_a_code_fence_that_one_author_opened_is_one_for_the_other() -> None:
    how = {"ids": False}
    composed = duet(
        in_turn(["Okay,", " x"], ["Say('", "</think>", "')\n", "x"], ANSWER),
        in_turn(["\n```\n", "x(1)\n", "Say"], ["```\n", CLOSE, "x"]),
        student_is=how,
        teacher_is=how,
    )
    _, recorder = perform(composed)
    assert "".join(s.text for s in recorder.spans[1:-2]) == "Okay,\n```\nx(1)\nSay('</think>')\n```\n"
    assert recorder.spans[-2].text == "</think>\n\n"
    assert recorder.closed_by is Author.TEACHER


def test_an_end_of_turn_that_comes_as_text_is_not_stored() -> None:
    how = {"ids": False}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait", CLOSE], ["It", " is", " 4.", "<|im_", "end|>", "\n", "x"]),
        in_turn([" four", "<|im_end|>", "\n"]),
        student_is=how,
        teacher_is=how,
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert spans(recorder)[1:] == [
        ("teacher", "capability", " four"),
        ("student", "style", " Wait"),
        ("student", "answer", "It is 4."),
    ]
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN


@pytest.mark.parametrize("chunk", [1, 50])
@pytest.mark.parametrize("foreign", ["<think>", "<|im_start|>"])
def test_a_control_token_that_is_no_end_ends_the_turn_and_is_no_text(foreign: str, chunk: int) -> None:
    how = {"chunk": chunk}
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" Wait", Control(foreign), " Then"], ["It", " is", " 4.", CLOSE, " x"]),
        in_turn([" four", Control(foreign), " is"]),
        student_is=how,
        teacher_is=how,
    )
    for voice in composed.voices.values():
        voice.engine.controls = tuple(voice.engine.vocabulary.controls)
        voice.__post_init__()
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four Wait\n</think>\n\nIt is 4."
    assert [span.end for span in recorder.spans[1:4]] == [SpanEnd.BOUNDARY, SpanEnd.END_OF_TURN, SpanEnd.END_OF_TURN]
    assert recorder.closed_by is Author.STUDENT


def test_another_token_may_close_the_thinking_too() -> None:
    dialect = replace(DIALECT, also_close=("<|im_start|>",))
    composed = duet(
        in_turn(["Okay,", " 4", " x"], ANSWER),
        in_turn([" four", Control("<|im_start|>"), "final", " x"]),
        dialect=dialect,
    )
    _, recorder = perform(composed)
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.THINK_CLOSE
    assert recorder.closed_by is Author.TEACHER


@pytest.mark.parametrize("ids", [True, False])
def test_what_begins_the_next_turn_ends_its_own(ids: bool) -> None:
    """A base model does not stop: it asks itself the next question."""
    dialect = replace(DIALECT, next_turn=("\nQuestion:",))
    composed = duet(
        in_turn(["Okay,", " 4", " x"], [" so"], ["It", " is", " 4.\n", "Quest", "ion:", " 5?", END]),
        in_turn([" four\n", "\nQues", "tion: 5?", " x"]),
        dialect=dialect,
        student_is={"ids": ids},
        teacher_is={"ids": ids},
    )
    ending, recorder = perform(composed)
    assert ending.status is Status.COMPLETE
    assert "".join(s.text for s in recorder.spans) == "<think>\nOkay, four\n so\n</think>\n\nIt is 4."
    assert recorder.spans[2].end is SpanEnd.END_OF_TURN
