"""Writes a trace's spans as they are kept, and tells the recorder in time."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from antiphon.boundary.base import Verdict
from antiphon.trace import (
    Author,
    IdsFrom,
    Kind,
    Span,
    SpanEnd,
    Status,
    Turn,
    Usage,
    Word,
    pack_ids,
    pack_words,
)

_SAVE_EVERY = 0.5  # seconds an open span may grow unsaved


class Recorder(Protocol):
    """Where one trace is recorded: `antiphon.store.Recorder`, or `MemoryRecorder`."""

    def begin(self, *, anew: bool = False) -> None: ...

    def grow(self, index: int, head: Span, text: str, ids: array[int], words: bytes) -> None: ...

    def close_span(self, index: int, span: Span) -> None: ...

    def turn(self, turn: Turn) -> None: ...

    async def ready(self) -> None: ...

    async def finish(
        self,
        status: Status,
        *,
        cause: str = "",
        closed_by: Author | None = None,
        usage: Mapping[Author, Usage] | None = None,
    ) -> None: ...


class MemoryRecorder:
    """Keeps one trace's record in memory, for a single trace without a run directory, and for tests."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.turns: list[Turn] = []
        self.status: Status | None = None
        self.cause = ""
        self.closed_by: Author | None = None
        self.usage: Mapping[Author, Usage] = {}

    def begin(self, *, anew: bool = False) -> None:
        if anew:
            self.spans.clear()

    def grow(self, index: int, head: Span, text: str, ids: array[int], words: bytes) -> None:
        del self.spans[index + 1 :]
        before = self.spans[index] if index < len(self.spans) else Span(head.author, head.kind, "")
        grown = Span(
            head.author,
            head.kind,
            before.text + text,
            before.ids + ids,
            head.ids_from,
            None,
            head.confidence,
            before.words + words,
            head.forced,
            head.reencoded,
        )
        self.spans[index:] = [grown]

    def close_span(self, index: int, span: Span) -> None:
        self.spans[index:] = [span]

    def turn(self, turn: Turn) -> None:
        self.turns.append(turn)

    async def ready(self) -> None:
        pass

    async def finish(
        self,
        status: Status,
        *,
        cause: str = "",
        closed_by: Author | None = None,
        usage: Mapping[Author, Usage] | None = None,
    ) -> None:
        self.status, self.cause, self.closed_by, self.usage = status, cause, closed_by, usage or {}


class SpanWriter:
    """Joins what is kept into maximal spans. Holds one span, the last; those before it are the recorder's."""

    def __init__(self, recorder: Recorder, saved: Sequence[Span] = ()):
        self._recorder = recorder
        self.index = len(saved) - 1
        """Of the last span, -1 before the first."""
        self._unsaved_since = time.monotonic()
        self._restart(Author.NONE, Kind.MARKER)
        if saved:
            self._take_up(saved[-1])

    def _restart(self, author: Author, kind: Kind, *, forced: bool = False) -> None:
        self.author, self.kind, self._forced = author, kind, forced
        self._texts: list[str] = []
        self._length = 0
        self._ids = pack_ids()
        self._words = bytearray()
        self._end: SpanEnd | None = None
        self._confidence: float | None = None
        self._ids_from = IdsFrom.NONE
        self._reencoded = False
        self._saved = (0, 0, 0)  # texts, ids, bytes of words

    def _take_up(self, span: Span) -> None:
        self._restart(span.author, span.kind, forced=span.forced)
        self._texts, self._length = [span.text], len(span.text)
        self._ids = span.ids[:]
        self._words = bytearray(span.words)
        self._end, self._confidence = span.end, span.confidence
        self._ids_from, self._reencoded = span.ids_from, span.reencoded
        self._saved = (1, len(self._ids), len(self._words))

    def is_open(self, author: Author, kind: Kind) -> bool:
        """Whether this author was interrupted in its turn: the last span is its own and has no end."""
        return self._joins(author, kind) and self._end is None

    def _joins(self, author: Author, kind: Kind) -> bool:
        same = self.index >= 0 and author is self.author and kind is self.kind
        return same and not self._forced and kind is not Kind.MARKER

    def write(
        self,
        author: Author,
        kind: Kind,
        text: str,
        ids: array[int],
        *,
        words: Iterable[Verdict | Word] = (),
        position: int = 0,
        sampled: bool = True,
        reencoded: bool = False,
        forced: bool = False,
    ) -> None:
        """Adds kept text. `position` is where it begins in the thinking, from which the words' ends count."""
        if forced or not self._joins(author, kind):
            self._close()
            self._restart(author, kind, forced=forced)
            self.index += 1
            self._unsaved_since = time.monotonic()
        self._end = None
        begin = position - self._length  # of the span, in the thinking
        self._words += pack_words(Word(word.end - begin, word.style, word.confidence) for word in words)
        self._texts.append(text)
        self._length += len(text)
        self._ids.extend(ids)
        if ids:
            self._ids_from = IdsFrom.SAMPLED if sampled else IdsFrom.ENCODED
        self._reencoded = self._reencoded or reencoded
        if time.monotonic() - self._unsaved_since >= _SAVE_EVERY:
            self._save_growth()

    def end(self, end: SpanEnd, confidence: float | None = None) -> None:
        """The author stops here, for now: if it goes on later without another's word, the span grows on."""
        if self.index >= 0 and self._end is None:
            self._end, self._confidence = end, confidence
            self._recorder.close_span(self.index, self._span())
            self._saved = (len(self._texts), len(self._ids), len(self._words))

    def save(self) -> None:
        """Hands over what the open span has grown by."""
        if self._end is None and len(self._texts) > self._saved[0]:
            self._save_growth()

    def _close(self) -> None:
        if self.index >= 0 and self._end is None:
            self.end(SpanEnd.SEAM)

    def _save_growth(self) -> None:
        texts, ids, words = self._saved
        self._recorder.grow(
            self.index,
            self._span(head=True),
            "".join(self._texts[texts:]),
            self._ids[ids:],
            bytes(self._words[words:]),
        )
        self._saved = (len(self._texts), len(self._ids), len(self._words))
        self._unsaved_since = time.monotonic()

    def _span(self, *, head: bool = False) -> Span:
        return Span(
            self.author,
            self.kind,
            "" if head else "".join(self._texts),
            pack_ids() if head else self._ids[:],
            self._ids_from,
            self._end,
            self._confidence,
            b"" if head else bytes(self._words),
            self._forced,
            self._reencoded,
        )
