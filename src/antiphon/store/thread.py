"""The thread that writes: it alone holds the database's writing connection.

What is handed over is committed together with all else that came meanwhile: at most every `save_every` seconds, at once
where somebody waits for it. A commit survives the death of the process. For who waits, the log is then synchronised to
the disk, as `synchronous = FULL` does, but by a thread of its own: a disk may take seconds, and the turns that finish
meanwhile must be committed. Orders are few and synchronised on the spot.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from antiphon.errors import AntiphonError, StoreError
from antiphon.store.batch import Batch, Changes
from antiphon.store.place import explain, synchronise

_ROOM = 32 << 20
"""Bytes that may wait before `room` makes their makers wait. As much again may be on its way to the disk."""

_LATE = 0.1
"""Seconds that something may wait before `room` does the same: a busy event loop leaves this thread little of the
interpreter's lock, and what is not committed is lost by a kill."""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection, Changes], T]


class _Order(NamedTuple):
    """Something to do in a transaction of its own, with an answer."""

    work: Work[Any]
    answer: Future[Any]


class _Load:
    """What one commit takes, and who waits for it."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.size = 0  # bytes, about
        self.since: float | None = None  # when the first row came
        self.orders: list[_Order] = []
        self.waiting: list[asyncio.Future[None]] = []

    @property
    def is_urgent(self) -> bool:
        return bool(self.orders or self.waiting)


class WriterThread:
    """Takes rows and orders from any thread. Owns `connection` until `close`."""

    def __init__(self, connection: sqlite3.Connection, directory: Path, save_every: float):
        self._connection = connection
        self._directory = directory
        self._save_every = save_every
        self._changed = threading.Condition()
        self._load = _Load()
        self._size = 0  # handed over and not yet committed
        self._since: float | None = None  # when the oldest row that is not yet committed came
        self._crowded: list[asyncio.Future[None]] = []
        self._idle = False
        self._closing = False
        self._failure: StoreError | None = None
        self._synchronous = "FULL"
        self._synchroniser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="antiphon-store-disk")
        self._thread = threading.Thread(target=self._work, name="antiphon-store", daemon=True)
        self._thread.start()

    def put(self, size: int, add: Callable[[Batch], None]) -> None:
        """Hands rows over: `add` puts them into the batch, `size` is about what they hold in bytes. Does not block.

        Raises:
            StoreError: an earlier write failed, or the store is closed.
        """
        with self._changed:
            self._check()
            add(self._load.batch)
            self._load.size += size
            self._size += size
            if self._load.since is None:
                self._load.since = time.monotonic()
                self._since = self._since or self._load.since
            if self._idle:
                self._changed.notify()

    async def durable(self, add: Callable[[Batch], None] = lambda batch: None) -> None:
        """Hands rows over, and returns when they and all before them are on the disk.

        Raises:
            StoreError: they could not be written.
        """
        waiter = asyncio.get_running_loop().create_future()
        with self._changed:
            self._check()
            add(self._load.batch)
            self._load.size += 1
            self._size += 1
            self._load.waiting.append(waiter)
            self._changed.notify()
        await waiter

    async def room(self) -> None:
        """Returns when little enough is waiting to be written, and nothing for long: mostly at once.

        Raises:
            StoreError: it could not be written.
        """
        if not self._is_crowded and self._failure is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        with self._changed:
            self._check()
            if not self._is_crowded:
                return
            self._crowded.append(waiter)
        await waiter

    @property
    def _is_crowded(self) -> bool:
        since = self._since
        return self._size >= _ROOM or (since is not None and time.monotonic() - since > _LATE)

    def order(self, work: Work[T]) -> T:
        """Has `work` done in a transaction of its own, after all that was handed over; blocks until it is on the disk.

        Raises:
            StoreError: it could not be written. What `work` raises comes back too, and then nothing of it is kept.
        """
        answer: Future[T] = Future()
        with self._changed:
            self._check()
            self._load.orders.append(_Order(work, answer))
            self._changed.notify()
        return answer.result()

    def close(self) -> None:
        """Writes what is left and closes the connection. Safe to call twice.

        Raises:
            StoreError: a write failed, now or earlier.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._synchroniser.shutdown(wait=True)
        with contextlib.suppress(sqlite3.Error):  # a log that cannot be folded in now is at the next opening
            self._connection.execute("PRAGMA busy_timeout = 0")  # a reader in the way keeps the log, and no more
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        if self._failure is not None:
            raise _again(self._failure)

    def _check(self) -> None:
        if self._failure is not None:
            raise _again(self._failure)
        if self._closing:
            raise StoreError(f"{self._directory} was closed")

    # -- in the thread

    def _work(self) -> None:
        committed = time.monotonic()
        while True:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: self._load.size or self._load.is_urgent or self._closing)
                self._idle = False
                self._changed.wait_for(
                    lambda: self._load.is_urgent or self._closing, committed + self._save_every - time.monotonic()
                )
                load, self._load = self._load, _Load()
                closing = self._closing
            try:
                self._write(load)
            except Exception as error:
                self._fail(error, load)
                return
            committed = time.monotonic()
            with self._changed:
                self._size -= load.size
                self._since = self._load.since
                crowded = []
                if self._size < _ROOM:
                    crowded, self._crowded = self._crowded, []
            _resolve(crowded, None)
            if load.waiting:
                self._synchroniser.submit(self._synchronise, load)
            if closing:
                return

    def _write(self, load: _Load) -> None:
        if load.size or load.waiting:
            with self._transaction("NORMAL") as changes:
                load.batch.write(self._connection, changes)
        for order in load.orders:
            try:
                with self._transaction("FULL") as changes:
                    result = order.work(self._connection, changes)
            except Exception as error:
                if isinstance(error, sqlite3.Error | OSError) and not isinstance(error, AntiphonError):
                    raise
                order.answer.set_exception(error)
            else:
                order.answer.set_result(result)

    def _synchronise(self, load: _Load) -> None:
        """What was committed is on the disk when this returns; runs in the other thread."""
        try:
            synchronise(self._directory)
        except OSError as error:
            self._fail(error, load)
        else:
            _resolve(load.waiting, None)

    @contextlib.contextmanager
    def _transaction(self, synchronous: str) -> Iterator[Changes]:
        if synchronous != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            changes = Changes(self._connection)
            yield changes
            changes.save()
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                self._connection.execute("ROLLBACK")
            raise

    def _fail(self, error: Exception, load: _Load) -> None:
        """Nothing can be written any more: whoever waits, or comes later, is told why."""
        if isinstance(error, sqlite3.OperationalError | OSError):
            failure = explain(error, self._directory)
        else:
            failure = StoreError(f"{self._directory}: what was to be recorded is not fit for it: {error}")
        failure.__cause__ = error
        with self._changed:
            self._failure = failure
            later, self._load = self._load, _Load()
            crowded, self._crowded = self._crowded, []
        _resolve([*load.waiting, *later.waiting, *crowded], failure)
        for order in [*load.orders, *later.orders]:
            if not order.answer.done():
                order.answer.set_exception(_again(failure))


def _again(failure: StoreError) -> StoreError:
    """The same error for another caller."""
    error = type(failure)(*failure.args)
    error.__cause__ = failure.__cause__
    return error


def _resolve(waiters: Sequence[asyncio.Future[None]], failure: StoreError | None) -> None:
    """Tells the waiters of each event loop at once: each call into a loop wakes it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, theirs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
            loop.call_soon_threadsafe(_tell, theirs, failure)


def _tell(waiters: Sequence[asyncio.Future[None]], failure: StoreError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(_again(failure))
