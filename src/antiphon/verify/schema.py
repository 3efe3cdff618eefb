"""JSON in an answer: does it keep a schema, are its tool calls the expected ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown
from antiphon.verify.fences import fenced
from antiphon.verify.workers import Stopped, Workers

SECONDS = 5.0
LONGEST = 1_000_000
"""Characters of an answer that are looked at."""

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_BEGINS = re.compile(r"^[ \t]*(?=[{\[])", re.MULTILINE)
_TRIES = 1_000  # beginnings of JSON that are looked at
_ARGUMENTS = ("arguments", "parameters", "kwargs")


class SchemaVerifier(Checker):
    """Judges the JSON of an answer by `schema` (a JSON schema), by `expected_calls` (tool calls), or by both.

    Calls are compared as data, in their order; with a field `any_order` that is true, in any.
    """

    name = "schema"
    version = "1"
    needs = {"jsonschema": "jsonschema"}  # noqa: RUF012

    def __init__(self, workers: Workers | None = None, *, seconds: float = SECONDS):
        self._workers = workers or Workers()
        self._seconds = seconds

    def suits(self, problem: Problem) -> bool:
        fields = problem.metadata
        schema = fields.get("schema")
        as_text = isinstance(schema, str) and schema.lstrip().startswith("{")
        return isinstance(schema, dict) or as_text or isinstance(fields.get("expected_calls"), list)

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        schema, expected = fields.get("schema"), fields.get("expected_calls")
        if schema is None and expected is None:
            raise BrokenCheck("it has neither 'schema' nor 'expected_calls'")
        if len(answer) > LONGEST:
            return Finding(Label.WRONG, f"it has more than {LONGEST} characters")
        arguments = (answer, schema, expected, bool(fields.get("any_order")))
        try:
            reply = await self._workers.ask("antiphon.verify.schema:judge", *arguments, seconds=self._seconds)
        except Stopped as error:
            raise BrokenCheck(f"the schema cannot be held against this answer: {error}") from None
        label, detail = reply.value
        if label == "broken":
            raise BrokenCheck(detail)
        return Finding(Label(label), detail, reply.seconds)


def judge(answer: str, schema: Any, expected: Any, any_order: bool) -> tuple[str, str]:
    """A label and its detail, or `broken` and how. It runs in a judging process."""
    try:
        wanted = None if expected is None else [_call(each) for each in expected]
    except (ValueError, TypeError) as error:
        return "broken", f"'expected_calls' holds what is no call: {error}"
    try:
        value = json_of(answer)
    except ValueError as error:
        if wanted == [] and schema is None and not _holds_json(answer):
            return Label.RIGHT, "no call, as expected"
        return Label.NO_ANSWER, str(error)
    if schema is not None:
        fault = _fault(value, schema)
        if fault is not None:
            return fault
    if wanted is None:
        return Label.RIGHT, ""
    try:
        calls = [_call(each) for each in _calls(value)]
    except (ValueError, TypeError) as error:
        return Label.WRONG, f"what it holds is no call: {error}"
    return _compared(wanted, calls, any_order)


def json_of(answer: str) -> Any:
    """The JSON of an answer: what stands in its `<tool_call>` marks, a list if they are several; else the last closed
    fenced block in JSON or in no language; else the whole; else the last that begins a line.

    Raises:
        ValueError: there is none; says why.
    """
    parts = (part.partition(_CLOSE) for part in answer.split(_OPEN)[1:])
    if calls := [call for call, closed, _ in parts if closed]:
        values = [_loaded(call) for call in calls]
        return values[0] if len(values) == 1 else values
    blocks = [block.text for block in fenced(answer) if block.language in ("json", "")]
    if blocks:
        return _loaded(blocks[-1])
    if answer.lstrip()[:1] in ("{", "[") and answer.rstrip()[-1:] in ("}", "]"):
        return _loaded(answer)
    decoder = json.JSONDecoder(parse_constant=_constant)
    value, end = None, -1
    for match in islice(_BEGINS.finditer(answer), _TRIES):
        if match.end() >= max(end, 0):
            try:
                value, end = decoder.raw_decode(answer, match.end())
            except (ValueError, RecursionError):
                continue
    if end < 0:
        raise ValueError("it holds no JSON")
    return value


def _holds_json(answer: str) -> bool:
    return _OPEN in answer or bool(fenced(answer)) or _BEGINS.search(answer) is not None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its JSON is not valid: {error}") from None


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _fault(value: Any, schema: Any) -> tuple[str, str] | None:
    """What the schema has against a value, as a label and its detail."""
    from jsonschema import SchemaError, ValidationError
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        if isinstance(schema, str):
            schema = json.loads(schema)
        kind = validator_for(schema)
        kind.check_schema(schema)
        kind(schema, registry=Registry()).validate(value)  # an empty registry fetches nothing
    except ValidationError as error:
        return Label.WRONG, f"{error.json_path}: {shown(error.message)}"
    except (SchemaError, Unresolvable, ValueError, TypeError, RecursionError) as error:
        return "broken", f"the schema is not valid: {shown(getattr(error, 'message', str(error)))}"
    return None


def _calls(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        return list(value["tool_calls"])
    return value if isinstance(value, list) else [value]


def _call(value: Any) -> tuple[str, Any]:
    """A call's name and arguments, of one written as OpenAI, Hermes or a support script does."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError(f"{shown(value)} has no name")
    arguments: Any = next((value[name] for name in _ARGUMENTS if value.get(name) is not None), {})
    if isinstance(arguments, str):
        arguments = _loaded(arguments)
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {value['name']} are {shown(arguments)}")
    return value["name"], arguments


def _compared(wanted: list[tuple[str, Any]], calls: list[tuple[str, Any]], any_order: bool) -> tuple[str, str]:
    given, due = [_key(call) for call in calls], [_key(call) for call in wanted]
    if given == due or (any_order and sorted(given) == sorted(due)):
        return Label.RIGHT, ""
    names = ", ".join(name for name, _ in calls) or "nothing"
    if [name for name, _ in calls] == [name for name, _ in wanted]:
        at = next(i for i, (one, other) in enumerate(zip(given, due, strict=True)) if one != other)
        return Label.WRONG, f"{calls[at][0]} is called with {shown(calls[at][1])} instead of {shown(wanted[at][1])}"
    return Label.WRONG, f"it calls {names} instead of {', '.join(name for name, _ in wanted) or 'nothing'}"


def _key(call: tuple[str, Any]) -> str:
    """Equal for calls that are the same data: 1 and 1.0 are, true and 1 are not."""
    return json.dumps(_whole(call), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, (list, tuple)) else value
