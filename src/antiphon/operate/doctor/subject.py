"""One server in one role, and ways to have it write."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import median
from typing import cast

from antiphon.dialect import Message, Part
from antiphon.engine.base import Capabilities, Chunk, Engine, Sequence
from antiphon.engine.http import HttpEngine
from antiphon.engine.http.faults import Fault
from antiphon.operate.doctor.manual import IN_PROCESS, MANUALS, OTHER, Manual, launched
from antiphon.settings import Role, Sampling, Settings
from antiphon.synth.voice import Voice
from antiphon.trace import Author

GREEDY = Sampling(temperature=0, top_p=1, top_k=0)

NO_ROUTE = (Fault, NotImplementedError, LookupError, TypeError, ValueError)
"""What comes of asking a server for something that it does not have, or gives in a form of its own."""


@dataclass(slots=True)
class Written:
    """What one request brought. `times` are seconds from the request to each chunk with text, `sizes` their tokens."""

    text: str = ""
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cached: int | None = None

    @property
    def tokens(self) -> int:
        return sum(self.sizes)

    @property
    def pace(self) -> float:
        """Seconds a token after the first, as the whole of them came."""
        return max(1e-6, (self.seconds - self.first) / max(1, self.tokens - 1))

    @property
    def first(self) -> float:
        """Seconds to the first token (to the end, where there was none)."""
        return self.times[0] if self.times else self.seconds


class Subject:
    """A model in its role, connected.

    Attributes:
        voice: None where its dialect cannot be found; it is then asked without one.
        role: as set, the model one address of several.
    """

    def __init__(self, author: Author, role: Role, settings: Settings, engine: Engine, can: Capabilities):
        self.author = author
        self.role = role
        self.settings = settings
        self.engine = engine
        self.can = can
        self.voice: Voice | None = None
        self._opened: list[Sequence] = []

    @property
    def http(self) -> HttpEngine | None:
        """The engine where it speaks to a server."""
        return self.engine if isinstance(self.engine, HttpEngine) else None

    @property
    def manual(self) -> Manual:
        """What there is to change, and what its counters are called."""
        if self.http is None:
            return IN_PROCESS
        manual = MANUALS.get(self.http.wire.kind, OTHER)
        return manual if self.http.launched is None else launched(manual)

    def advice(self, manual: str) -> str:
        """A manual's text for this role."""
        return manual.replace("ROLE", self.author)

    @property
    def context(self) -> int | None:
        """Tokens that a trace may have."""
        known = [length for length in (self.can.context, self.role.context) if length is not None]
        return min(known, default=None)

    async def open(self, question: str, thinking: str = "") -> Sequence:
        """A sequence as a run opens one, the thinking begun with a text."""
        if self.voice is None:
            sequence = await self.engine.open((Part(question),))
        else:
            sequence = await self.engine.begin([Message(role="user", content=question)], self.voice.dialect)
            await sequence.append(self.voice.dialect.think_open)
        self._opened.append(sequence)
        if thinking:
            await sequence.append((Part(thinking),))
        return sequence

    async def let_go(self) -> None:
        """Closes all that was opened."""
        while self._opened:
            await self._opened.pop().close()

    async def counting(self, tokens: int) -> tuple[Sequence, int]:
        """A sequence that nobody has seen before, of about so many tokens at most, in which the model is counting; and
        the number that comes next. It goes on for long: models count on reliably."""
        number = random.randrange(100_000, 800_000)
        if self.context is not None:
            tokens = min(tokens, self.context * 2 // 3)
        sample = len(await self.engine.encode(numbers(number, 10))) / 10 if self.can.ids else 7
        count = max(4, int(tokens / max(1.0, sample)))
        sequence = await self.open(f"Count on from {number}.", numbers(number, count))
        return sequence, number + count

    async def write(
        self, sequence: Sequence, sampling: Sampling, tokens: int, *, close_after: int | None = None
    ) -> Written:
        """Has it go on by `tokens`, or be closed once `close_after` have come."""
        written, stops = Written(), self.voice.ends if self.voice is not None else frozenset()
        began = time.perf_counter()
        stream = cast(AsyncGenerator[Chunk], sequence.stream(sampling, tokens, stops))
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if chunk.cached is not None:
                    written.cached = chunk.cached
                if chunk.pieces:
                    written.times.append(time.perf_counter() - began)
                    written.sizes.append(sum(len(piece.ids) for piece in chunk.pieces) or 1)
                    written.text += "".join(piece.text for piece in chunk.pieces)
                if close_after is not None and written.tokens >= close_after:
                    break
        written.seconds = time.perf_counter() - began
        return written

    def most(self, sequence: Sequence, tokens: int) -> int:
        """As many tokens as its context has room for, `tokens` at most."""
        if self.context is None:
            return tokens
        return max(1, min(tokens, self.context - sequence.length))  # a token has a character at least


def numbers(first: int, count: int) -> str:
    """Numbers to count on from."""
    return " ".join(map(str, range(first, first + count)))


def middle(seconds: list[float]) -> float:
    """The median in milliseconds."""
    return median(seconds) * 1000


def spoken(milliseconds: float) -> str:
    """A time for people."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
