"""Values to columns and back, for every table.

Text is TEXT, except where it holds what TEXT cannot (a lone surrogate) or what other tools cut it off at (NUL): such
text is a BLOB of its UTF-8, surrogates encoded like any other code point (Python's `surrogatepass`). One text has one
form only, so equal texts are equal columns.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon.problem import Problem
from antiphon.problem.shard import Shard, Share
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Turn, Usage, pack_ids

PROBLEM = "id, messages, metadata, source, line"
SPAN = "author, kind, text, ids, ids_from, end, confidence, words, forced, reencoded"
TURN = "role, server, asked, received, kept, words, cut, seconds, requests, cached, span, rejected, prompt, told"
USAGE = "role, requests, received, kept, cached, seconds, prompt, told"

Row = tuple[Any, ...]


def text_in(text: str) -> str | bytes:
    """A text as its column."""
    if "\0" in text:
        return text.encode("utf-8", "surrogatepass")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogatepass")
    return text


def text_out(column: str | bytes) -> str:
    """The text that `text_in` was given."""
    return column if isinstance(column, str) else column.decode("utf-8", "surrogatepass")


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, nothing escaped that need not be.

    Raises:
        TypeError, ValueError: JSON has no such value.
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def json_in(value: Any) -> str | bytes:
    """A JSON value as its column, keys in their own order."""
    return text_in(_ENCODE(value))


def json_out(column: str | bytes) -> Any:
    """The value that `json_in` was given."""
    return json.loads(text_out(column))


def fingerprint(shaping: Mapping[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of the canonical JSON."""
    return hashlib.sha256(canonical(shaping).encode("utf-8", "surrogatepass")).hexdigest()


def ids_in(ids: array[int]) -> bytes:
    """Four bytes an id, little endian."""
    if sys.byteorder == "big":
        ids = ids[:]
        ids.byteswap()
    return ids.tobytes()


def ids_out(column: bytes) -> array[int]:
    """The ids that `ids_in` was given."""
    ids = pack_ids()
    ids.frombytes(column)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids


def problem_in(problem: Problem) -> Row:
    """The columns `PROBLEM`.

    Raises:
        TypeError, ValueError: the metadata hold what JSON cannot.
    """
    return (
        text_in(problem.id),
        json_in(list(problem.messages)),
        json_in(dict(problem.metadata)),
        text_in(problem.source),
        problem.line,
    )


def problem_out(row: Sequence[Any]) -> Problem:
    """A problem from its columns."""
    id, messages, metadata, source, line = row
    return Problem(text_out(id), tuple(json_out(messages)), json_out(metadata), text_out(source), line)


def shares_in(shares: Iterable[Share]) -> str:
    """Shares as a list of objects."""
    return canonical([{"shard": str(share.shard), "problems": share.problems} for share in shares])


def shares_out(column: str) -> list[Share]:
    """The shares that `shares_in` was given."""
    return [Share(Shard.parse(one["shard"]), tuple(one["problems"])) for one in json.loads(column)]


def span_in(span: Span) -> Row:
    """The columns `SPAN`."""
    return (
        span.author.value,
        span.kind.value,
        text_in(span.text),
        ids_in(span.ids),
        span.ids_from.value,
        None if span.end is None else span.end.value,
        span.confidence,
        span.words,
        span.forced,
        span.reencoded,
    )


def span_out(row: Sequence[Any]) -> Span:
    """A span from its columns."""
    author, kind, text, ids, ids_from, end, confidence, words, forced, reencoded = row
    return Span(
        Author(author),
        Kind(kind),
        text_out(text),
        ids_out(ids),
        IdsFrom(ids_from),
        None if end is None else SpanEnd(end),
        confidence,
        words,
        bool(forced),
        bool(reencoded),
    )


def turn_in(turn: Turn) -> Row:
    """The columns `TURN`."""
    return (
        turn.role.value,
        text_in(turn.server),
        turn.asked,
        turn.received,
        turn.kept,
        turn.words,
        turn.cut,
        turn.seconds,
        turn.requests,
        turn.cached,
        turn.span,
        None if turn.rejected is None else text_in(turn.rejected),
        turn.prompt,
        turn.told,
    )


def turn_out(row: Sequence[Any]) -> Turn:
    """A turn from its columns."""
    role, server, asked, received, kept, words, cut, seconds, requests, cached, span, rejected, prompt, told = row
    return Turn(
        Author(role),
        text_out(server),
        asked,
        received,
        kept,
        words,
        bool(cut),
        seconds,
        requests,
        cached,
        span,
        None if rejected is None else text_out(rejected),
        prompt,
        told,
    )


def usage_in(role: Author, usage: Usage) -> Row:
    """The columns `USAGE`."""
    return (
        role.value,
        usage.requests,
        usage.received,
        usage.kept,
        usage.cached,
        usage.seconds,
        usage.prompt,
        usage.told,
    )
