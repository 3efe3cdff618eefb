"""Spans as they grow: what the recorder is told, when, and that it makes the same record either way."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from antiphon.boundary.base import Verdict
from antiphon.synth import record
from antiphon.synth.record import MemoryRecorder, SpanWriter
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Word, pack_ids, unpack_words

STUDENT, TEACHER = Author.STUDENT, Author.TEACHER


class Told(MemoryRecorder):
    """Remembers what it is told beside what it makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.grown: list[tuple[int, str, list[int], int]] = []

    def grow(self, index: int, head: Span, text: str, ids: array[int], words: bytes) -> None:
        self.grown.append((index, text, list(ids), len(words) // 6))
        super().grow(index, head, text, ids, words)


def write(writer: SpanWriter, text: str, ids: list[int], author: Author = STUDENT, **more: Any) -> None:
    writer.write(author, Kind.STYLE, text, pack_ids(ids), **more)


def test_what_is_saved_is_what_came_since() -> None:
    told = Told()
    writer = SpanWriter(told)
    writer.save()
    assert told.grown == []
    write(writer, "one", [1, 2, 3], words=[Verdict(0, 3, True, 1.0)])
    writer.save()
    write(writer, " two", [4], words=[Verdict(4, 7, True, 0.5)], position=3)
    writer.save()
    writer.save()
    assert told.grown == [(0, "one", [1, 2, 3], 1), (0, " two", [4], 1)]
    writer.end(SpanEnd.BOUNDARY, 0.75)
    writer.save()
    (span,) = told.spans
    assert (span.text, list(span.ids), span.end, span.confidence) == ("one two", [1, 2, 3, 4], SpanEnd.BOUNDARY, 0.75)
    assert [word.end for word in unpack_words(span.words)] == [3, 7]
    assert len(told.grown) == 2
    write(writer, " three", [5])  # its author goes on
    writer.save()
    assert told.grown[2:] == [(0, " three", [5], 0)]
    assert told.spans[0].text == "one two three" and told.spans[0].end is None


def test_text_without_ids_is_saved_too() -> None:
    told = Told()
    writer = SpanWriter(told)
    for text in ("a", "b"):
        write(writer, text, [])
        writer.save()
    assert told.grown == [(0, "a", [], 0), (0, "b", [], 0)]
    assert told.spans[0].ids_from is IdsFrom.NONE


def test_a_span_that_grows_long_is_saved_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(record.time, "monotonic", lambda: now)
    told = Told()
    writer = SpanWriter(told)
    for seconds, text in ((0.0, "a"), (0.25, "b"), (0.25, "c"), (0.25, "d"), (0.25, "e")):
        now += seconds
        write(writer, text, [1])
    assert [text for _, text, _, _ in told.grown] == ["abc", "de"]


def test_a_span_ends_where_another_begins() -> None:
    told = Told()
    writer = SpanWriter(told)
    write(writer, "a", [1])
    write(writer, "b", [2], TEACHER, sampled=False)
    write(writer, "c", [3], TEACHER, forced=True)
    write(writer, "d", [4], TEACHER, position=3, words=[Verdict(3, 4, False, 1.0)], reencoded=True)
    writer.end(SpanEnd.THINK_CLOSE)
    writer.end(SpanEnd.BUDGET)  # it has ended
    assert [(span.text, span.end, span.forced) for span in told.spans] == [
        ("a", SpanEnd.SEAM, False),
        ("b", SpanEnd.SEAM, False),
        ("c", SpanEnd.SEAM, True),
        ("d", SpanEnd.THINK_CLOSE, False),
    ]
    assert [span.ids_from for span in told.spans[:2]] == [IdsFrom.SAMPLED, IdsFrom.ENCODED]
    assert [span.reencoded for span in told.spans] == [False, False, False, True]
    assert list(unpack_words(told.spans[3].words)) == [Word(1, False, 1.0)]


def test_a_span_that_was_left_open_goes_on() -> None:
    left = Span(STUDENT, Kind.STYLE, "one", pack_ids([1]), IdsFrom.SAMPLED, words=b"123456")
    told = Told()
    told.spans = [left]
    writer = SpanWriter(told, [left])
    assert writer.index == 0
    assert writer.is_open(STUDENT, Kind.STYLE)
    assert not writer.is_open(TEACHER, Kind.STYLE) and not writer.is_open(STUDENT, Kind.ANSWER)
    write(writer, " two", [2])
    writer.save()
    assert told.grown == [(0, " two", [2], 0)]
    assert told.spans[0].text == "one two"
