"""Work on many items, spread over a Ray cluster's machines by Ray Data.

Results come one by one to who asked, and are kept there: workers write nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from antiphon import version
from antiphon.errors import ClusterError, SettingsError
from antiphon.scale import cluster
from antiphon.scale.worker import Maker, Task, Worker, batch, reply

_Key = TypeVar("_Key")

BATCH = 8
"""Most items of a batch. A batch under way is what is lost with a worker, or with the command."""

_PORTION = 256 << 20  # bytes of items on their way at once
_RETRIES = 2  # of a batch whose worker died; then its items go alone
_DEATHS = 5  # in a row, of workers that have not begun
_HELD = 64  # replies that wait here
_GLANCE = 0.5  # seconds between two looks at the head
_FAREWELL = 5.0  # seconds for Ray Data to end
_DRAWING = "antiphon-spread"
_KEPT = "What had come is kept; the same command goes on"
_LOST = "the process that worked on it died, again and again"


class Spread:
    """A cluster to spread work on, for the time of the context.

    Args:
        address: `host:port` of its head, `auto` (the cluster that Ray knows of), or `local` (one of this machine, for
            the time of the context).

    Raises:
        SettingsError: the address is none, or one for Ray's clients.
    """

    def __init__(self, address: str):
        self._address = cluster.named(address)
        if "://" in self._address:
            raise SettingsError(
                f"--ray {self._address}: Ray's clients cannot stream data; give the command on a machine of the"
                " cluster, with --ray auto"
            )
        self._ray: Any = None
        self._head = ("", 0)
        self._around = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Connects.

        Raises:
            MissingDependency: Ray, or what its Ray Data needs, is not installed.
            ClusterError: there is no such cluster, or it cannot be used.
        """
        self._ray, address = cluster.reached(self._address)
        cluster.require_data()
        self._head = self._around.enter_context(cluster.connected(self._ray, address))
        return self

    def __exit__(self, *_: object) -> None:
        ending = threading.Thread(target=_end_executions, name="antiphon-spread-end", daemon=True)
        ending.start()
        ending.join(_FAREWELL)
        self._around.close()

    @property
    def gpus(self) -> int:
        """How many all machines have together."""
        return self._count("GPU")

    @property
    def machines(self) -> int:
        """How many there are."""
        return sum(bool(node["Alive"]) for node in self._ray.nodes())

    async def map(
        self, make: Maker, items: Iterable[tuple[_Key, Any]], *, gpus: int = 0, most: int | None = None
    ) -> AsyncGenerator[tuple[_Key, Any]]:
        """What comes of each item, by its key, in any order; a text that says why, where nothing does.

        As many workers as the cluster has CPUs (or GPUs) make once what works, and get batches of items. These are
        taken as they are needed, some hundred megabytes at a time. A batch whose worker dies goes to another. Then its
        items go alone, so that one that kills its worker costs no other.

        Args:
            items: keys, which stay here, with what a worker gets.
            gpus: of each worker, beside its CPU.
            most: workers; None: as many as there is room for, also on machines that come.

        Raises:
            ClusterError: the cluster is lost; or a worker says why none can go on, with the exit code of that.
        """
        source = iter(items)
        while keys := await _portion(source, left := dict[int, bytes]()):
            for alone in (False, True):
                mapped = self._mapped(make, left, alone=alone, gpus=gpus, most=most)
                async with contextlib.aclosing(mapped) as results:
                    async for number, result in results:
                        if left.pop(number, None) is not None:
                            yield keys[number], result
            for number in left:
                yield keys[number], _LOST

    async def _mapped(
        self, make: Maker, items: Mapping[int, bytes], *, alone: bool, gpus: int, most: int | None
    ) -> AsyncGenerator[tuple[int, Any]]:
        """One dataset. `alone`: a worker has one item at a time, so that none is lost with another's worker."""
        if not items:
            return
        room = self._count("GPU") // gpus if gpus else self._count("CPU")
        workers = max(1, min(len(items), room, most or room))
        size = 1 if alone else min(BATCH, -(-len(items) // (2 * workers)))
        told = iter(items.items())
        rows = list(iter(lambda: batch(islice(told, size)), batch(())))
        task = Task(version.__version__, Path.cwd(), make)
        pool = workers, max(workers, min(len(rows), most or len(rows)))
        drawn = _Drawn(_dataset(self._ray, task, rows, pool, alone=alone, gpus=gpus))
        try:
            async for row in self._heard(drawn):
                results, failure = reply(row)
                for result in results:
                    yield result
                if failure is not None:
                    error = ClusterError(failure.text)
                    error.exit_code = failure.exit_code
                    raise error
        finally:
            drawn.leave()

    async def _heard(self, drawn: _Drawn) -> AsyncIterator[bytes]:
        """Rows as they come, as long as the head is alive.

        Raises:
            ClusterError: it is not, or Ray gave up.
        """
        pulse, looked = cluster.Pulse(self._head), time.monotonic()
        while True:
            if time.monotonic() - looked > _GLANCE:
                looked = time.monotonic()
                if (lost := await pulse.lost()) is not None:
                    raise ClusterError(f"{lost}. {_KEPT}")
            try:
                row = await drawn.next()
            except TimeoutError:
                continue
            if row is None:
                return
            yield row

    def _count(self, resource: str) -> int:
        return int(self._ray.cluster_resources().get(resource, 0))


def _dataset(
    ray: Any, task: Task, rows: list[dict[str, bytes]], pool: tuple[int, int], *, alone: bool, gpus: int
) -> Generator[bytes]:
    """What workers make of rows, by Ray Data, as it comes. `pool`: how many workers at first, and at most."""
    given = ray.data.from_items(rows, override_num_blocks=len(rows))
    rows.clear()  # they are in Ray's store
    given.context.enable_progress_bars = False
    given.context.max_errored_blocks = -1  # what was in them goes again
    given.context.max_consecutive_actor_init_deaths = _DEATHS
    given.context.execution_no_progress_timeout_s = -1  # there may be no room on the cluster for long
    with warnings.catch_warnings(action="ignore"):  # of `max_task_retries`, which will have another place
        made = given.map(
            Worker,
            fn_constructor_args=(task,),
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                initial_size=pool[0],
                max_size=pool[1],
                max_tasks_in_flight_per_actor=1 if alone else None,
            ),
            num_cpus=1,
            num_gpus=gpus,
            max_task_retries=_RETRIES,
        )
    blocks = iter(made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    try:
        for block in blocks:
            yield from block["reply"].to_pylist()
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            blocks.close()


def _end_executions() -> None:
    """Ends what Ray Data is about. Its threads would go on to ask Ray when that is shut down, and Ray's core then ends
    the process, with exit code 1; what Ray offers for it is to be found by the name of its thread alone."""
    for thread in threading.enumerate():
        if thread.name.startswith("StreamingExecutor"):
            with contextlib.suppress(Exception):  # the cluster may be gone
                thread.shutdown(force=True)  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == _DRAWING:
            thread.join()


class _Drawn:
    """Rows, drawn in a thread of its own, since Ray Data waits without asyncio; not many more than were asked for."""

    def __init__(self, rows: Generator[bytes]):
        self._rows = rows
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(_HELD)
        self._left = False
        threading.Thread(target=self._draw, name=_DRAWING, daemon=True).start()

    async def next(self) -> bytes | None:
        """The next row; None: that was the last.

        Raises:
            TimeoutError: it is not there yet, after a while.
            ClusterError: Ray gave up.
        """
        row = await asyncio.wait_for(self._told.get(), _GLANCE)
        self._room.release()
        if isinstance(row, Exception):
            raise ClusterError(f"Ray gave up: {cluster.line(row)}. {_KEPT}")
        return row

    def leave(self) -> None:
        """Draws no more."""
        self._left = True
        self._room.release(_HELD)

    def _draw(self) -> None:
        last: Exception | None = None
        try:
            for row in self._rows:
                self._room.acquire()
                if self._left:
                    break
                self._tell(row)
        except Exception as error:
            last = error
        self._tell(last)
        self._rows.close()

    def _tell(self, row: bytes | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._told.put_nowait, row)


async def _portion(source: Iterator[tuple[_Key, Any]], items: dict[int, bytes]) -> list[_Key]:
    """The keys of the next items, as many as may be on their way at once; `items` gets these by number, pickled."""
    keys: list[_Key] = []
    held = 0
    for key, item in source:
        items[len(keys)] = pickle.dumps(item)
        held += len(items[len(keys)])
        keys.append(key)
        if held >= _PORTION:
            break
        await asyncio.sleep(0)  # whoever stops this must be heard
    return keys
