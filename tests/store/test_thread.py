"""The writer's thread: order, room, failure."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import StoreBusy, StoreError, StoreFull
from antiphon.store import Reader, Store, thread
from antiphon.store.batch import Batch
from antiphon.trace import Status
from tests.store.records import VARIANT, keys, planned, span, turn, writing

(KEY,) = keys()


def test_a_finish_waits_for_the_disk_and_turns_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes its time with a finished trace, what other traces keep is committed all the same."""
    other = keys("other")[0]
    reached, slow = threading.Event(), threading.Event()
    real = thread.synchronise

    def synchronise(directory: Path) -> None:
        reached.set()
        assert slow.wait(10)
        real(directory)

    monkeypatch.setattr(thread, "synchronise", synchronise)

    async def work(store: Store) -> None:
        finish = asyncio.create_task(store.recorder(KEY).finish(Status.COMPLETE))
        assert await asyncio.to_thread(reached.wait, 10)
        store.recorder(other).turn(turn())
        with Reader(tmp_path) as reader:
            while not reader.turns(other):  # noqa: ASYNC110 - another thread commits, and tells nobody
                await asyncio.sleep(0)
            assert reader.trace(KEY).status is Status.COMPLETE  # committed, and not yet reported
        assert not finish.done()
        slow.set()
        await finish

    writing(tmp_path, work, KEY, other)


def test_a_disk_that_fails_to_synchronise_fails_the_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronise(directory: Path) -> None:
        raise OSError(5, "Input/output error")

    async def work(store: Store) -> None:
        monkeypatch.setattr(thread, "synchronise", synchronise)
        recorder = store.recorder(KEY)
        with pytest.raises(StoreError, match="Input/output error"):
            await recorder.finish(Status.COMPLETE)
        with pytest.raises(StoreError):
            recorder.turn(turn())

    with pytest.raises(StoreError):
        writing(tmp_path, work, KEY)


def test_makers_pause_while_something_waits_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little it is: what is not committed is lost by a kill."""
    held, entered, write = threading.Event(), threading.Event(), Batch.write

    def slow(self: Batch, *rest: Any) -> None:
        entered.set()
        assert held.wait(10)
        write(self, *rest)

    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        await recorder.ready()  # nothing waits
        monkeypatch.setattr(thread, "_LATE", 0.0)
        monkeypatch.setattr(Batch, "write", slow)
        recorder.turn(turn())
        assert await asyncio.to_thread(entered.wait, 10)
        ready = asyncio.create_task(recorder.ready())
        done, _ = await asyncio.wait([ready], timeout=0.05)
        assert not done
        held.set()
        await ready

    writing(tmp_path, work, KEY)


def test_finishes_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    write = Batch.write
    monkeypatch.setattr(
        Batch, "write", lambda self, *rest: (commits.append(len(self._finished)), write(self, *rest))[1]
    )
    wanted = keys("p", samples=100)

    async def work(store: Store) -> None:
        await asyncio.gather(*(store.recorder(key).finish(Status.COMPLETE) for key in wanted))

    writing(tmp_path, work, *wanted)
    assert sum(commits) == 100
    assert len(commits) < 20


def test_makers_wait_while_too_much_is_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "_ROOM", 5_000)
    let, held = threading.Event(), threading.Event()
    write = Batch.write

    def slow(self: Batch, *rest: Any) -> None:
        held.set()
        assert let.wait(10)
        write(self, *rest)

    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        monkeypatch.setattr(Batch, "write", slow)
        await recorder.ready()
        recorder.close_span(0, span("x" * 5_000))
        assert held.wait(10)
        waiting = asyncio.ensure_future(recorder.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        let.set()
        await waiting
        await recorder.ready()

    writing(tmp_path, work, KEY)
    with Reader(tmp_path) as reader:
        assert reader.trace(KEY).response == "x" * 5_000


def broken(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], after: threading.Event | None = None
) -> None:
    def write(self: Batch, *rest: Any) -> None:
        if after is not None:
            assert after.wait(10)
        raise error()

    monkeypatch.setattr(Batch, "write", write)


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (full, StoreFull, "disk is full.*reported finished is safe.*Make room"),
        (lambda: OSError(5, "Input/output error"), StoreFull, "Input/output"),
        (lambda: sqlite3.IntegrityError("UNIQUE constraint failed"), StoreError, "not fit for it: UNIQUE"),
        (lambda: TypeError("float() expected"), StoreError, "not fit for it: float"),
    ],
)
def test_after_a_failed_write_everybody_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], Exception],
    becomes: type[StoreError],
    says: str,
) -> None:
    all_in = threading.Event()

    async def run() -> None:
        store = Store.open(tmp_path)
        planned(store, [KEY])
        recorder, recorded = store.recorder(KEY), store.recorder(KEY)
        monkeypatch.setattr(thread, "_ROOM", 10)
        broken(monkeypatch, error, all_in)
        recorder.turn(turn())
        waiters = [
            asyncio.ensure_future(one)
            for one in (recorder.finish(Status.COMPLETE), recorder.finish(Status.COMPLETE), recorder.ready())
        ]
        cancelled = asyncio.ensure_future(recorder.ready())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
        orders = [asyncio.get_running_loop().run_in_executor(None, store.pending, VARIANT) for _ in range(2)]
        all_in.set()
        for waiter in [*waiters, *orders]:
            with pytest.raises(becomes, match=says):
                await waiter
        for later in (
            lambda: recorded.turn(turn()),
            lambda: recorder.close_span(0, span()),
            lambda: recorder.begin(),
            lambda: store.saved(KEY),
            lambda: store.plan([KEY]),
        ):
            with pytest.raises(becomes, match=says):
                later()
        for awaited in (recorder.ready, store.flush, lambda: recorder.finish(Status.COMPLETE)):
            with pytest.raises(becomes, match=says):
                await awaited()
        with pytest.raises(becomes, match=says):
            store.close()
        store.close()

    asyncio.run(run())
    monkeypatch.undo()
    with Store.open(tmp_path) as store:
        assert store.pending(VARIANT) == [KEY]


def test_a_failed_order_is_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: Any) -> None:
        raise full()

    store = Store.open(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreFull, match="disk is full"):
            store._thread.order(work)
    with pytest.raises(StoreFull, match="disk is full"):
        store.close()


def test_what_led_to_the_end_is_not_hidden_by_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError, match="mine"), Store.open(tmp_path) as store:
        planned(store, [KEY])
        recorder = store.recorder(KEY)
        broken(monkeypatch, full)
        recorder.turn(turn())
        raise KeyError("mine")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        store.close()
        store.close()
        with pytest.raises(StoreError, match="was closed"):
            recorder.turn(turn())
        with pytest.raises(StoreError, match="was closed"):
            await store.flush()

    writing(tmp_path, work, KEY)


def test_another_program_that_holds_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.store.place._PATIENCE", 0.01)
    store = Store.open(tmp_path)
    other = sqlite3.connect(tmp_path / "run.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="held by another program"):
        store.plan([])
    other.close()
    with pytest.raises(StoreBusy):
        store.close()
