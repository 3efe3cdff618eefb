"""JSON lines for every reader: valid UTF-8, one record a line whatever its text holds."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, cast

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"


# To some readers these end a line. JSON itself escapes all below U+0020.
_LINE_ENDS = [(character.encode(), _escape(character).encode()) for character in "\x85\u2028\u2029"]


def encoded(row: Mapping[str, Any]) -> tuple[bytes, bool]:
    """A row of JSON values (NaN is none) as one line with its line feed, and whether it holds a lone surrogate.

    Such a character can only be an escape (`\\ud800`): valid UTF-8 and JSON, which some readers refuse all the same.
    """
    import orjson

    surrogates = 0
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a surrogate, or a number of more than 64 bits
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
        text, surrogates = _SURROGATE.subn(lambda found: _escape(found[0]), text)
        line = text.encode()
    for character, escape in _LINE_ENDS:
        line = line.replace(character, escape)
    return line, surrogates > 0


def decoded(line: bytes) -> Any:
    """What `encoded` wrote, numbers of more than 64 bits as the nearest floating one.

    Raises:
        ValueError: it is not JSON, or not UTF-8.
    """
    import orjson

    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # which the escape of a lone surrogate raises, too
        return json.loads(line.decode())


def compressing(stream: BinaryIO, name: str) -> AbstractContextManager[BinaryIO]:
    """A stream that compresses into another as a file's name says. Leaving it ends the compressed data, and leaves the
    other open."""
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=stream, mtime=0))
    if name.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
    return nullcontext(stream)
