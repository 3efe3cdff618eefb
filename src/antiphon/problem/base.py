"""What is asked: an id, messages, and all else the record carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.dialect import Message


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        id: the record's own, else a hash of the messages (`content_id`).
        messages: the conversation up to where the assistant is to reply; a single text is one user message.
        metadata: every other field of the record, JSON-able (tests, answer, difficulty ...).
        source: the file it came from, as the user named it; "" where it was made in memory.
        line: its line (text formats) or row (others) in that file, counted from 1.
    """

    id: str
    messages: tuple[Message, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    line: int | None = None
