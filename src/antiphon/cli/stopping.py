"""Ctrl-C and SIGTERM: once stops and keeps everything, twice ends at once."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import TracebackType
from typing import Any, Self

INTERRUPTED = 130
"""The exit code of a command that was stopped."""


@contextmanager
def interruptible() -> Iterator[None]:
    """While the context lasts, either signal raises KeyboardInterrupt, also where a shell had them ignored: for work
    that can be broken off anywhere."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopping:
    """While the context lasts, the first signal calls `stop` and says so, the second ends the process.

    A thread of its own waits for them, since a main thread that has nothing to do may sleep through a signal. Both
    functions are called from there.

    Attributes:
        asked: a signal came.
    """

    def __init__(self, stop: Callable[[], None], say: Callable[[str], None]):
        self.asked = False
        self._stop, self._say = stop, say
        self._before: dict[signal.Signals, Any] = {}

    def _listen(self) -> None:
        while number := self._heard.recv(1):
            if number[0] not in self._before:
                continue
            if self.asked:
                os._exit(INTERRUPTED)
            self.asked = True
            self._stop()
            self._say("stopping; everything is kept (Ctrl-C again ends at once)")

    def __enter__(self) -> Self:
        self._heard, self._signalled = socket.socketpair()
        self._signalled.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, lambda number, frame: None)
        self._listener = Thread(target=self._listen, name="antiphon-signals", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._signalled.close()
        self._listener.join()
        self._heard.close()
