"""JSON lines for every reader: valid UTF-8, one record a line whatever its text holds."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, cast

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
# Line ends to some readers, and surrogates, which UTF-8 cannot spell. JSON itself escapes all below U+0020.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def encoded(row: Mapping[str, Any]) -> tuple[bytes, bool]:
    """A row as one line with its line feed, and whether it holds a lone surrogate.

    Such a character can only be an escape (`\\ud800`): valid UTF-8 and JSON, which some readers refuse all the same.
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False)
    escaped = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    return escaped.encode("utf-8") + b"\n", _SURROGATE.search(line) is not None


def compressing(stream: BinaryIO, name: str) -> AbstractContextManager[BinaryIO]:
    """A stream that compresses into another as a file's name says. Leaving it ends the compressed data, and leaves the
    other open."""
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=stream, mtime=0))
    if name.endswith(".zst"):
        import zstandard

        return zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
    return nullcontext(stream)
