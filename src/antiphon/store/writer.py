"""Writing a run directory."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from array import array
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from antiphon.errors import StoreError
from antiphon.problem import Problem
from antiphon.problem.shard import Share
from antiphon.store import columns, load, plan
from antiphon.store.batch import Batch
from antiphon.store.columns import text_in
from antiphon.store.found import Session
from antiphon.store.place import Lock, create, explained, open_for_reading, open_for_writing
from antiphon.store.thread import WriterThread
from antiphon.trace import Author, Key, Kind, Span, Status, Turn, Usage, Verdict

_ROW = 400  # bytes that a row takes besides its text and ids, about


class Saved(NamedTuple):
    """What is there of a trace: its spans (the last may be open: no end), usage by role, number of turns."""

    spans: tuple[Span, ...]
    usage: dict[Author, Usage]
    turns: int


class Store:
    """The one writer of a run directory. A context manager.

    Its methods may be called from any one thread. Those that plan (`add_problems`, `add_variant`, `plan`, `pending`)
    block until what they did is on the disk; those that record only hand over.

    Attributes:
        repaired: what an earlier writer left that died without closing, in a sentence; None if there was none.
    """

    def __init__(self, directory: Path, lock: Lock, connection: sqlite3.Connection, save_every: float):
        """Use `open`."""
        self.directory = directory
        self.repaired = None if lock.left_by is None else plan.left_behind(connection, lock.left_by)
        self._lock = lock
        self._reading = open_for_reading(directory)
        self._thread = WriterThread(connection, directory, save_every)
        self._recorded: set[int] = set()

    @classmethod
    def open(cls, directory: Path, *, save_every: float = 0.05) -> Self:
        """Opens a run directory for writing; makes it if it is not there, brings an older one up to date.

        Args:
            save_every: seconds that something handed over may wait for others before it is written.

        Raises:
            StoreBusy: another process writes it; names that.
            StoreUnfit: it is something else, of a newer version, or on a file system that cannot hold it.
            StoreFull: it cannot be written: full, or read-only.
        """
        with contextlib.ExitStack() as undo:
            with explained(directory):
                create(directory)
                lock = Lock(directory)
                undo.callback(lock.release)
                connection = open_for_writing(directory)
                undo.callback(connection.close)
                store = cls(directory, lock, connection, save_every)
            undo.pop_all()
            return store

    def set_share(self, share: Share | None) -> None:
        """Says which shard of a whole this is, None: the whole; or sees that it is the same still.

        Raises:
            StoreUnfit: it is another, or was begun as a whole.
        """
        self._thread.order(partial(plan.set_share, share, self.directory))

    def add_problems(self, problems: Iterable[Problem]) -> None:
        """Adds problems. One that is there already is left; its metadata and source become the new ones.

        Raises:
            StoreUnfit: the same id is there with other messages.
            ProblemError: metadata that JSON cannot hold.
        """
        self._thread.order(partial(plan.add_problems, problems, self.directory))

    def add_variant(self, name: str, shaping: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Adds a variant, or sees that it is still the same.

        Args:
            shaping: all that shapes the text, as JSON has it. Its fingerprint is the SHA-256 of its canonical JSON.
            about: what else is worth knowing (versions, server names); never a secret. Kept beside earlier ones.

        Raises:
            VariantChanged: it is there with another fingerprint; shows each difference.
        """
        self._thread.order(partial(plan.add_variant, name, shaping, about))

    def plan(self, keys: Iterable[Key]) -> None:
        """Adds pending traces, those that are not there yet, in this order.

        Raises:
            UsageError: a key of a problem or variant that was not added.
        """
        self._thread.order(partial(plan.plan, keys))

    def pending(self, variant: str, *, retry: Collection[Status] = ()) -> list[Key]:
        """The variant's traces without a status, in the order in which they were planned.

        Args:
            retry: traces with one of these are made pending first: spans, turns and verdicts go, and what they cost
                stays, as received and thrown away.

        Raises:
            UsageError: there is no such variant.
        """
        return self._thread.order(partial(plan.pending, variant, retry))

    def saved(self, key: Key) -> Saved:
        """What is there of a trace, to go on from. Does not wait, unless the trace was recorded by this very store.

        Raises:
            UsageError: there is no such trace.
        """
        trace = self._number(key)
        return Saved(
            load.spans_of(self._reading, trace), load.usage_of(self._reading, trace), self._next("turns", trace)
        )

    def recorder(self, key: Key) -> Recorder:
        """The recorder of a trace: for one that has begun, going on after what is saved.

        Raises:
            UsageError: there is no such trace.
        """
        trace = self._number(key)
        self._recorded.add(trace)
        return Recorder(self._thread, trace, turns=self._next("turns", trace), spans=self._next("spans", trace))

    def add_verdicts(self, key: Key, verdicts: Iterable[Verdict]) -> None:
        """Hangs verdicts on a trace; each takes the place of an earlier one of its verifier and version.

        Raises:
            UsageError: there is no such trace.
        """
        trace, now = load.number_of(self._reading, key), time.time()
        for verdict in verdicts:
            texts = map(text_in, (verdict.verifier, verdict.version, verdict.label, verdict.detail))
            size = _ROW + len(verdict.detail)
            self._thread.put(size, partial(Batch.verdict, trace=trace, verdict=(*texts, verdict.seconds, now)))

    def set_made_from(self, key: Key, sources: Iterable[Key]) -> None:
        """Says of which traces of this directory a trace was made.

        Raises:
            UsageError: one of them is not there.
        """
        trace = load.number_of(self._reading, key)
        numbers = [load.number_of(self._reading, source) for source in sources]
        self._thread.put(_ROW, partial(Batch.made_from, trace=trace, sources=numbers))

    def add_call(self, key: Key, role: Author, purpose: str, usage: Usage, text: str) -> None:
        """Hangs an auxiliary call (a grade, say) on a trace: who was asked, what for, its cost, its answer.

        Its cost is its own: it is in no usage and no total of the traces.

        Raises:
            UsageError: there is no such trace.
        """
        call = (*columns.usage_in(role, usage), text_in(purpose), text_in(text), time.time())
        trace = load.number_of(self._reading, key)
        self._thread.put(_ROW + len(text), partial(Batch.call, trace=trace, call=call))

    def add_session(self, variant: str, session: Session) -> None:
        """Notes that a run has written a variant's traces for a while, and what it took of this process.

        Raises:
            UsageError: there is no such variant.
        """
        self._thread.order(partial(plan.add_session, variant, session))

    async def flush(self) -> None:
        """Returns when all that was handed over is on the disk.

        Raises:
            StoreFull: it could not be written.
        """
        await self._thread.durable()

    def close(self) -> None:
        """Writes what is left, folds the log into the database and lets go of the directory. Safe to call twice.

        Raises:
            StoreFull: something could not be written, now or earlier.
        """
        self._reading.close()
        try:
            self._thread.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # which must not be hidden by what it led to
            with contextlib.suppress(StoreError):
                self.close()

    def _number(self, key: Key) -> int:
        trace = load.number_of(self._reading, key)
        if trace in self._recorded:
            self._thread.order(lambda connection, changes: None)
        return trace

    def _next(self, table: str, trace: int) -> int:
        """The first free position in a trace's turns or spans."""
        query = f"SELECT coalesce(max(position) + 1, 0) FROM {table} WHERE trace = ?"
        (position,) = self._reading.execute(query, (trace,)).fetchone()
        return int(position)


class Recorder:
    """Records one trace. All but `ready` and `finish` only hand over, in about a microsecond; they never wait.

    Every method raises StoreFull once a write has failed.
    """

    def __init__(self, thread: WriterThread, trace: int, *, turns: int, spans: int):
        """Use `Store.recorder`."""
        self._thread = thread
        self._trace = trace
        self._turns = turns
        self._spans = spans  # that were closed at least once

    def begin(self, *, anew: bool = False) -> None:
        """Writing begins now, or goes on: the first time counts. `anew`: with the first span, whatever was there."""
        self._thread.put(_ROW, partial(Batch.begin, trace=self._trace, started=time.time(), anew=anew))

    def grow(self, index: int, head: Span, text: str, ids: array[int], words: bytes) -> None:
        """The span at `index`, which is open again or still, has grown by this.

        Args:
            index: of the span in the trace, from 0 without gaps.
            head: author, kind and all else but text, ids and words, which are passed over.
            text, ids: what is new.
            words: packed verdicts on new words; their ends count from the span's start.
        """
        part = columns.span_in(
            Span(
                head.author,
                head.kind,
                text,
                ids,
                head.ids_from,
                None,
                head.confidence,
                words,
                head.forced,
                head.reencoded,
            )
        )
        self._thread.put(_size(text, ids), partial(Batch.grow, trace=self._trace, position=index, part=part))

    def close_span(self, index: int, span: Span) -> None:
        """The span at `index` is whole, for now: it takes the place of all that was said of it before."""
        is_new = index >= self._spans
        self._spans = max(self._spans, index + 1)
        self._thread.put(
            _size(span.text, span.ids),
            partial(
                Batch.close_span,
                trace=self._trace,
                position=index,
                span=columns.span_in(span),
                author=span.author,
                forced=span.forced,
                is_new=is_new and span.kind not in (Kind.ANSWER, Kind.MARKER),
            ),
        )

    def turn(self, turn: Turn) -> None:
        """A turn is over."""
        row = columns.turn_in(turn)
        size = _ROW + len(turn.rejected or "")
        self._thread.put(size, partial(Batch.turn, trace=self._trace, position=self._turns, turn=row, role=turn.role))
        self._turns += 1

    async def ready(self) -> None:
        """Returns at once, unless so much waits to be written, or for so long, that its makers should pause."""
        await self._thread.room()

    async def finish(
        self,
        status: Status,
        *,
        cause: str = "",
        closed_by: Author | None = None,
        usage: Mapping[Author, Usage] | None = None,
    ) -> None:
        """The trace is over. Returns when that, and all of the trace, is on the disk.

        Args:
            usage: takes the place of what the recorded turns add up to; None: they are right.
        """
        await self._thread.durable(
            partial(
                Batch.finish,
                trace=self._trace,
                status=status.value,
                cause=text_in(cause),
                closed_by=None if closed_by is None else closed_by.value,
                finished=time.time(),
                usage=usage or {},
            )
        )


def _size(text: str, ids: array[int]) -> int:
    return _ROW + 2 * len(text) + 4 * len(ids)
