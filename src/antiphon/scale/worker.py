"""What a process on a cluster's machine does with items: makes once what works on them, then works on batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from antiphon import version
from antiphon.errors import AntiphonError, UsageError
from antiphon.tasks import end

_log = logging.getLogger(__name__)

Work = Callable[[Any], Awaitable[Any]]
"""What comes of one item; a text says why nothing does. Whatever it raises is likewise told of this item alone, but an
error of this package's is everybody's, and ends all."""

Maker = Callable[[], Awaitable[Work]]
"""Makes what works, on the machine where it does. It goes there as its import path with its arguments."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all workers are given.

    Attributes:
        version: of who gives it.
        working: where relative paths begin.
    """

    version: str
    working: Path
    make: Maker


class Failure(NamedTuple):
    """Why nobody can go on."""

    text: str
    exit_code: int


class Reply(NamedTuple):
    """What came of a batch: results by the items' numbers, and why the others have none, if they have none."""

    results: Sequence[tuple[int, Any]]
    failure: Failure | None = None


def batch(items: Iterable[tuple[int, bytes]]) -> dict[str, bytes]:
    """A row for a `Worker`: items, each pickled alone, with their numbers."""
    return {"batch": pickle.dumps(list(items))}


def reply(row: bytes) -> Reply:
    """What a worker has made of a row."""
    told: Reply = pickle.loads(row)
    return told


class Worker:
    """Makes rows of rows, as Ray Data calls it: of a `batch` what `reply` reads. What works is made with the first
    batch, so that an error there is a reply like any other, and not the death of a process."""

    def __init__(self, task: Task):
        self._task = task
        self._runner = asyncio.Runner()
        self._work: Work | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        return {"reply": pickle.dumps(self._runner.run(self._reply(pickle.loads(row["batch"]))))}

    def close(self) -> None:
        """Ends its event loop; a process that ends need not."""
        self._runner.close()

    async def _reply(self, items: Sequence[tuple[int, bytes]]) -> Reply:
        host, here, there = socket.gethostname(), version.__version__, self._task.version
        if here != there:
            says = f"{host} has antiphon {here}, the command was given to {there}; install the same on all machines"
            return Reply((), Failure(says, UsageError.exit_code))
        results: list[tuple[int, Any]] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._work is None:
                with contextlib.suppress(OSError):  # what is not found from there is named by who needs it
                    os.chdir(self._task.working)
                self._work = await self._task.make()
            work = self._work
            tasks += (asyncio.create_task(_one(work, number, item, results)) for number, item in items)
            await asyncio.gather(*tasks)
        except AntiphonError as error:
            return Reply(results, Failure(f"{host}: {error}", error.exit_code))
        finally:
            await end(tasks)
        return Reply(results)


async def _one(work: Work, number: int, item: bytes, results: list[tuple[int, Any]]) -> None:
    try:
        result = await work(pickle.loads(item))
    except AntiphonError:
        raise
    except Exception as error:
        _log.exception("an item failed")
        result = f"unexpected {type(error).__name__}: {error}"
    results.append((number, result))
