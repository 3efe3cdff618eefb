"""Continuous batching: every stream that waits for its next token takes part in the next step, whoever else does.

A step is one call of the model: one token for each stream that writes, and a bounded number of tokens for those that
still read (a prompt, the other author's words). A stream takes part only while its reader waits, so nothing is written
that nobody asked for; before each step the readers get a moment to ask, so that a batch stays one batch.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from concurrent.futures import Executor
from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.base import Chunk, Finish, Piece
from antiphon.engine.rows import Row, Rows
from antiphon.engine.vocabulary import Assembler
from antiphon.errors import RequestRefused
from antiphon.settings import Sampling

if TYPE_CHECKING:
    from antiphon.engine.forward import Forward, Work

_READ_AT_ONCE = 512  # tokens of prompts in one step: more would keep those that write waiting
_PATIENCE = 0.1  # share of the last step's time that readers get to ask for more


class Stream:
    """One request.

    Args:
        ids: the sequence so far; its owner appends what it yields.
        row: the sequence's keys and values; what it holds is valid for the first of the ids.
        chance: gives a uniform number in [0, 1) for each token.
    """

    def __init__(
        self,
        ids: array[int],
        row: Row,
        sampling: Sampling,
        max_tokens: int,
        stop_ids: Collection[int],
        assembler: Assembler,
        chance: Callable[[], float],
    ):
        self.row = row
        self.reader: asyncio.Future[Chunk] | None = None
        """Waits for the next chunk."""
        self._ids = ids
        self._held: list[int] = []  # written, their code point not whole yet
        self._sampling = sampling
        self._left = max_tokens
        self._stop_ids = stop_ids
        self._assembler = assembler
        self._chance = chance
        self._cached: int | None = min(row.length, len(ids) - 1)  # until it is told

    @property
    def waits(self) -> bool:
        """Whether its reader wants a token."""
        return self.reader is not None

    @property
    def begin(self) -> int:
        """How many of its tokens the model need not read again: at most all but the last."""
        return min(self.row.length, self._total - 1)

    @property
    def unread(self) -> int:
        """Tokens that the model has to read before it can write the next."""
        return self._total - self.begin

    @property
    def _total(self) -> int:
        return len(self._ids) + len(self._held)

    def work(self, count: int) -> Work:
        """The next `count` of the unread tokens; the next token is drawn if they are all."""
        from antiphon.engine.forward import Drawing, Work

        begin, own = self.begin, len(self._ids)
        ids = [*self._ids[begin : begin + count], *self._held[max(0, begin - own) :]][:count]
        if begin + count < self._total:
            return Work(self.row, begin, ids, None)
        history = [*self._ids, *self._held] if self._sampling.repetition_penalty != 1.0 else ()
        return Work(self.row, begin, ids, Drawing(self._sampling, history, self._chance()))

    def take(self, token: int) -> None:
        """The next token was drawn: hands on what is whole, or an end."""
        finish = None
        pieces: list[Piece] = []
        if token in self._stop_ids:
            finish = Finish("stop", token)
        else:
            pieces = self._assembler.push((token,))
            self._left -= 1
            self._held = [] if pieces else [*self._held, token]
            if self._assembler.invalid:
                finish = Finish("invalid")
            elif self._left == 0:
                finish = Finish("length")
        if pieces or finish is not None:
            cached, self._cached = self._cached, None
            self._hand_over(Chunk(tuple(pieces), finish, cached))

    def fail(self, error: BaseException) -> None:
        """Ends the stream for its reader with an error."""
        if self.reader is not None and not self.reader.done():
            self.reader.set_exception(error)
        self.reader = None

    def _hand_over(self, chunk: Chunk) -> None:
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(chunk)
        self.reader = None


class Batch:
    """All streams of an engine.

    Args:
        forward: the model.
        worker: runs its steps, one at a time.
        rows: where keys and values lie.
        name: the model's, for errors.
    """

    def __init__(self, forward: Forward, worker: Executor, rows: Rows, name: str):
        self._forward = forward
        self._worker = worker
        self._rows = rows
        self._name = name
        self._streams: dict[Stream, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def chunks(self, stream: Stream) -> AsyncGenerator[Chunk]:
        """Runs a stream until its finish, or until the reader closes this generator."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._streams[stream] = None
                stream.reader = loop.create_future()
                self._wake(loop)
                chunk = await stream.reader
                yield chunk
                if chunk.finish is not None:
                    return
        finally:
            self._streams.pop(stream, None)
            self._changed.set()

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            # Streams of a loop that is gone have no reader any more.
            self._streams = {s: None for s in self._streams if s.reader and s.reader.get_loop() is loop}
            self._changed = asyncio.Event()
            self._task = loop.create_task(self._run(), name=f"batch of {self._name}")
        self._changed.set()

    async def _run(self) -> None:
        """Steps for as long as there are streams."""
        try:
            while self._streams:
                if plan := self._plan():
                    await self._step(plan)
                else:
                    self._changed.clear()
                    await self._changed.wait()
        except Exception as error:
            for stream in self._streams:
                stream.fail(error)

    async def _step(self, plan: Sequence[tuple[Stream, Work]]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            drawn = await loop.run_in_executor(self._worker, self._forward.step, [work for _, work in plan])
        except Exception as error:  # whatever it is, it is the end of these streams, and their readers' to know
            for stream, _ in plan:
                stream.fail(error)
            return
        for (stream, work), token in zip(plan, drawn, strict=True):
            if stream in self._streams:
                stream.row.length = work.at + len(work.ids)
                self._deliver(stream, token)
        await self._settle((loop.time() - started) * _PATIENCE)

    def _plan(self) -> list[tuple[Stream, Work]]:
        """Who takes part in the next step, those that came first before others, as far as memory and the reading quota
        reach. Those that write come first in it."""
        before: set[Row] = set()
        writing: list[tuple[Stream, Work]] = []
        reading: list[tuple[Stream, Work]] = []
        quota = _READ_AT_ONCE
        for stream in self._streams:
            count = stream.unread
            if count > 1:
                count = min(count, quota)
            if stream.waits and count and self._rows.hold(stream.row, stream.begin + count, before):
                (writing if count == 1 else reading).append((stream, stream.work(count)))
                quota -= count if count > 1 else 0
            before.add(stream.row)
        return writing + reading

    def _deliver(self, stream: Stream, token: int | None) -> None:
        if token is None:
            return
        if token < 0:
            stream.fail(RequestRefused(f"{self._name} gives no numbers here: broken weights or numeric type"))
        else:
            stream.take(token)

    async def _settle(self, seconds: float) -> None:
        """Lets the readers take what was handed over and ask again or leave."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        for _ in range(4):
            await asyncio.sleep(0)
            if all(stream.waits for stream in self._streams):
                return
        while (left := until - loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
            if all(stream.waits for stream in self._streams):
                return


def chances(seed: int | None) -> Callable[[], float]:
    """A stream's own random numbers."""
    return Random(seed).random
