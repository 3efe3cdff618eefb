"""Ctrl-C and SIGTERM: once stops and keeps everything, twice ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

INTERRUPTED = 130
"""The exit code of a command that was stopped."""


class Stopping:
    """While the context lasts, the first signal calls `stop` and says so, the second ends the process.

    Attributes:
        asked: a signal came.
    """

    def __init__(self, stop: Callable[[], None], say: Callable[[str], None]):
        self.asked = False
        self._stop, self._say = stop, say
        self._before: dict[signal.Signals, Any] = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(INTERRUPTED)
        self.asked = True
        self._stop()
        self._say("stopping; everything is kept (Ctrl-C again ends at once)")

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
