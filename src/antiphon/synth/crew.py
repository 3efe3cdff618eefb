"""Tasks that do the same work side by side, and can be stopped from any thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from antiphon.tasks import end


class Crew:
    """Works once; a stop before the work begins ends it at its first step."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    async def work(self, worker: Callable[[], Coroutine[None, None, None]], number: int) -> None:
        """Runs so many workers until all are done or one fails; none is left behind in either case.

        Raises:
            Exception: the first that a worker raised.
        """
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(worker()) for _ in range(number)]
        if self._stopped:
            self._cancel()
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            await end(self._tasks)

    def stop(self) -> None:
        """Cancels the workers soon, from any thread; their work returns as if done."""
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is over already
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
