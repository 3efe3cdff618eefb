"""What is asked: an id, messages, and all else the record carried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from antiphon.dialect import Message


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        id: the record's own, else a hash of the messages (`content_id`).
        messages: the conversation up to where the assistant is to reply; a single text is one user message.
        metadata: every other field of the record, as JSON has it (tests, answer, difficulty ...); `reference` is the
            final reply where the record was a finished exchange.
        source: the file it came from, as the user named it; "" where it was made in memory.
        line: its line (text formats) or row (tables) in that file, counted from 1.
    """

    id: str
    messages: tuple[Message, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    line: int | None = None

    @property
    def place(self) -> str:
        """Where it came from, as errors name it: `file:line`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Row(NamedTuple):
    """What a reader gives: a record and its line (or row, in tables) from 1, or why there is none on that line."""

    line: int
    fields: Mapping[str, Any] | None
    fault: str = ""


def content_id(messages: Sequence[Message]) -> str:
    """The id of a problem that has none of its own: 16 hexadecimal digits of the SHA-256 of roles and contents.

    It depends on nothing else, so the same question has the same id in every file and every run. Any text is taken,
    lone surrogates too.
    """
    spelled = json.dumps([[message["role"], message["content"]] for message in messages])
    return hashlib.sha256(spelled.encode("ascii")).hexdigest()[:16]
