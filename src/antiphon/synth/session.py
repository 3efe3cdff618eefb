"""What the writing of traces takes of this process while it lasts, for whoever plans more of it."""

from __future__ import annotations

import time
from pathlib import Path

from antiphon.store import Session
from antiphon.synth.tally import Tally


class LoopTime:
    """The time that an event loop's thread takes from now on. Made and read in that thread."""

    def __init__(self) -> None:
        self._began, self._since = time.time(), time.monotonic()
        self._cpu, self._coreless = time.thread_time(), coreless()

    def session(self, tally: Tally) -> Session:
        """The session that has been until now."""
        without = coreless()
        return Session(
            began=self._began,
            ended=self._began + time.monotonic() - self._since,
            places=tally.places,
            turns=tally.turns,
            cpu=time.thread_time() - self._cpu,
            coreless=None if self._coreless is None or without is None else without - self._coreless,
        )


def coreless() -> float | None:
    """Seconds that this thread has waited for a core since it began: Linux tells."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, LookupError, ValueError):
        return None
