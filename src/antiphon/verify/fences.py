"""The fenced blocks of a Markdown text."""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r"^[ \t]{0,8}(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^\n`]*+$", re.MULTILINE)


class Fenced(NamedTuple):
    """A block: its language in small letters ("" where none is said) and what stands between the fences."""

    language: str
    text: str


def fenced(text: str) -> list[Fenced]:
    """The blocks that are closed, in order. A fence is closed by one of its own kind that is at least as long."""
    blocks = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
        elif not match[1].startswith(opened[1]):
            continue
        elif match[2]:  # one that opens again: the block before was never closed
            opened = match
        else:
            blocks.append(Fenced(opened[2].lower(), text[opened.end() + 1 : match.start()]))
            opened = None
    return blocks
