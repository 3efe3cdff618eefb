"""JSON in answers: found, held against a schema, compared with expected calls."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from antiphon.trace import Label
from antiphon.verify.schema import SchemaVerifier, json_of
from antiphon.verify.workers import Workers

from .asking import problem, verdict

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
CANCEL = {"name": "cancel_order", "arguments": {"order": "W1", "items": [1, 2], "reason": {"code": 7}}}
REFUND = {"name": "refund", "arguments": {"order": "W1", "paid": True}}


@pytest.fixture(scope="module")
def verifier(workers: Workers) -> SchemaVerifier:
    return SchemaVerifier(workers)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"n": 1}', {"n": 1}),
        ('So:\n```json\n{"n": 1}\n```\nDone.', {"n": 1}),
        ('```json\n{"n": 1}\n```\n```json\n{"n": 2}\n```', {"n": 2}),
        ('```json\n{"n": 1}\n```\n```python\nprint({})\n```', {"n": 1}),
        ('Action:\n{"n": 1}', {"n": 1}),
        ('{"n": 0}\nno:\n  {"n": 1}\nso it is.', {"n": 1}),
        ('<tool_call>\n{"n": 1}\n</tool_call>', {"n": 1}),
        ('<tool_call>{"n": 1}</tool_call>\n<tool_call>{"n": 2}</tool_call>', [{"n": 1}, {"n": 2}]),
        ('{"n": 1}</tool_call>\n<tool_call>{"n": 2}</tool_call>\n<tool_call>{"n": 3}', {"n": 2}),
        ('{"n":\n[\n{"m": 1}\n]}', {"n": [{"m": 1}]}),
    ],
)
def test_where_the_json_is(answer: str, value: Any) -> None:
    assert json_of(answer) == value


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        '{"n": 1',
        "```json\n{n: 1}\n```",
        '{"n": NaN}',
        "[" * 100_000,
        "```json\n" + "[" * 100_000 + "\n```",
        '{"n": ' + "9" * 10_000 + "}",
        "<tool_call>cancel</tool_call>",
    ],
    ids=range(8),
)
def test_no_json_is_no_answer(verifier: SchemaVerifier, answer: str) -> None:
    assert verdict(verifier, problem(schema=SCHEMA), answer).label is Label.NO_ANSWER


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"n": 1}', Label.RIGHT),
        ('{"n": 1.0}', Label.RIGHT),
        ('{"n": "1"}', Label.WRONG),
        ("{}", Label.WRONG),
        ('{"n": 1, "m": 2}', Label.WRONG),
        ("[]", Label.WRONG),
    ],
)
def test_a_schema(verifier: SchemaVerifier, answer: str, label: Label) -> None:
    assert verdict(verifier, problem(schema=SCHEMA), answer).label is label
    assert verdict(verifier, problem(schema=json.dumps(SCHEMA)), answer).label is label


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "nonsense"}, {}),
        ("{", {}),
        ({"$ref": "#/nowhere"}, {}),
        ({"$ref": "#"}, {}),
        ({"properties": {"a": {"type": "nonsense"}}}, {}),  # also where the value does not come to it
        ({"properties": {"a": {"pattern": "("}}}, {"a": "x"}),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, {"a": "a" * 50 + "b"}),
        ([], {}),
    ],
)
def test_a_broken_schema_is_named_with_its_place(workers: Workers, schema: Any, value: Any) -> None:
    given = verdict(SchemaVerifier(workers, seconds=0.4), problem(schema=schema), json.dumps(value))
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.startswith("problems.jsonl:3: ")


def test_a_schema_from_the_net_is_not_fetched(verifier: SchemaVerifier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        schema = {"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema"}
        assert verdict(verifier, problem(schema=schema), "{}").label is Label.CANNOT_JUDGE
        with pytest.raises(BlockingIOError):
            server.accept()


def call(value: Any) -> str:
    return f"<tool_call>\n{json.dumps(value)}\n</tool_call>"


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (call(CANCEL) + call(REFUND), Label.RIGHT),
        (json.dumps([CANCEL, REFUND]), Label.RIGHT),
        (json.dumps({"tool_calls": [{"type": "function", "function": CANCEL}, REFUND]}), Label.RIGHT),
        (call(CANCEL | {"arguments": json.dumps(CANCEL["arguments"])}) + call(REFUND), Label.RIGHT),
        (call({"name": "cancel_order", "kwargs": CANCEL["arguments"]}) + call(REFUND), Label.RIGHT),
        (call({"name": "cancel_order", "parameters": CANCEL["arguments"]}) + call(REFUND), Label.RIGHT),
        (call(REFUND) + call(CANCEL), Label.WRONG),
        (call(CANCEL), Label.WRONG),
        (call(CANCEL) * 2 + call(REFUND), Label.WRONG),
        (call(CANCEL) + call(REFUND | {"arguments": {"order": "W1", "paid": 1}}), Label.WRONG),
        (call(CANCEL) + call(REFUND | {"arguments": {"order": "W1", "paid": True, "note": ""}}), Label.WRONG),
        (call(CANCEL) + call({"arguments": {}}), Label.WRONG),
        (call(CANCEL) + call("refund"), Label.WRONG),
        ("I have cancelled it.", Label.NO_ANSWER),
    ],
    ids=range(14),
)
def test_expected_calls(verifier: SchemaVerifier, answer: str, label: Label) -> None:
    given = verdict(verifier, problem(expected_calls=[CANCEL, REFUND]), answer)
    assert given.label is label, given.detail


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (call(REFUND) + call(CANCEL), "it calls refund, cancel_order instead of cancel_order, refund"),
        (call(CANCEL), "it calls cancel_order instead of cancel_order, refund"),
        ("[]", "it calls nothing instead of cancel_order, refund"),
        (
            call(CANCEL) + call(REFUND | {"arguments": {"order": "W2"}}),
            "refund is called with {'order': 'W2'} instead of {'order': 'W1', 'paid': True}",
        ),
    ],
    ids=range(4),
)
def test_wrong_calls_are_told_apart(verifier: SchemaVerifier, answer: str, detail: str) -> None:
    given = verdict(verifier, problem(expected_calls=[CANCEL, REFUND]), answer)
    assert (given.label, given.detail) == (Label.WRONG, detail)


def test_calls_in_any_order(verifier: SchemaVerifier) -> None:
    asked = problem(expected_calls=[CANCEL, REFUND], any_order=True)
    assert verdict(verifier, asked, call(REFUND) + call(CANCEL)).label is Label.RIGHT
    assert verdict(verifier, asked, call(REFUND) * 2).label is Label.WRONG


def test_no_call_where_none_is_expected(verifier: SchemaVerifier) -> None:
    asked = problem(expected_calls=[])
    assert verdict(verifier, asked, "I cannot do that.").label is Label.RIGHT
    given = verdict(verifier, asked, call(REFUND))
    assert (given.label, given.detail) == (Label.WRONG, "it calls refund instead of nothing")


def test_a_schema_and_calls_must_both_hold(verifier: SchemaVerifier) -> None:
    asked = problem(expected_calls=[REFUND], schema={"required": ["id"]})
    assert verdict(verifier, asked, call(REFUND)).label is Label.WRONG
    assert verdict(verifier, asked, call(REFUND | {"id": 1})).label is Label.RIGHT


@pytest.mark.parametrize("calls", [["refund"], [{"arguments": {}}], [{"name": "x", "arguments": "("}], 7, None])
def test_broken_calls_are_named_with_their_place(verifier: SchemaVerifier, calls: Any) -> None:
    given = verdict(verifier, problem(expected_calls=calls), call(REFUND))
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.startswith("problems.jsonl:3: ")


def test_what_it_suits(verifier: SchemaVerifier) -> None:
    assert verifier.suits(problem(schema=SCHEMA))
    assert verifier.suits(problem(schema='{"type": "object"}'))
    assert verifier.suits(problem(expected_calls=[]))
    assert not verifier.suits(problem(schema="CREATE TABLE t(a)"))
    assert not verifier.suits(problem())
