"""The strict servers with a model behind them that counts on, tells stories, solves the lab's products, and can be made
to misbehave as real servers and proxies do. Each runs in a thread of its own, for commands that run in the test's."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from antiphon.engine.scripted import Control, Situation
from tests.cli.pair import STUDENT, TEACHER, Manner, speaker
from tests.engine.http.kinds import StrictLlama, StrictOpenAI, StrictVLLM
from tests.engine.http.strict import END, Strict, Written, ids_of, vocabulary

_WORDS = ["one", "dark", "night", "the", "lamp", "was", "lit", "and", "nobody", "came", "to", "see", "it", "burn"]


class Lively(Strict):
    """What is mixed into a kind.

    Args:
        manner: how it solves products.
        name: the model's, as it is served.
        pace: seconds that a token takes.
        deaf: sampling values that it does not heed.
        forgets: its prefix cache is off ("all"), or loses what a rollback touched ("rollbacks").
        buffered: a proxy holds each answer back until its end.
        breaks: a proxy cuts each stream after so many events.
        counts: whether it has counters.
        stubborn: a closed stream goes on at the server.
        others: requests of others that it serves all the time.
        restarts: after so many requests it goes down with all its connections, and comes up again.
        becomes: the model that it serves then.
        blocks: of 16 tokens, in its cache.
    """

    def __init__(
        self,
        manner: Manner = STUDENT,
        *,
        name: str = "student",
        pace: float = 0.0005,
        deaf: Iterable[str] = (),
        forgets: str = "",
        buffered: bool = False,
        breaks: int | None = None,
        counts: bool = True,
        stubborn: bool = False,
        others: int = 0,
        restarts: int | None = None,
        becomes: str | None = None,
        blocks: int = 1000,
        **options: Any,
    ):
        super().__init__(**{"context": 8192, **options})
        self.names = [name]
        self.solves = speaker(manner, careless=manner is STUDENT)
        self.pace, self.deaf, self.forgets, self.buffered = pace, set(deaf), forgets, buffered
        self.breaks, self.counts, self.stubborn, self.others = breaks, counts, stubborn, others
        self.restarts, self.becomes, self.blocks = restarts, becomes, blocks
        self.restarted: asyncio.Task[None] | None = None
        self.cut = self._packets
        self.hits = self.generated = 0

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.get("/metrics", self._metrics)]

    async def _metrics(self, request: web.Request) -> web.Response:
        running = self.others + (1 if self.stubborn and self.aborted else self.open)
        if not self.counts:
            return web.Response(status=501)
        return web.Response(
            text=f"# HELP requests_processing now\nllamacpp:requests_processing {running}\n"
            f'vllm:num_requests_running{{engine="0"}} {running}.0\n'
            f'vllm:prefix_cache_hits_total{{engine="0"}} {self.hits}.0\n'
            f'vllm:generation_tokens_total{{engine="0"}} {self.generated}.0\n'
            f'vllm:cache_config_info{{block_size="16",engine="0",num_gpu_blocks="{self.blocks}"}} 1.0\n'
        )

    def _packets(self, data: bytes) -> list[bytes]:
        time.sleep(self.pace)  # in the server's own thread
        if not self.buffered:
            return [data]
        self._kept_back += data
        if not data.startswith(b"data: [DONE]"):
            return []
        return [self._kept_back]

    def accepted(self, body: Any) -> Any:
        accepted = super().accepted(body)
        self._asked = body
        if self.restarts is not None and len(self.requests) >= self.restarts and self.restarted is None:
            self.restarted = asyncio.create_task(self._restart())
        return accepted

    async def _restart(self) -> None:
        await self.stop()
        self.names = [self.becomes or self.names[0]]
        await self.start()

    def spelled(self, event: Any) -> str:
        self._told += 1
        self.generated += 1
        if self.breaks is not None and self._told > self.breaks:
            raise ConnectionResetError("cut by a proxy")
        return super().spelled(event)

    async def _answer(self, request: web.Request, *rest: Any) -> web.StreamResponse:
        self._told = 0
        self._kept_back = b""
        try:
            return await super()._answer(request, *rest)
        except ConnectionResetError:
            if request.transport is not None:
                request.transport.abort()
            raise

    def _cached(self, ids: list[int]) -> int:
        if self.forgets == "all":
            return 0
        if self.forgets == "rollbacks" and ids not in self._seen:
            return 0
        cached = super()._cached(ids)
        self.hits += cached
        return cached

    def written(self, prompt: Any, most: int, stops: Sequence[int]) -> Iterator[Written]:
        tokens = self._tokens(prompt if isinstance(prompt, str) else vocabulary().decode(prompt))
        left, ids = most, []
        finish = None
        while finish is None:
            token = next(tokens)
            left -= 1
            ids.append(token)
            finish = "stop" if token in stops or token in self.ends else "length" if left == 0 else None
            if finish is not None or len(ids) >= self.chunk():
                stopped = ids[-1:] if finish == "stop" else []
                text = vocabulary().decode(ids[: len(ids) - len(stopped)])
                yield Written(ids, text, finish, stopped[0] if stopped else None)
                ids = []

    def _tokens(self, text: str) -> Iterator[int]:
        if "times" in text:
            for said in self.solves(Situation(0, 0, lambda: text)):
                yield from ids_of(said.text if isinstance(said, Control) else str(said))
        elif numbers := re.findall(r"\d{6}", text):
            for number in range(int(numbers[-1]) + 1, int(numbers[-1]) + 300):
                yield from ids_of(f" {number}")
        else:
            draw = self._draw(text)
            for _ in range(60):
                yield from ids_of(f" {draw.choice(_WORDS)}")
        yield END

    def _draw(self, text: str) -> random.Random:
        """By chance, where the sampling values that it heeds leave room for it."""
        values = {name: value for name, value in self._asked.items() if name not in self.deaf}
        greedy = values.get("temperature", 0) == 0 or values.get("top_k") == 1
        greedy = greedy or values.get("top_p", 1) < 0.01 or values.get("min_p", 0) == 1
        return random.Random(text if greedy else None)


class LivelyVLLM(Lively, StrictVLLM):
    pass


class LivelyLlama(Lively, StrictLlama):
    pass


class LivelyOpenAI(Lively, StrictOpenAI):
    pass


@contextmanager
def up(*servers: Strict) -> Iterator[None]:
    """The servers serve, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        for server in servers:
            run(server.start())
        yield
    finally:
        for server in servers:
            run(server.stop())
        run(loop.shutdown_asyncgens())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


__all__ = ["STUDENT", "TEACHER", "Lively", "LivelyLlama", "LivelyOpenAI", "LivelyVLLM", "up"]
