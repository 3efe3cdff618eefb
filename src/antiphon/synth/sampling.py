"""Which sample of which problem is written next: all of them, or as many as it takes until enough are right."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol

from antiphon.problem import Problem
from antiphon.store import Reader, Standing, Store
from antiphon.synth.tally import Aim, Tally
from antiphon.trace import Key, Label, Status, Verdict

Check = Callable[[Problem, str], Awaitable[Verdict]]
"""Judges an answer. What it raises ends the run; all that is wrong with an answer is for its verdict to say."""


class Todo(NamedTuple):
    """A trace to write; one that has a status is written, and waits to be judged."""

    key: Key
    status: Status | None = None


class Sampling(Protocol):
    """Gives a run's workers their traces. Sees that they are planned in the store, and keeps the tally of them."""

    @property
    def done(self) -> Collection[Key]:
        """Traces that were finished earlier, with which nothing is left to do."""
        ...

    @property
    def at_once(self) -> int:
        """How many can be under way at most."""
        ...

    async def next(self) -> Todo | None:
        """The next one; waits where what comes next depends on those under way. None: nothing is left."""
        ...

    async def finished(self, key: Key, status: Status) -> None:
        """Its trace is written, or was."""
        ...

    async def stop(self) -> None:
        """No other is begun."""
        ...


class Every:
    """All samples of all problems, in their order."""

    def __init__(self, store: Store, tally: Tally, keys: Sequence[Key], variant: str, retry: Collection[Status]):
        store.plan(keys)
        wanted = set(keys)
        self._pending = deque(key for key in store.pending(variant, retry=retry) if key in wanted)
        self.done = wanted.difference(self._pending)
        self.at_once = len(self._pending)
        tally.planned, tally.before = len(self._pending), len(self.done)

    async def next(self) -> Todo | None:
        return Todo(self._pending.popleft()) if self._pending else None

    async def finished(self, key: Key, status: Status) -> None:
        pass

    async def stop(self) -> None:
        self._pending.clear()


class UntilRight:
    """Samples of each problem until `wanted` of them are right, or there are `most`.

    Of one problem no more are under way, judging included, than are still wanted: each that is begun is needed,
    however the others turn out. Verdicts that are there count, the newest of a trace, whoever gave it. Whole traces
    without one are judged first, and so are those that could not be judged; a problem whose answers cannot be judged
    gets no more.

    Args:
        check: gives the verdicts, which are hung on the traces.
    """

    def __init__(
        self,
        store: Store,
        reader: Reader,
        tally: Tally,
        problems: Mapping[str, Problem],
        variant: str,
        retry: Collection[Status],
        *,
        wanted: int,
        most: int,
        check: Check,
    ):
        self._store, self._reader, self._tally, self._check = store, reader, tally, check
        self._problems, self._variant = problems, variant
        self._wanted, self._most = wanted, most
        self._changed = asyncio.Condition()
        self._stopped = False
        self._ready: deque[Todo] = deque()
        self._tries = {id: _Tries() for id in problems}
        self._aim = tally.aim = Aim(len(problems))
        self.done: list[Key] = []
        store.pending(variant, retry=retry)
        for standing in chain.from_iterable(reader.standings(variant=variant)):
            if standing.key.problem in problems:
                self._take_up(standing)
        keys = [key for id in problems for key in self._next_of(id)]
        store.plan(keys)
        self._ready.extend(map(Todo, keys))
        self.at_once = len(self._ready) + wanted * len(problems)

    def _take_up(self, standing: Standing) -> None:
        key, status, verdict = standing.key, standing.status, standing.verdict
        tries = self._tries[key.problem]
        tries.samples = max(tries.samples, key.sample + 1)
        if status is None:
            tries.pending.append(key)
            return
        self._tally.before += 1
        if status is Status.COMPLETE and (verdict is None or verdict.label is Label.CANNOT_JUDGE):
            tries.under_way += 1
            self._ready.append(Todo(key, status))
        else:
            tries.right += verdict is not None and verdict.label is Label.RIGHT
            self.done.append(key)

    async def next(self) -> Todo | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._ready or self._stopped or self._aim.is_over)
            return self._ready.popleft() if self._ready and not self._stopped else None

    async def finished(self, key: Key, status: Status) -> None:
        tries = self._tries[key.problem]
        if status is Status.COMPLETE:
            verdict = await self._check(self._problems[key.problem], self._reader.answer(key))
            self._store.add_verdicts(key, [verdict])
            await self._store.flush()
            self._tally.labels[verdict.label] += 1
            tries.right += verdict.label is Label.RIGHT
            tries.cannot_be_judged |= verdict.label is Label.CANNOT_JUDGE
        tries.under_way -= 1
        keys = self._next_of(key.problem)
        if keys:
            await asyncio.to_thread(self._store.plan, keys)
        async with self._changed:
            self._ready.extend(map(Todo, keys))
            self._changed.notify(len(keys))
            if self._aim.is_over:
                self._changed.notify_all()

    async def stop(self) -> None:
        async with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next_of(self, id: str) -> list[Key]:
        """What of a problem is to be written now, beside what is under way."""
        tries, keys = self._tries[id], list[Key]()
        while not tries.cannot_be_judged and tries.right + tries.under_way < self._wanted:
            if tries.pending:
                key = tries.pending.popleft()
            elif tries.samples < self._most:
                key = Key(id, self._variant, tries.samples)
                tries.samples += 1
            else:
                break
            tries.under_way += 1
            keys.append(key)
        self._tally.planned += len(keys)
        if not tries.under_way:
            self._aim.settled += 1
            self._aim.reached += tries.right >= self._wanted
        return keys


@dataclass(slots=True)
class _Tries:
    """Where one problem stands: how many of its traces are right, how many under way, the number of the next sample,
    and those that were begun earlier."""

    right: int = 0
    under_way: int = 0
    samples: int = 0
    pending: deque[Key] = field(default_factory=deque)
    cannot_be_judged: bool = False
