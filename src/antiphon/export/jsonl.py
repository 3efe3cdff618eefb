"""JSON lines for every reader: valid UTF-8, one record a line whatever its text holds."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, cast

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_LINE_ENDS = ("\x85", "\u2028", "\u2029")  # to some readers. JSON itself escapes all below U+0020.
_SURROGATE = re.compile("[\ud800-\udfff]")


def encoded(row: Mapping[str, Any]) -> tuple[bytes, bool]:
    """A row as one line with its line feed, and whether it holds a lone surrogate.

    Such a character can only be an escape (`\\ud800`): valid UTF-8 and JSON, which some readers refuse all the same.
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    for character in _LINE_ENDS:
        line = line.replace(character, _escape(character))
    try:
        return line.encode(), False
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: _escape(found[0]), line).encode(), True


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"


def compressing(stream: BinaryIO, name: str) -> AbstractContextManager[BinaryIO]:
    """A stream that compresses into another as a file's name says. Leaving it ends the compressed data, and leaves the
    other open."""
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=stream, mtime=0))
    if name.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
    return nullcontext(stream)
