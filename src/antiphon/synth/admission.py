"""How many traces are in flight: no more than the servers keep the prefixes of.

A server that holds too many prefixes drops those that were not asked about for longest, which are those of traces whose
next turn is about to begin: each turn then reads its whole prefix anew. It shows in what servers tell of their cache:
of a prompt, what the server had read or written before should come from it. Where much of that was lost, fewer traces
are let in; those that are too many wait before their next turn, and come in again as others end. Where next to nothing
is lost, more are let in, up to where it began. A server that loses as much with an eighth of the traces keeps no
prefixes at all, and fewer traces at once would help nobody: then all are let in for good.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.plural import many
from antiphon.trace import Author

LONG = 512
"""Tokens seen before from which on a prompt is looked at: servers keep whole blocks, of up to 128."""
_ENOUGH = 16  # such prompts of a role, after which its share is judged
_MUCH, _LITTLE = 0.3, 0.1  # of what was seen before
_FEWER = 3 / 4
_LEAST = 1 / 8
_FORGET = 16  # good shares in a row after which it is tried again whether there is room for more


class Admission:
    """Places for traces in flight.

    Attributes:
        room: how many there are now.
    """

    def __init__(self, most: int = 1 << 31):
        self.open(most)
        self._why = ""
        self._inside = 0
        self._outside: deque[asyncio.Future[None]] = deque()  # who was inside before, and has the right of way
        self._entering: deque[asyncio.Future[None]] = deque()
        self._turns = 0  # since the number last changed
        self._good = 0
        self._watching = True
        self._restart()

    def open(self, most: int) -> None:
        """From now on there are so many places, and never more."""
        self.room = self._most = most
        self._too_many = most + 1

    @property
    def told(self) -> str:
        """In words, what changed their number; "" while nothing did."""
        return self._why and f"{self._why}, so there are {self.room} now"

    @property
    def waiting(self) -> int:
        """Traces that wait for a place."""
        return len(self._outside) + len(self._entering)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for as long as the context lasts; waits while there is none."""
        if self._inside < self.room and not self._outside:
            self._inside += 1
        else:
            await self._wait(self._entering)
        try:
            yield
        finally:
            self._inside -= 1
            self._let_in()

    async def turn(self) -> None:
        """To be called before each turn of a trace that has a place: waits while it is one too many."""
        self._turns += 1
        if self._inside <= self.room:
            return
        self._inside -= 1
        try:
            await self._wait(self._outside)
        except asyncio.CancelledError:
            self._inside += 1  # it leaves its place when its context ends
            raise

    def learn(self, role: Author, seen: int, cached: int) -> None:
        """Takes note of a turn of which a server told how much of its prompts came from its cache.

        Args:
            seen: tokens of these prompts that the server had read or written before.
        """
        if not self._watching or seen < LONG or self._turns < 2 * self.room:
            return  # right after a change even those who stay have lost theirs
        self._prompts[role] += 1
        self._seen[role] += seen
        self._cached[role] += min(seen, cached)
        if self._prompts[role] >= _ENOUGH:
            self._judge(role, 1 - self._cached[role] / self._seen[role])

    def _judge(self, role: Author, lost: float) -> None:
        self._restart()
        if lost > _MUCH:
            self._too_many, self._good = self.room, 0
            if self.room == 1 or self.room <= self._most * _LEAST:
                self._watching = False
                self._change(self._most)
                self._why = f"the {role}'s server keeps no prefixes between turns, with however few traces in flight"
            else:
                self._change(max(1, int(self.room * _FEWER)))
                self._why = (
                    f"with {many(self._too_many, 'trace')} in flight the {role}'s server lost {lost:.0%} of their"
                    " prefixes between turns"
                )
        elif lost < _LITTLE and (self._outside or self._entering):
            self._good += 1
            if self._good % _FORGET == 0:
                self._too_many = self._most + 1
            more = min(self.room + max(1, self.room // 16), self._too_many - 1, self._most)
            if more > self.room:
                self._change(more)

    def _change(self, room: int) -> None:
        self.room, self._turns = room, 0
        self._let_in()

    def _restart(self) -> None:
        self._prompts: Counter[Author] = Counter()
        self._seen: Counter[Author] = Counter()
        self._cached: Counter[Author] = Counter()

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        """Returns with a place.

        Raises:
            CancelledError: without one.
        """
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._inside -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._inside < self.room and (queue := self._outside or self._entering):
            waiting = queue.popleft()
            if not waiting.done():
                self._inside += 1
                waiting.set_result(None)
