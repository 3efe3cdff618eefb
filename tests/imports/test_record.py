"""Rows of every shape: the problem, the responses, what the row says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.errors import ProblemError
from antiphon.imports.record import FORMATS, Answer, Row, row_of
from antiphon.trace import Label

TEXT = "<think>\nA.\n</think>\n\nB"
ASKED = {"role": "user", "content": "1+1?"}
REPLY = {"role": "assistant", "content": TEXT}


def text_of(row: Row, number: int = 0) -> str:
    answer = row.answers[number]
    assert isinstance(answer, Answer)
    opening, thinking, closing, rest, ending, _ = answer.response
    return f"{opening}{thinking or ''}{closing}{rest}{ending}"


SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("tessy", {"id_ddm": "7", "dialogs": [ASKED, REPLY]}),
    ("tessy", {"id_ddm": "7", "dialogs": json.dumps([ASKED, REPLY])}),
    ("tessy", {"id_ddm": 7, "dialogs": {"role": ["user", "assistant"], "content": ["1+1?", TEXT]}}),
    ("openthoughts", {"conversations": [{"from": "user", "value": "1+1?"}, {"from": "assistant", "value": TEXT}]}),
    ("openthoughts", {"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": TEXT}]}),
    ("openthoughts", {"problem": "1+1?", "deepseek_reasoning": "A.", "deepseek_solution": "B", "test_cases": None}),
    ("openr1", {"problem": "1+1?", "generations": [TEXT], "messages": [ASKED, REPLY], "uuid": "7"}),
    ("messages", {"messages": [ASKED, REPLY]}),
    ("messages", {"messages": [ASKED, {"role": "assistant", "reasoning_content": "A.", "content": "B"}]}),
    ("messages", {"messages": [ASKED, {"role": "assistant", "thinking": "A.", "content": TEXT}]}),
    (
        "messages",
        {
            "messages": [
                ASKED,
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "A."}, {"type": "text", "text": "B"}],
                },
            ]
        },
    ),
    ("traces", {"problem": "1+1?", "response": TEXT}),
    ("traces", {"instruction": "1+1?", "input": "", "output": TEXT}),
    ("traces", {"messages": [ASKED], "completion": "B", "reasoning": "A."}),
]


@pytest.mark.parametrize(("format", "fields"), SHAPES)
def test_every_shape_is_told_and_read(format: str, fields: dict[str, Any]) -> None:
    row = row_of(fields)
    assert row == row_of(fields, format)
    assert row.problem.messages == (ASKED,)
    assert text_of(row) == TEXT
    assert TEXT not in json.dumps(dict(row.problem.metadata))
    assert row.problem.id == ("7" if {"id_ddm", "uuid"} & set(fields) else row.problem.id)


def test_system_and_earlier_turns_are_the_problems() -> None:
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "1+1?"}]
    row = row_of({"system": "Be brief.", "conversations": [*talk, {"from": "gpt", "value": TEXT}]})
    assert [message["role"] for message in row.problem.messages] == ["system", "user", "assistant", "user"]
    assert "system" not in row.problem.metadata


def test_what_a_row_says_of_each_generation() -> None:
    row = row_of(
        {
            "problem": "1+1?",
            "answer": "2",
            "generations": [TEXT, "A.", None, ""],
            "correctness_math_verify": [False, True],
            "correctness_llama": [True, None],
            "correctness_count": 1,
            "finish_reasons": ["stop", "length", "stop", "stop"],
            "is_reasoning_complete": [True, False, None, None],
        }
    )
    first, second, *rest = row.answers
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert first.labels == (("correctness_math_verify", Label.WRONG), ("correctness_llama", Label.RIGHT))
    assert second.labels == (("correctness_math_verify", Label.RIGHT),)
    assert (first.cut, second.cut) == (False, True)
    assert [str(error) for error in rest] == ["generation 3 is empty", "generation 4 is empty"]
    assert row.problem.metadata == {"answer": "2", "correctness_count": 1}


def test_a_verdict_on_the_only_response() -> None:
    (answer,) = row_of({"problem": "1+1?", "response": TEXT, "correct": False}).answers
    assert isinstance(answer, Answer)
    assert answer.labels == (("correct", Label.WRONG),)


@pytest.mark.parametrize("cut", [{"complete": False}, {"finish_reason": "length"}])
def test_a_row_says_that_it_was_cut_off(cut: dict[str, Any]) -> None:
    (answer,) = row_of({"problem": "1+1?", "response": "<think>\nA.", **cut}).answers
    assert isinstance(answer, Answer)
    assert answer.cut


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"text": "x"}, "no field holds a response"),
        ({"messages": [ASKED]}, "does not end in an assistant message"),
        ({"messages": "nothing"}, "not a list of messages"),
        ({"dialogs": ["x"]}, "no list of messages"),
        ({"dialogs": {"role": ["user"], "content": []}}, "not of one length"),
        ({"messages": [REPLY]}, "'messages' holds no messages"),
        ({"messages": [ASKED, {**REPLY, "tool_calls": [{}]}]}, "calls tools"),
        ({"response": TEXT}, "no field states the problem"),
        ({"generations": [], "problem": "1+1?"}, "no list of responses"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ProblemError, match=says):
        row_of(fields)


def test_an_empty_response_is_an_error_in_its_place() -> None:
    for content in ("", " \n", None, 7):
        (answer,) = row_of({"messages": [ASKED, {"role": "assistant", "content": content}]}).answers
        assert isinstance(answer, ProblemError)


def test_every_format_is_tried() -> None:
    assert {format for format, _ in SHAPES} == set(FORMATS)
