"""Readers of text: one record a line, a JSON array, comma- and tab-separated values. All of it is UTF-8."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from antiphon.errors import ProblemError
from antiphon.plural import many
from antiphon.problem.base import Row

_BLANK = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_UNDECODED = re.compile("[\udc80-\udcff]")
_LONGEST_CELL = (1 << 31) - 1


def json_lines(stream: BinaryIO) -> Iterator[Row]:
    """One record a line. Lines end at a line feed and nowhere else; blank ones are passed over, byte order marks (of
    files joined end to end) too."""
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8-sig").rstrip(_BLANK)
            if text:
                yield _row(number, parsed(text))
        except UnicodeDecodeError as error:
            yield Row(number, None, _not_utf8(error))
        except ProblemError as error:
            yield Row(number, None, str(error))


def json_array(stream: BinaryIO) -> Iterator[Row]:
    """The records of one JSON array, wherever their lines break. The file is held in memory."""
    data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Row(data.count(b"\n", 0, error.start) + 1, None, _not_utf8(error))
        return
    line, counted = 1, 0
    at = _after_space(text, 0) + 1  # past the opening bracket, by which the format was told
    between = False
    while True:
        at = _after_space(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if text.startswith("]", at) and not between:
            break
        try:
            value, at = parsed_at(text, at)
        except ProblemError as error:
            yield Row(line, None, f"{error}; what follows in the array is not read")
            return
        yield _row(line, value)
        at = _after_space(text, at)
        between = text.startswith(",", at)
        if between:
            at += 1
        elif not text.startswith("]", at):
            line += text.count("\n", counted, at)
            yield Row(line, None, "broken JSON: a comma or the end of the array was expected here")
            return
    end = _after_space(text, at + 1)
    if end != len(text):
        yield Row(text.count("\n", 0, end) + 1, None, "there is more after the end of the array")


def separated(stream: BinaryIO, separator: str) -> Iterator[Row]:
    """Values separated by commas or tabs, as RFC 4180 has it, under a first row of names. Every value is text.

    A row's line is the one it begins on: a quoted value may hold line breaks.
    """
    csv.field_size_limit(_LONGEST_CELL)
    # Bytes that are not UTF-8 come through as surrogates, which UTF-8 cannot spell, and are found in their row.
    lines = (line.decode("utf-8", "surrogateescape") for line in stream)
    table = csv.reader(lines, delimiter=separator, strict=True)
    names: Sequence[str] | None = None
    while True:
        line = table.line_num + 1
        try:
            values = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, None, f"broken {'CSV' if separator == ',' else 'TSV'}: {error}")
            continue
        if not values:
            continue
        if any(map(_UNDECODED.search, values)):
            yield Row(line, None, "not valid UTF-8")
        elif names is None:
            names = [values[0].removeprefix("\ufeff"), *values[1:]]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                yield Row(line, None, f"the name {min(twice)!r} stands twice in the first row")
                return
        elif len(values) != len(names):
            yield Row(line, None, f"{many(len(values), 'value')} under {many(len(names), 'name')}")
        else:
            yield Row(line, dict(zip(names, values, strict=True)))


def parsed(text: str) -> Any:
    """A JSON value that is all of a text. See `parsed_at`."""
    start = _after_space(text, 0)
    value, end = parsed_at(text, start)
    rest = _after_space(text, end)
    if rest != len(text):
        raise ProblemError(f"broken JSON: there is more after the record, at column {rest + 1}")
    return value


def parsed_at(text: str, at: int) -> tuple[Any, int]:
    """A JSON value that begins at a place in a text, and where it ends.

    `NaN` and `Infinity`, which JSON lacks and some writers write, become the texts "NaN", "Infinity", "-Infinity".

    Raises:
        ProblemError: broken JSON, a name that stands twice in one object, a number that would lose its value.
    """
    try:
        return _DECODER.raw_decode(text, at)
    except ProblemError:
        raise
    except json.JSONDecodeError as error:
        raise ProblemError(f"broken JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ProblemError("JSON nested too deeply to be read") from None
    except ValueError:
        raise ProblemError("a number with too many digits") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ProblemError(f"the field {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return fields


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ProblemError(f"the number {digits} is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=str, parse_float=_finite)


def _row(line: int, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(line, value)
    return Row(line, None, f"not an object but {'a list' if isinstance(value, list) else 'a single value'}")


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not valid UTF-8 (byte {error.start + 1}: 0x{error.object[error.start]:02x})"
