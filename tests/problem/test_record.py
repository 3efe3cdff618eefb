"""Which field is the conversation, which the id, and what becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.dialect import Message
from antiphon.errors import ProblemError
from antiphon.problem import content_id
from antiphon.problem.record import TEXTS, problem_of, template_of


def user(text: str) -> Message:
    return Message(role="user", content=text)


def refused(record: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ProblemError) as caught:
        problem_of(record, **options)
    return str(caught.value)


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_the_first_text_field_in_order_is_the_problem(number: int) -> None:
    record = {name: f"the {name}" for name in TEXTS[number:]}
    problem = problem_of(record)
    assert problem.messages == (user(f"the {TEXTS[number]}"),)
    assert problem.metadata == {name: f"the {name}" for name in TEXTS[number + 1 :]}


def test_a_null_field_is_passed_over() -> None:
    problem = problem_of({"problem": None, "question": "why?"})
    assert problem.messages == (user("why?"),)
    assert problem.metadata == {"problem": None}


def test_an_instruction_takes_its_input_along() -> None:
    assert problem_of({"instruction": "Sort.", "input": "3 1 2"}).messages == (user("Sort.\n\n3 1 2"),)
    assert problem_of({"instruction": "Sort.", "input": "3 1 2"}).metadata == {}
    bare = problem_of({"instruction": "Sing.", "input": "", "output": "la"})
    assert bare.messages == (user("Sing."),)
    assert bare.metadata == {"input": "", "output": "la"}
    assert "'input' is a list, not text" in refused({"instruction": "Sort.", "input": [3, 1]})


@pytest.mark.parametrize("name", ["messages", "dialogs", "prompt"])
def test_messages_stay_messages(name: str) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Who are you?"},
    ]
    problem = problem_of({name: messages, "level": 3})
    assert list(problem.messages) == messages
    assert problem.metadata == {"level": 3}


def test_a_finished_exchange_gives_its_reply_as_reference() -> None:
    dialogs = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "<think>\n1\n</think>\n\n2"}]
    problem = problem_of({"id_ddm": "x", "dialogs": dialogs})
    assert problem.id == "x"
    assert problem.messages == (user("1+1?"),)
    assert problem.metadata == {"reference": "<think>\n1\n</think>\n\n2"}
    assert "rename it" in refused({"dialogs": dialogs, "reference": "another"})


def test_conversations_stored_by_column_or_as_json_text_are_read() -> None:
    by_column = {"role": ["user", "assistant"], "content": ["1+1?", "2"]}
    assert problem_of({"messages": by_column}).metadata == {"reference": "2"}
    as_text = '[{"role": "user", "content": "1+1?"}]'
    assert problem_of({"messages": as_text}).messages == (user("1+1?"),)
    assert "is an object" in refused({"messages": {"role": ["user"], "content": ["a", "b"]}})


def test_what_a_message_says_beside_role_and_text_is_kept_as_metadata() -> None:
    messages = [{"role": "user", "content": "1+1?", "name": "Ann"}]
    assert problem_of({"messages": messages}).metadata == {"messages": messages}
    parts = [{"role": "user", "content": [{"type": "text", "text": "1+"}, {"type": "text", "text": "1?"}]}]
    problem = problem_of({"messages": parts})
    assert problem.messages == (user("1+1?"),)
    assert problem.metadata == {"messages": parts}
    assert problem_of({"messages": [{"role": "user", "content": "1+1?", "name": None}]}).metadata == {}


def test_a_named_field_wins() -> None:
    record = {"problem": "no", "Question Text": "yes"}
    problem = problem_of(record, field="Question Text")
    assert problem.messages == (user("yes"),)
    assert problem.metadata == {"problem": "no"}
    assert "field 'text' is missing; the record has 'problem'" in refused(record, field="text")
    assert "field 'text' is null" in refused({"text": None}, field="text")


def test_a_template_writes_the_text_and_all_fields_stay() -> None:
    record = {"id": 1, "a": 2, "b": 3, "odd name": "!"}
    problem = problem_of(record, ask=template_of('{{ a }} + {{ b }}{{ record["odd name"] }}'))
    assert problem.messages == (user("2 + 3!"),)
    assert problem.metadata == {"a": 2, "b": 3, "odd name": "!"}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ c }}", "'c' is undefined"),
        ("{{ a.__class__.__mro__ }}", "unsafe"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ a * 0 }}", "the text of the template is empty"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
    ],
)
def test_a_template_that_does_not_fit_a_record_is_that_records_fault(template: str, says: str) -> None:
    assert says in refused({"a": "x"}, ask=template_of(template))


def test_a_template_that_is_not_valid_is_refused_at_once() -> None:
    with pytest.raises(ProblemError, match="line 2"):
        template_of("a\n{% if %}")


@pytest.mark.parametrize("name", ["id", "problem_id", "id_ddm", "task_id", "unique_id", "question_id"])
@pytest.mark.parametrize(("value", "spelled"), [("a/1", "a/1"), (7, "7"), (7.0, "7"), (0, "0"), (1.5, "1.5")])
def test_the_records_own_id(name: str, value: Any, spelled: str) -> None:
    problem = problem_of({name: value, "problem": "p"})
    assert problem.id == spelled
    assert problem.metadata == {}


def test_the_first_id_field_counts_and_the_others_stay() -> None:
    problem = problem_of({"unique_id": "u", "problem_id": "p", "id": None, "problem": "text"})
    assert problem.id == "p"
    assert problem.metadata == {"unique_id": "u", "id": None}


@pytest.mark.parametrize("value", [None, "", "NaN"])
def test_an_id_that_says_nothing_gives_way_to_the_content(value: Any) -> None:
    assert problem_of({"id": value, "problem": "text"}).id == content_id([user("text")])


def test_a_content_id_is_stable_and_covers_roles_and_bounds() -> None:
    assert content_id([user("2+2?")]) == "89b50da3557605f2"
    several = [
        [user("ab")],
        [user("a"), user("b")],
        [Message(role="system", content="ab")],
        [user("ab\ud800")],
        [user("")],
    ]
    assert len({content_id(messages) for messages in several}) == len(several)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({}, "the record is empty"),
        ({"text": "x"}, "no field states the problem"),
        ({"problem": None}, "'problem' is null"),
        ({"problem": ""}, "the text of 'problem' is empty"),
        ({"problem": " \n\u3000"}, "the text of 'problem' is empty"),
        ({"problem": 5}, "'problem' is a number"),
        ({"problem": True}, "'problem' is true"),
        ({"problem": {"a": 1}}, "'problem' is an object"),
        ({"prompt": ["a"]}, "message 1 of 'prompt' is text"),
        ({"messages": []}, "'messages' holds no messages"),
        ({"messages": "hello"}, "'messages' is text, not a list"),
        ({"messages": "[" * 100_000}, "'messages' is text, not a list"),
        ({"messages": [{"role": "user"}]}, "the content of message 1 of 'messages' is null"),
        ({"messages": [{"role": "user", "content": ""}]}, "the text of message 1 of 'messages' is empty"),
        ({"messages": [{"role": "user", "content": 3}]}, "is a number, not text"),
        ({"messages": [{"content": "x"}]}, "has the role None"),
        ({"messages": [{"role": "human", "content": "x"}]}, "has the role 'human', not one of system, user, assistant"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "has the role ['user']"),
        ({"messages": [{"role": "system", "content": "x"}]}, "no user message to reply to"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user message to reply to"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "'image_url'"),
        ({"id": ["x"], "problem": "p"}, "'id' is a list"),
        ({"id": True, "problem": "p"}, "'id' is true"),
    ],
)
def test_missing_fields_nulls_and_wrong_types_are_named(record: dict[str, Any], says: str) -> None:
    assert says in refused(record)


@pytest.mark.parametrize(
    "record",
    [
        {"tools": [{"name": "search"}], "messages": [{"role": "user", "content": "x"}]},
        {"functions": [{"name": "search"}], "problem": "x"},
        {"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "3"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "function", "content": "3"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{}]}]},
    ],
)
def test_conversations_with_tools_are_refused_by_name(record: dict[str, Any]) -> None:
    assert "conversations with tools are not supported" in refused(record)


@pytest.mark.parametrize("nothing", [None, [], "", "[]"])
def test_a_tools_column_without_tools_is_metadata(nothing: Any) -> None:
    assert problem_of({"tools": nothing, "problem": "x"}).metadata == {"tools": nothing}
