"""From a row of a published data set to a problem and the responses to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from antiphon.boundary.making.thinking import text_of_content, thinking_in
from antiphon.errors import ProblemError
from antiphon.imports.response import Response, apart, inline
from antiphon.problem import Problem
from antiphon.problem.record import problem_of
from antiphon.trace import Label

_RESPONSES = ("response", "output", "completion", "generation")
_THINKING = ("reasoning_content", "reasoning", "thinking")
_PARTED = ("deepseek_reasoning", "deepseek_solution")
_CONVERSATIONS = ("dialogs", "conversations", "messages")
_ENDINGS = ("complete", "finish_reason", "finish_reasons", "is_reasoning_complete")
_VERDICTS = ("correct", "is_correct")
_VERDICT = "correctness_"
_ROLES = {"human": "user", "gpt": "assistant"}
_LABELS = {True: Label.RIGHT, False: Label.WRONG}


class Answer(NamedTuple):
    """One response of a row. `made` says whether its markers are ours, `cut` whether the row says that it was cut off,
    `labels` what the row says of it by the field that says so, in the order of the fields. `number` is its place among
    several of the row, None where the row has one."""

    response: Response
    made: bool
    cut: bool
    labels: tuple[tuple[str, Label], ...]
    number: int | None


class Row(NamedTuple):
    """What a row holds. A response that cannot be read is an error in its place."""

    problem: Problem
    model: str | None
    answers: tuple[Answer | ProblemError, ...]


def row_of(fields: Mapping[str, Any], format: str | None = None, *, source: str = "", line: int | None = None) -> Row:
    """What a row holds.

    Args:
        fields: the row, values as JSON has them.
        format: one of `FORMATS`; None: as its fields tell.
        source, line: where it stands.

    Raises:
        ProblemError: it states no problem, or holds no response; without its place.
    """
    about, found = FORMATS[format or _told(fields)](fields)
    about = {name: value for name, value in about.items() if not _is_of_an_answer(name, value)}
    model = about.pop("model", None)
    problem = problem_of(about, source=source, line=line)
    return Row(problem, model if isinstance(model, str) and model.strip() else None, tuple(found))


def _told(fields: Mapping[str, Any]) -> str:
    if isinstance(fields.get("generations"), list):
        return "openr1"
    if fields.get("dialogs") is not None:
        return "tessy"
    if fields.get("conversations") is not None or fields.get(_PARTED[1]) is not None:
        return "openthoughts"
    if any(fields.get(name) is not None for name in _RESPONSES):
        return "traces"
    if fields.get("messages") is not None:
        return "messages"
    wanted = ", ".join(("dialogs", "conversations", "messages", "generations", *_RESPONSES))
    raise ProblemError(f"no field holds a response (looked for: {wanted})")


_Found = tuple[dict[str, Any], Iterator[Answer | ProblemError]]
"""The fields that state the problem, those that say something of a response among them; the responses."""


def _conversation(name: str) -> Callable[[Mapping[str, Any]], _Found]:
    """Rows whose last message is the response."""

    def read(fields: Mapping[str, Any]) -> _Found:
        messages = _messages(fields.get(name), name)
        reply = messages.pop() if messages and messages[-1].get("role") == "assistant" else None
        if reply is None:
            raise ProblemError(f"{name!r} does not end in an assistant message, so there is no response")
        if reply.get("tool_calls") or reply.get("function_call"):
            raise ProblemError(f"the response in {name!r} calls tools, which is not supported")
        system = fields.get("system")
        if isinstance(system, str) and system.strip() and not (messages and messages[0].get("role") == "system"):
            messages.insert(0, {"role": "system", "content": system})
        about = {key: value for key, value in fields.items() if key not in (*_CONVERSATIONS, "system")}
        return {**about, "messages": messages}, _one(fields, reply, reply.get("content"))

    return read


def _openthoughts(fields: Mapping[str, Any]) -> _Found:
    thinking, answer = (fields.get(name) for name in _PARTED)
    if fields.get("conversations") is not None or answer is None:
        return _conversation("conversations")(fields)
    about = {name: value for name, value in fields.items() if name not in _PARTED}
    return about, _one(fields, {_THINKING[0]: thinking}, answer)


def _openr1(fields: Mapping[str, Any]) -> _Found:
    texts = fields.get("generations")
    if not isinstance(texts, list) or not texts:
        raise ProblemError("'generations' is no list of responses")
    about = {name: value for name, value in fields.items() if name not in ("generations", *_CONVERSATIONS)}
    if "uuid" in about:
        about = {"id": about.pop("uuid"), **about}
    return about, (_answer(fields, {}, text, number) for number, text in enumerate(texts))


def _traces(fields: Mapping[str, Any]) -> _Found:
    text = _first(fields, _RESPONSES)
    about = {name: value for name, value in fields.items() if name not in (*_RESPONSES, *_THINKING)}
    return about, _one(fields, fields, text)


FORMATS: dict[str, Callable[[Mapping[str, Any]], _Found]] = {
    "tessy": _conversation("dialogs"),
    "openthoughts": _openthoughts,
    "openr1": _openr1,
    "messages": _conversation("messages"),
    "traces": _traces,
}
"""The shapes of rows, by name."""


def _one(fields: Mapping[str, Any], holder: Mapping[str, Any], content: Any) -> Iterator[Answer | ProblemError]:
    yield _answer(fields, holder, content, None)


def _answer(
    fields: Mapping[str, Any], holder: Mapping[str, Any], content: Any, number: int | None
) -> Answer | ProblemError:
    """A response: its text, or the thinking that its holder tells apart and the text."""
    which = "the response" if number is None else f"generation {number + 1}"
    if content is not None and not isinstance(content, (str, list)):
        return ProblemError(f"{which} is no text")
    text = text_of_content(content)
    thoughts = [_first(holder, _THINKING)]
    if isinstance(content, list):
        thoughts += [text_of_content(part.get("thinking")) for part in content if isinstance(part, Mapping)]
    thinking = "".join(thought for thought in thoughts if isinstance(thought, str))
    if not text.strip() and not thinking.strip():
        return ProblemError(f"{which} is empty")
    cut = _is_cut(fields, number or 0)
    made = bool(thinking.strip()) and not _repeats(text, thinking)
    response = apart(thinking, text, cut=cut) if made else inline(text, cut=cut)
    return Answer(response, made, cut, tuple(_labels(fields, number or 0)), number)


def _repeats(text: str, thinking: str) -> bool:
    """Whether a text holds the thinking that stands beside it, too."""
    found = thinking_in(text)
    return found is not None and text[slice(*found)].strip() == thinking.strip()


def _is_cut(fields: Mapping[str, Any], number: int) -> bool:
    return (
        fields.get("complete") is False
        or _at(fields.get("finish_reason"), number) == "length"
        or _at(fields.get("finish_reasons"), number) == "length"
        or _at(fields.get("is_reasoning_complete"), number) is False
    )


def _labels(fields: Mapping[str, Any], number: int) -> Iterator[tuple[str, Label]]:
    for name, value in fields.items():
        if name in _VERDICTS or name.startswith(_VERDICT):
            told = _at(value, number)
            if isinstance(told, bool):
                yield name, _LABELS[told]


def _is_of_an_answer(name: str, value: Any) -> bool:
    """Whether a field tells of a response and not of the problem."""
    judges = name in _VERDICTS or name.startswith(_VERDICT)
    return name in _ENDINGS or (judges and (value is None or isinstance(value, (bool, list))))


def _at(value: Any, number: int) -> Any:
    """The entry of a list that goes with a response; what is no list goes with all."""
    if not isinstance(value, list):
        return value
    return value[number] if number < len(value) else None


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some fields that says something."""
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)


def _messages(value: Any, name: str) -> list[dict[str, Any]]:
    """The messages of a conversation as role and content: also of one by column, in the words `from` and `value`, or as
    JSON in a text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ProblemError(f"{name!r} is text, not a list of messages") from None
    if isinstance(value, Mapping) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            raise ProblemError(f"the columns of {name!r} are not of one length")
        value = [dict(zip(value, entries, strict=True)) for entries in zip(*value.values(), strict=True)]
    if not isinstance(value, list) or not all(isinstance(message, Mapping) for message in value):
        raise ProblemError(f"{name!r} is no list of messages")
    return [_message(message) for message in value]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    if "from" not in message and "value" not in message:
        return dict(message)
    role = message.get("from")
    rest = {name: value for name, value in message.items() if name not in ("from", "value")}
    return {**rest, "role": _ROLES.get(role, role) if isinstance(role, str) else role, "content": message.get("value")}
