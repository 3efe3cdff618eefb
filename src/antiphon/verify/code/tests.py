"""What a problem tests code by: functions called by a program of its own, or cases of input and expected output."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.problem import Problem
from antiphon.verify.checker import BrokenCheck
from antiphon.verify.code.answer import code_in, is_program

MOST = 1 << 28
"""Bytes that compressed cases may unpack to."""
_TEXT = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_AROUND = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A Python program that calls the answer's functions: at its top level, or in `check(candidate)`, which is given
    the function `entry_point`. `context` is the code that the problem states, "" where there is none.
    """

    source: str
    entry_point: str
    context: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what goes in, what is to come out.

    With a function to call, `input` holds its arguments, each JSON on a line of its own, `output` its value as JSON;
    without one they are stdin and stdout.
    """

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases, and the function that they call ("" none: the program is run, and reads and prints)."""

    cases: tuple[Case, ...]
    function: str


def suits(fields: Mapping[str, Any]) -> bool:
    """Whether a problem's fields look like tests of code."""
    if any(isinstance(fields.get(name), str) for name in ("tests", "test")):
        return bool(fields.get("entry_point"))
    return any(fields.get(name) for name in ("test_list", "public_test_cases", "private_test_cases", "input_output"))


def checks_of(problem: Problem) -> FunctionTests | Cases:
    """The tests that a problem's fields hold, the first of these that there is:

    - `tests` (or `test`) with `entry_point`: function tests as of HumanEval and MBPP; `test_list`: statements, as of
      MBPP's own rows, with `test_setup_code` and `test_imports` where given;
    - `public_test_cases` and `private_test_cases`: LiveCodeBench's rows. Each is JSON, the private ones often packed
      (`unpacked`); `testtype` says whether they call a function, whose name is `func_name` of the field `metadata`;
    - `input_output`: lists `inputs` and `outputs`, with `fn_name` where a function is called (APPS, TACO).

    Raises:
        BrokenCheck: there is none that can be used.
    """
    fields = problem.metadata
    source = fields.get("tests", fields.get("test"))
    if source is not None:
        entry = fields.get("entry_point")
        if not isinstance(source, str) or not is_program(source):
            raise BrokenCheck("'tests' is no Python program")
        if not isinstance(entry, str) or not entry.isidentifier():
            raise BrokenCheck(f"'entry_point' names no function: {entry!r}")
        return FunctionTests(source, entry, _context(problem))
    if fields.get("test_list") is not None:
        return FunctionTests(_listed(fields), "", _context(problem))
    if fields.get("input_output") is not None:
        return _inputs_outputs(fields["input_output"])
    return _livecodebench(fields)


def unpacked(text: str) -> Any:
    """Test cases as LiveCodeBench writes them: JSON, or base64 of zlib of a pickle of that JSON as one text.

    The pickle is read opcode by opcode and never executed: all it may hold is one text.

    Raises:
        BrokenCheck: it is neither, holds more than a text, or unpacks to more than `MOST` bytes.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        inflating = zlib.decompressobj()
        pickled = inflating.decompress(base64.b64decode(text, validate=True), MOST)
    except (binascii.Error, ValueError, zlib.error):
        raise BrokenCheck("test cases are neither JSON nor base64 of zlib") from None
    if inflating.unconsumed_tail:
        raise BrokenCheck(f"test cases unpack to more than {MOST >> 20} MiB")
    try:
        return json.loads(_pickled_text(pickled))
    except (ValueError, RecursionError):
        raise BrokenCheck("test cases unpack to no JSON") from None


def _pickled_text(pickled: bytes) -> str:
    found = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in _TEXT:
                found.append(argument)
            elif opcode.name not in _AROUND:
                raise BrokenCheck(f"test cases are a pickle of more than a text (opcode {opcode.name}); it was not run")
    except ValueError as error:
        raise BrokenCheck(f"test cases are a broken pickle: {error}") from None
    if len(found) != 1 or not isinstance(found[0], str):
        raise BrokenCheck("test cases are a pickle of no single text")
    return found[0]


def _context(problem: Problem) -> str:
    """The code that the problem's text states: all of it, or the last of its blocks."""
    stated = problem.messages[-1]["content"]
    if is_program(stated):
        return stated
    code = code_in(stated)
    return code.text if code is not None and is_program(code.text) else ""


def _listed(fields: Mapping[str, Any]) -> str:
    parts: list[Any] = []
    for name in ("test_imports", "test_setup_code", "test_list"):
        value = fields.get(name) or []
        parts += [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
    if not all(isinstance(part, str) for part in parts) or not is_program("\n".join(parts)):
        raise BrokenCheck("'test_list' is no list of Python statements")
    return "\n".join(parts)


def _livecodebench(fields: Mapping[str, Any]) -> Cases:
    rows: list[Any] = []
    for name in ("public_test_cases", "private_test_cases"):
        value = fields.get(name)
        value = unpacked(value) if isinstance(value, str) and value.strip() else value
        if value and not isinstance(value, list):
            raise BrokenCheck(f"{name!r} is no list of cases")
        rows += value or []
    cases, kinds = [], set()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise BrokenCheck(f"case {number} is no object")
        cases.append(_case(number, row.get("input"), row.get("output")))
        kinds.add(str(row.get("testtype", "stdin")))
    if not cases:
        raise BrokenCheck("there are no test cases")
    if kinds == {"stdin"}:
        return Cases(tuple(cases), "")
    if kinds != {"functional"}:
        raise BrokenCheck(f"'testtype' is {' and '.join(sorted(kinds))!r}, not 'stdin' or 'functional' of all")
    return Cases(tuple(_as_json(cases)), _function(fields))


def _function(fields: Mapping[str, Any]) -> str:
    """The function that functional cases call: by the row's own metadata, else the last that its starter defines."""
    metadata = fields.get("metadata")
    try:
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    except (ValueError, RecursionError):
        metadata = None
    name = metadata.get("func_name") if isinstance(metadata, dict) else None
    if not name:
        defined = re.findall(r"def +(\w+) *\(", str(fields.get("starter_code") or ""))
        name = defined[-1] if defined else None
    if not isinstance(name, str) or not name.isidentifier():
        raise BrokenCheck("the cases call a function, but neither 'metadata' nor 'starter_code' names one")
    return name


def _inputs_outputs(value: Any) -> Cases:
    value = unpacked(value) if isinstance(value, str) else value
    inputs, outputs = (value.get("inputs"), value.get("outputs")) if isinstance(value, dict) else (None, None)
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise BrokenCheck("'input_output' has no lists 'inputs' and 'outputs' of one length")
    name = value.get("fn_name")
    if name is None:
        pairs = enumerate(zip(map(_lines, inputs), map(_lines, outputs), strict=True), 1)
        return Cases(tuple(_case(number, *pair) for number, pair in pairs), "")
    if not isinstance(name, str) or not name.isidentifier() or not all(isinstance(each, list) for each in inputs):
        raise BrokenCheck("'input_output' names no function in 'fn_name', or has inputs that are no arguments")
    return Cases(
        tuple(
            Case("\n".join(map(json.dumps, given)), json.dumps(expected))
            for given, expected in zip(inputs, outputs, strict=True)
        ),
        name,
    )


def _lines(value: Any) -> Any:
    """Some rows give lines instead of a text."""
    return "\n".join(map(str, value)) if isinstance(value, list) else value


def _case(number: int, given: Any, expected: Any) -> Case:
    if not isinstance(given, str) or not isinstance(expected, str):
        raise BrokenCheck(f"case {number} has no texts 'input' and 'output'")
    return Case(given, expected)


def _as_json(cases: Sequence[Case]) -> Sequence[Case]:
    for number, case in enumerate(cases, 1):
        try:
            for line in (*filter(str.strip, case.input.split("\n")), case.output):
                json.loads(line)
        except (ValueError, RecursionError):
            raise BrokenCheck(f"case {number} calls a function, but its input or output is no JSON") from None
    return cases
