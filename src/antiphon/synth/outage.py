"""A silent server is not a bad trace: starts pause, it is probed, and all go on or all stop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Protocol

from antiphon import events
from antiphon.errors import EngineUnavailable

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0  # seconds between probes


class Probed(Protocol):
    """An engine or a predictor."""

    async def probe(self) -> None:
        """Returns if it works now; raises EngineUnavailable if not."""


class Outage:
    """Shared by all traces of a run.

    Args:
        needed: all must answer before work goes on.
        limit: seconds of silence after which the run gives up.
    """

    def __init__(self, needed: Sequence[Probed], limit: float):
        self._needed = needed
        self._limit = limit
        self._answers = asyncio.Event()
        self._answers.set()
        self._probing: asyncio.Task[None] | None = None

    @property
    def silent(self) -> bool:
        """Whether one is being waited for now."""
        return not self._answers.is_set()

    async def clear(self) -> None:
        """Returns when no outage is known.

        Raises:
            EngineUnavailable: the limit has passed.
        """
        if self._probing is not None:
            await asyncio.shield(self._probing)

    async def reported(self, error: EngineUnavailable) -> None:
        """A trace met a silent one: waits until all answer.

        Raises:
            EngineUnavailable: the limit has passed.
        """
        if self._probing is None:
            self._answers.clear()
            self._probing = asyncio.create_task(self._probe(error))
        await asyncio.shield(self._probing)

    async def _probe(self, error: EngineUnavailable) -> None:
        began, wait = time.monotonic(), _FIRST_WAIT
        events.warned("outage", cause=str(error))
        while True:
            try:
                for each in self._needed:
                    await each.probe()
                break
            except EngineUnavailable as again:
                left = self._limit - (time.monotonic() - began)
                if left <= 0:
                    events.warned("outage_given_up", cause=str(again), seconds=round(self._limit, 1))
                    raise EngineUnavailable(
                        f"{again}; given up after {self._limit:.0f} s, all traces kept; the same command goes on"
                    ) from error
                await asyncio.sleep(min(left, wait * random.uniform(0.75, 1.25)))
                wait = min(_LONGEST_WAIT, wait * 2)
        events.happened("outage_over", seconds=round(time.monotonic() - began, 1))
        self._probing = None
        self._answers.set()
