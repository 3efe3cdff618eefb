"""However a reply arrives, in pieces of any size or as a whole, it is the same."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any, cast

import pytest

from antiphon.dialect import Part
from antiphon.engine.base import Finish
from antiphon.engine.http import HttpEngine
from tests.engine.http.contract import SCRIPT, every, learned, make, run, wanted
from tests.engine.http.kinds import StrictOpenAI
from tests.engine.http.strict import END, OPENING, vocabulary
from tests.engine.http.talk import SAMPLING, read, served, told


@every
def test_what_is_looked_at_once_is_asked_for_in_one_piece(kind: str) -> None:
    """On one connection, and the cache's share is told as in streams."""

    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            opened = prefix.length
            connections = len(server.connections)
            for _ in range(3):
                prefix.truncate(opened)
                got = await read(prefix, 6, (END,), look=6)
                assert server.requests[-1]["stream"] is False
                assert got.text == vocabulary().decode(SCRIPT[:6])
                assert got.finish == Finish("length")
            if kind != "openai":
                assert got.ids == SCRIPT[:6]
                blocks = 16 if kind.startswith("vllm") else 1
                assert got.cached == [(opened - 1) // blocks * blocks]
            assert len(server.connections) <= connections + 1
            assert server.aborted == 0

    run(go)


@every
@pytest.mark.parametrize("look", [3, 5])
def test_a_stream_is_handed_over_by_so_many_tokens(kind: str, look: int) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            await learned(engine)
            one_by_one, together = [await chunks(engine, each) for each in (1, look)]
            assert "".join(together) == "".join(one_by_one)
            assert len(together) <= len(SCRIPT) / look + 3

    run(go)


async def chunks(engine: HttpEngine, look: int) -> list[str]:
    prefix = await engine.open([Part(OPENING)])
    async with aclosing(cast(Any, prefix.stream(SAMPLING, 400, (END,), None, look))) as stream:
        return ["".join(piece.text for piece in chunk.pieces) async for chunk in stream]


@every
@pytest.mark.parametrize("style", ["crlf", "comments"])
def test_events_are_read_as_the_standard_has_them(kind: str, style: str) -> None:
    async def go() -> None:
        server = make(kind)
        if style == "crlf":
            server.line_end = "\r\n"
        else:
            server.noise = ": ping\n\nevent: message\nid: 7\nretry: 10\n"
        async with served(server) as engine:
            assert (await told(await learned(engine), stops=(END,))).text == (await wanted()).text

    run(go)


@every
def test_an_answer_that_is_not_streamed_is_read_whole(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        server.plain = True
        async with served(server) as engine:
            got, want = await told(await learned(engine), stops=(END,)), await wanted()
            assert got.text == want.text
            assert got.finish in (Finish("stop"), want.finish)
            if kind != "openai":
                assert got.ids == want.ids

    run(go)


@every
def test_packets_may_end_anywhere(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        server.spelled = lambda event: f"data: {json.dumps(event, ensure_ascii=False)}\n\n"  # type: ignore[method-assign]
        server.cut = lambda data: [data[n : n + 7] for n in range(0, len(data), 7)]
        async with served(server) as engine:
            assert (await told(await learned(engine), stops=(END,))).text == (await wanted()).text

    run(go)


@every
def test_empty_events_are_legal(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        event = server.event

        def with_empty(step: Any, so_far: Any, prompt: Any, cached: int) -> list[Any]:
            before = type(so_far)(so_far.ids[: len(so_far.ids) - len(step.ids)], so_far.text.removesuffix(step.text))
            return [*event(type(step)([], ""), before, prompt, cached), *event(step, so_far, prompt, cached)]

        server.event = with_empty  # type: ignore[method-assign]
        async with served(server) as engine:
            got, want = await told(await learned(engine), stops=(END,)), await wanted()
            assert (got.text, got.ids) == (want.text, want.ids if kind != "openai" else [])

    run(go)


def test_a_character_that_comes_in_halves_is_one() -> None:
    async def go() -> None:
        server = StrictOpenAI()
        half = [{"choices": [{"text": text, "finish_reason": None}]} for text in ("a\ud83d", "\ude42b\ud800", "c")]
        server.event = lambda *about: [*half, {"choices": [{"text": "\udbff", "finish_reason": "stop"}]}]  # type: ignore
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            got = await read(prefix)
            assert [piece.text for piece in got.pieces] == ["a", "🙂b", "\ud800c", "\udbff"]
            await read(prefix)
            assert server.prompts[-1] == f"{OPENING}a🙂b\ufffdc\ufffd", "what JSON cannot carry is sent as U+FFFD"

    run(go)
