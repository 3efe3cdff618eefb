"""How style is marked in a text: spans, classes of words, tags of tokens, brackets; and faults in all of these."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from antiphon.boundary.words import words
from antiphon.errors import UsageError

Style = tuple[tuple[int, int], ...]
"""Spans of style: [start, end) in characters, sorted, none overlapping another."""

OPEN, CLOSE = "⟦", "⟧"
_TAG = re.compile(r"O|[BI](-style)?", re.IGNORECASE)


class Unpaired(UsageError):
    """A bracket without its partner, `at` so many characters into the text."""

    def __init__(self, message: str, at: int):
        super().__init__(message)
        self.at = at


def classes_of(text: str, style: Style) -> list[bool]:
    """The class of each word of a text: style if its first character lies in a span."""
    starts = [start for start, _ in style]
    ends = [0, *(end for _, end in style)]
    return [first < ends[bisect_right(starts, first)] for first, _ in words(text)]


def spans_of(text: str, classes: Iterable[bool]) -> Style:
    """The spans of a text whose first words are of these classes; style words side by side make one span."""
    spans: list[tuple[int, int]] = []
    before = False
    for (start, end), style in zip(words(text), classes, strict=False):
        if style:
            spans.append((spans.pop()[0] if before else start, end))
        before = style
    return tuple(spans)


def bracketed(text: str, style: Style) -> str:
    """A text with ⟦ and ⟧ around its style.

    Raises:
        UsageError: the text holds such brackets itself.
    """
    if OPEN in text or CLOSE in text:
        raise UsageError(f"the text itself holds {OPEN} or {CLOSE}, so its marks cannot be written as brackets")
    parts: list[str] = []
    done = 0
    for start, end in style:
        parts += (text[done:start], OPEN, text[start:end], CLOSE)
        done = end
    return "".join((*parts, text[done:]))


def unbracketed(marked: str) -> tuple[str, Style]:
    """The text without its brackets, and the spans they stood around. A pair around nothing marks nothing.

    Raises:
        Unpaired: a bracket has no partner, or pairs are nested.
    """
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    length, opened = 0, None  # of the text so far; where the open bracket stands in it, and in the marked text
    for piece in re.finditer(f"[{OPEN}{CLOSE}]|[^{OPEN}{CLOSE}]+", marked):
        found, at = piece[0], piece.start()
        if found == OPEN:
            if opened is not None:
                raise Unpaired(f"{OPEN} at {_around(marked, at)} stands before the last one was closed", at)
            opened = length, at
        elif found == CLOSE:
            if opened is None:
                raise Unpaired(f"{CLOSE} at {_around(marked, at)} has no {OPEN} before it", at)
            if opened[0] < length:
                spans.append((opened[0], length))
            opened = None
        else:
            parts.append(found)
            length += len(found)
    if opened is not None:
        raise Unpaired(f"{OPEN} at {_around(marked, opened[1])} is never closed with {CLOSE}", opened[1])
    return "".join(parts), tuple(spans)


def checked_spans(given: Any, length: int) -> Style:
    """Spans as a record gives them, sorted."""
    if not isinstance(given, list):
        raise UsageError(f"style is {kind_of(given)}, not a list of [start, end]")
    for span in given:
        if not isinstance(span, list) or len(span) != 2 or any(type(at) is not int for at in span):
            raise UsageError(f"the span {span!r} is not [start, end] in whole numbers")
        if not 0 <= span[0] < span[1] <= length:
            raise UsageError(
                f"the span {span} lies outside the text or is empty: count characters from 0, the end not included;"
                f" the text has {length}"
            )
    spans = sorted((start, end) for start, end in given)
    for (a, b), (c, d) in pairwise(spans):
        if c < b:
            raise UsageError(f"the spans [{a}, {b}] and [{c}, {d}] overlap; join them or move one")
    return tuple(spans)


def tagged(record: Mapping[str, Any], name: str) -> tuple[str, Style]:
    tokens, tags = _texts(record, name), _texts(record, "tags")
    if len(tokens) != len(tags):
        raise UsageError(f"{len(tags)} tags for {len(tokens)} {name}; give one for each")
    joined = record.get("text") is None
    text = " ".join(tokens) if joined else text_field(record, "text")
    spans: list[tuple[int, int]] = []
    at, before = 0, "O"
    for token, tag in zip(tokens, tags, strict=True):
        if _TAG.fullmatch(tag) is None:
            raise UsageError(f"the tag {tag!r} is none of B-style, I-style and O")
        start = text.find(token, at)
        if not token or start < 0 or text[at:start].strip():
            raise UsageError(f"{name}: {token!r} does not come next in the text, at {_around(text, at)}")
        at = start + len(token)
        kind = tag[0].upper()
        if kind != "O":  # an I that follows an O begins a span, as some tools write it
            spans.append((spans.pop()[0] if kind == "I" and before != "O" else start, at))
        before = kind
    if text[at:].strip():
        raise UsageError(f"the {name} end before the text does, at {_around(text, at)}")
    return text, tuple(spans)


def text_field(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} is missing" if value is None else f"{name} is {kind_of(value)}, not a text")
    return value


def _texts(record: Mapping[str, Any], name: str) -> Sequence[str]:
    value = record.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{name} is missing" if value is None else f"{name} is {kind_of(value)}, not a list of texts")
    return value


def kind_of(value: Any) -> str:
    """What a value of the wrong type is called."""
    kinds = {
        type(None): "null",
        bool: "true or false",
        str: "a text",
        list: "a list of other things",
        dict: "an object",
    }
    return kinds.get(type(value), "a number")


def _around(text: str, at: int) -> str:
    """A place in a text, with what stands there."""
    return f"character {at} ({text[max(0, at - 12) : at + 20]!r})"
