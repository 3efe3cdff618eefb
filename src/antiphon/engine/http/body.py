"""Bodies, replies and events as JSON, and a server's own words in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from antiphon.engine.http.faults import Transient

DATA = b"data:"
"""Begins the line of an event."""
_SHOWN = 200  # characters of a server's own words in an error


def spelled(body: Mapping[str, Any]) -> bytes:
    """A body as JSON; a lone surrogate, which UTF-8 cannot spell, becomes U+FFFD as in a tokenizer's hands."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        text = json.dumps(body, ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def parsed(data: bytes) -> Any:
    """JSON, lone surrogates allowed (models write them).

    Raises:
        Transient: it is none.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data)
        except ValueError:
            raise Transient(f"its reply is not JSON: {_excerpt(data)}") from None


def events_of(lines: Iterable[bytes]) -> Iterator[Any]:
    """The JSON of each event in the lines of a stream.

    Raises:
        Transient: the server says that it failed, or writes something else.
    """
    for line in lines:
        if line.startswith(DATA):
            data = line[len(DATA) :].strip()
            if data != b"[DONE]":
                yield parsed(data)
        elif line.startswith(b"error:"):  # llama.cpp
            raise Transient(told(line[6:]))


def told(body: bytes) -> str:
    """A server's own words on what is wrong."""
    try:
        told = json.loads(body)
        error = told.get("error", told) if isinstance(told, dict) else told
        message = error.get("message", error.get("detail", error)) if isinstance(error, dict) else error
        return str(message)[:_SHOWN]
    except ValueError:
        return _excerpt(body)


def _excerpt(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    title = re.search(r"<title>\s*(.*?)\s*</title>", text, re.IGNORECASE | re.DOTALL)
    if title is not None or text.lstrip().startswith("<"):
        return f"a web page ({title[1] if title else 'without a title'})"
    return repr(text[:_SHOWN]) if text else "nothing"
