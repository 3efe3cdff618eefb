"""The units of an experiment one after the other, or in several processes, each of which computes on one core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path
from typing import NamedTuple

from antiphon.errors import AntiphonError
from antiphon.lab.experiment import Means, Unit, work
from antiphon.lab.settings import Experiment

_ENDS_ALL = 3  # the exit code of errors after which other units fail as well: a service or the disk gave out
_ONE_CORE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Done(NamedTuple):
    """A unit is over: how many seconds it took; where it failed, why, and the exit code of that."""

    unit: Unit
    seconds: float
    fault: str = ""
    code: int = 0


def performed(
    experiment: Experiment, directory: Path, units: Sequence[Unit], means: Means, jobs: int
) -> Generator[Done, None, None]:
    """Does units, each after those that it needs, and tells of each when it is over. What needs a unit that failed is
    not begun. Closing the iterator, or an interrupt, ends what is under way; that is kept as far as it came.

    Args:
        units: that are not done yet, in the order in which they are begun.
        jobs: how many are done at once; with 1 in this process, on all of its cores.

    Raises:
        AntiphonError: a process was ended from outside.
    """
    order = _Order(units)
    if jobs == 1:
        while (unit := order.next()) is not None:
            done = _attempt(experiment, directory, means, unit)
            yield order.ended(done)
        return
    with _pool(jobs) as pool:
        running: dict[Future[Done], Unit] = {}
        while True:
            while len(running) < jobs and (unit := order.next()) is not None:
                running[pool.submit(_attempt, experiment, directory, means, unit)] = unit
            if not running:
                return
            over, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in over:
                unit = running.pop(future)
                try:
                    yield order.ended(future.result())
                except BrokenProcessPool:
                    raise AntiphonError(
                        f"a process that worked at {unit} was ended from outside (out of memory?); all that is done is"
                        " kept, the same command goes on"
                    ) from None


class _Order:
    """What can be begun next."""

    def __init__(self, units: Sequence[Unit]):
        self._waiting = list(units)
        self._lacking = set(units)

    def next(self) -> Unit | None:
        for unit in self._waiting:
            if self._lacking.isdisjoint(unit.needs):
                self._waiting.remove(unit)
                return unit
        return None

    def ended(self, done: Done) -> Done:
        if not done.fault:
            self._lacking.discard(done.unit)
        elif done.code == _ENDS_ALL:
            self._waiting.clear()
        return done


def _attempt(experiment: Experiment, directory: Path, means: Means, unit: Unit) -> Done:
    began = time.monotonic()
    try:
        work(experiment, directory, means, unit)
    except AntiphonError as error:
        return Done(unit, time.monotonic() - began, str(error), error.exit_code)
    return Done(unit, time.monotonic() - began)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that compute on one core each, hear no Ctrl-C, and end with this one, however that ends."""
    before = {name: os.environ.get(name) for name in _ONE_CORE}
    os.environ.update(_ONE_CORE)  # which they inherit: libraries read it when they are imported
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="antiphon-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
