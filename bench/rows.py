"""What the simulated servers could do, and what a plain script gets of them: two orchestrators of a page's length.

`exact` knows the script and asks for exactly what is kept, one request a turn in one piece: no orchestrator can be
quicker with these servers but by sending less. `lock_step` does what arXiv 2604.14164 describes: chunks of a fixed
size, cut where the exact labels say; all traces wait for the slowest request of a round, and the answers are asked for
together at the end. Both send prompts as ids, each spelled once, and keep nothing but the ids.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import orjson
import tokenizers

from antiphon.engine.http.prompt import PromptIds
from antiphon.problem import Problem
from bench.simulator import Pair, simlib, statement

CHUNKS = {"teacher": 10, "student": 5}
"""Tokens a request, as the paper has it for code."""
_OPENINGS = {
    "teacher": ("<|start|>user<|message|>{}<|end|><|start|>assistant<|channel|>analysis<|message|>"),
    "student": ("<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n"),
}
_LONGEST_ANSWER = 1000


class Page:
    """A trace so far, as both servers read it."""

    def __init__(self, problem: Problem, tokenizer: tokenizers.Tokenizer):
        self.text = statement(problem)
        self.prompts = {role: PromptIds() for role in _OPENINGS}
        for role, opening in _OPENINGS.items():
            self.prompts[role].extend(tokenizer.encode(opening.format(self.text), add_special_tokens=False).ids)
        self.kept = 0
        self.tokens: list[str] = []  # since the last terminator
        self.role = "student"
        self.closed = False

    def take(self, ids: Sequence[int]) -> None:
        """Keeps ids."""
        self.kept += len(ids)
        for prompt in self.prompts.values():
            prompt.extend(ids)


class Desk:
    """Sends requests to a pair. A context."""

    def __init__(self, pair: Pair):
        self._urls = {role: f"{getattr(pair, role).url}/v1/completions" for role in _OPENINGS}
        self._tls = None
        if pair.teacher.authority is not None:
            self._tls = ssl.create_default_context(cafile=str(pair.teacher.authority))
        self.tokenizer = tokenizers.Tokenizer.from_file(str(pair.tokenizer))

    async def __aenter__(self) -> Desk:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, page: Page, role: str, tokens: int) -> list[int]:
        """The ids of a completion."""
        body = {"prompt": page.prompts[role].json, "max_tokens": tokens, "return_token_ids": True, "temperature": 0}
        async with self._session.post(
            self._urls[role], data=orjson.dumps(body), headers={"Content-Type": "application/json"}
        ) as response:
            return list(orjson.loads(await response.read())["choices"][0]["token_ids"])


async def exact(desk: Desk, pages: Sequence[Page]) -> None:
    """Every request asks for what is kept, all traces side by side."""

    async def write(page: Page) -> None:
        seed, spans, lengths, answer, ends = simlib.spec(page.text)
        for number in range(spans):
            blank = number > 0 and ends[number - 1] == "."
            style = simlib.style_toks(seed, number, "student", blank)
            page.take(await desk.ask(page, "student", len(style)))
            page.take(await desk.ask(page, "teacher", lengths[number] + 1))
        page.take(await desk.ask(page, "student", 1 + len(simlib.answer_toks(seed, answer))))

    await asyncio.gather(*map(write, pages))


async def lock_step(desk: Desk, pages: Sequence[Page]) -> None:
    """Rounds of one chunk for each trace."""
    decode = desk.tokenizer.decode
    texts = {token: decode([token], skip_special_tokens=False) for token in range(desk.tokenizer.get_vocab_size())}
    while writing := [page for page in pages if not page.closed]:
        replies = await asyncio.gather(*(desk.ask(page, page.role, CHUNKS[page.role]) for page in writing))
        for page, ids in zip(writing, replies, strict=True):
            _cut(page, ids, texts)
    for page, ids in zip(
        pages, await asyncio.gather(*(desk.ask(page, "student", _LONGEST_ANSWER) for page in pages)), strict=True
    ):
        page.take(ids)


def _cut(page: Page, ids: Sequence[int], texts: dict[int, str]) -> None:
    """Keeps what is the author's own; the rest is the other's, who goes on."""
    kept = 0
    for token in ids:
        text, kept = texts[token], kept + 1
        if text == "</think>":
            page.closed = True
            break
        page.tokens = [] if text in simlib.TERMS else [*page.tokens, text]
        following = "student" if not page.tokens or simlib.labels_next(page.tokens, True)[-1] else "teacher"
        if following != page.role:
            page.role = following
            break
    page.take(ids[:kept])


ROWS: dict[str, Callable[[Desk, Sequence[Page]], Awaitable[None]]] = {"exact": exact, "lock-step": lock_step}


def measured_row(pair: Pair, some: Sequence[Problem], name: str) -> dict[str, Any]:
    """One of `ROWS` in this process, in the terms of `bench.simulated.measured`."""
    pair.reset()

    async def run() -> list[Page]:
        async with Desk(pair) as desk:
            pages = [Page(problem, desk.tokenizer) for problem in some]
            await ROWS[name](desk, pages)
            return pages

    began, cpu = time.monotonic(), time.process_time()
    pages = asyncio.run(run())
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    turns = sum(2 * simlib.spec(page.text)[1] + 1 for page in pages)
    return {
        "problems": len(some),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "turns": turns,
        "requests": pair.requests,
        "cpu_ms_per_turn": round(1000 * cpu / turns, 2),
        "requests_per_turn": round(pair.requests / turns, 3),
        "thrown_away_per_turn": round((pair.decoded - sum(page.kept for page in pages)) / turns, 2),
        "servers_busy_s": [server.stats()["busy_s"] for server in pair.servers],
    }
