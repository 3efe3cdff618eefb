"""From a record to a problem: which field is the conversation, which the id; all others are metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from antiphon.dialect import Message
from antiphon.errors import ProblemError
from antiphon.problem.base import Problem, content_id

CONVERSATIONS = ("messages", "dialogs")
TEXTS = ("problem", "prompt", "question", "instruction", "query")
IDS = ("id", "problem_id", "id_ddm", "task_id", "unique_id", "question_id")
ROLES = ("system", "user", "assistant")
REFERENCE = "reference"

Ask = Callable[[Mapping[str, Any]], str]
"""Writes a problem's text from a record's fields; raises `ProblemError`."""


def problem_of(
    fields: Mapping[str, Any],
    *,
    field: str | None = None,
    ask: Ask | None = None,
    source: str = "",
    line: int | None = None,
) -> Problem:
    """The problem that a record states.

    Args:
        fields: the record, values as JSON has them.
        field: the field that holds the text or the messages; unset: the first of `CONVERSATIONS` and `TEXTS` that is
            not null (`instruction` takes `input` along).
        ask: writes the text from the record instead; all fields stay metadata then.
        source: where the record stands.
        line: its line there.

    Raises:
        ProblemError: what is wrong with the record, without its place.
    """
    _refuse_tools(fields)
    metadata = dict(fields)
    if ask is not None:
        messages: tuple[Message, ...] = (_user(ask(fields), "the template"),)
    else:
        name = field if field is not None else _stated_in(fields)
        if fields.get(name) is None:
            raise ProblemError(f"field {name!r} is {'null' if name in fields else 'missing'}; {_there_is(fields)}")
        value = metadata.pop(name)
        if name in CONVERSATIONS or not isinstance(value, str):
            messages, reply, whole = _conversation(value, name)
            if not whole:
                metadata[name] = value
            if reply is not None:
                if REFERENCE in metadata:
                    raise ProblemError(
                        f"{name!r} ends in an assistant message, which becomes {REFERENCE!r}, but there is a field"
                        f" {REFERENCE!r} already; rename it"
                    )
                metadata[REFERENCE] = reply
        else:
            text = value
            if field is None and name == "instruction" and metadata.get("input"):
                text = f"{value}\n\n{_text(metadata.pop('input'), 'input')}"
            messages = (_user(text, repr(name)),)
    own = _own_id(metadata)
    return Problem(content_id(messages) if own is None else own, messages, metadata, source, line)


def template_of(text: str) -> Ask:
    """Compiles a jinja2 template of a problem's text.

    The record's fields are its variables; `record` is the whole of it, for names that are no identifiers. It runs in
    jinja2's sandbox, and a name that the record lacks is an error.

    Raises:
        ProblemError: the template is not valid.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    try:
        template = environment.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        raise ProblemError(f"the template is not valid: line {error.lineno}: {error.message}") from None

    def ask(fields: Mapping[str, Any]) -> str:
        try:
            return template.render({"record": fields, **fields})
        except jinja2.UndefinedError as error:
            raise ProblemError(f"the template does not fit: {error.message}; {_there_is(fields)}") from None
        except Exception as error:  # the template is the user's program: whatever it raises is this record's fault
            raise ProblemError(f"the template fails: {type(error).__name__}: {error}") from None

    return ask


def _stated_in(fields: Mapping[str, Any]) -> str:
    for name in (*CONVERSATIONS, *TEXTS):
        if fields.get(name) is not None:
            return name
    wanted = ", ".join((*CONVERSATIONS, *TEXTS))
    nulls = [name for name in (*CONVERSATIONS, *TEXTS) if name in fields]
    what = f"{', '.join(map(repr, nulls))} is null" if nulls else "no field states the problem"
    raise ProblemError(f"{what} (looked for: {wanted}); {_there_is(fields)}; name one, or write a template")


def _there_is(fields: Mapping[str, Any]) -> str:
    """The names a record has, for an error message."""
    shown = ", ".join(_short(name) for name in list(fields)[:12])
    more = f" and {len(fields) - 12} more" if len(fields) > 12 else ""
    return f"the record has {shown}{more}" if fields else "the record is empty"


def _own_id(metadata: dict[str, Any]) -> str | None:
    """Takes the first id field that says something. Null, "" and NaN (a table's gap) say nothing."""
    for name in IDS:
        value = metadata.get(name)
        if value is None or value in ("", "NaN"):
            continue
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ProblemError(f"{name!r} is {_kind(value)}, not a text or a number")
        del metadata[name]
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # tables with gaps turn whole numbers into floats
        return str(value)
    return None


def _conversation(value: Any, name: str) -> tuple[tuple[Message, ...], str | None, bool]:
    """The messages to answer, the final reply if the exchange is finished, and whether that is all `value` says."""
    if isinstance(value, str):  # in tables a conversation is often JSON in a text column
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ProblemError(f"{name!r} is text, not a list of messages") from None
    if isinstance(value, Mapping):
        value = _by_message(value)
    if not isinstance(value, list):
        raise ProblemError(f"{name!r} is {_kind(value)}, not text or a list of messages")
    if not value:
        raise ProblemError(f"{name!r} holds no messages")
    messages = []
    whole = True
    for number, entry in enumerate(value, 1):
        message, plain = _message(entry, f"message {number} of {name!r}")
        messages.append(message)
        whole = whole and plain
    reply = messages.pop()["content"] if messages[-1]["role"] == "assistant" else None
    if not messages or messages[-1]["role"] != "user":
        raise ProblemError(f"{name!r} has no user message to reply to at its end")
    return tuple(messages), reply, whole


def _by_message(columns: Mapping[str, Any]) -> Any:
    """A conversation stored by column, as lists of roles and contents of one length; anything else as it is."""
    roles, contents = columns.get("role"), columns.get("content")
    if not isinstance(roles, list) or not isinstance(contents, list) or len(roles) != len(contents):
        return columns
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]


def _message(entry: Any, which: str) -> tuple[Message, bool]:
    """One message, and whether it says no more than role and text."""
    if not isinstance(entry, Mapping):
        raise ProblemError(f"{which} is {_kind(entry)}, not an object with role and content")
    role, content = entry.get("role"), entry.get("content")
    if role in ("tool", "function"):
        raise ProblemError(f"{which} has the role {role!r}: conversations with tools are not supported")
    for name in ("tool_calls", "function_call"):
        if entry.get(name):
            raise ProblemError(f"{which} has {name!r}: conversations with tools are not supported")
    if role not in ROLES:
        raise ProblemError(f"{which} has the role {_short(role)}, not one of {', '.join(ROLES)}")
    more = any(value is not None for name, value in entry.items() if name not in ("role", "content"))
    if isinstance(content, list):
        text, more = _joined(content, which), True
    else:
        text = _text(content, f"the content of {which}", quoted=False)
    if role == "user":
        return _user(text, which), not more
    return Message(role=role, content=text), not more


def _joined(parts: Sequence[Any], which: str) -> str:
    """The text of a content written as a list of parts."""
    texts = []
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = _short(part.get("type")) if isinstance(part, Mapping) else _kind(part)
            raise ProblemError(f"{which} has a part that is not text ({kind}); only text can be asked")
        texts.append(part["text"])
    return "".join(texts)


def _user(text: str, which: str) -> Message:
    if not text.strip():
        raise ProblemError(f"the text of {which} is empty")
    return Message(role="user", content=text)


def _text(value: Any, which: str, quoted: bool = True) -> str:
    if not isinstance(value, str):
        raise ProblemError(f"{repr(which) if quoted else which} is {_kind(value)}, not text")
    return value


def _refuse_tools(fields: Mapping[str, Any]) -> None:
    for name in ("tools", "functions"):
        if fields.get(name) not in (None, "", [], {}, "[]", "null"):
            raise ProblemError(f"the record has tool schemas ({name!r}): conversations with tools are not supported")


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, Mapping) else "a list"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
