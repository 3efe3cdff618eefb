"""What becomes of a request that fails: tried again, given up with its cause, or left pending; never wrong text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import pytest
from aiohttp import web

from antiphon.dialect import Part
from antiphon.engine.base import Finish
from antiphon.engine.http import client as http_client
from antiphon.engine.http import servers
from antiphon.engine.http.client import Client
from antiphon.errors import EngineUnavailable, RequestRefused, StreamBroken
from antiphon.settings import Sampling
from tests.engine.http.kinds import KINDS, StrictSGLang, StrictVLLM
from tests.engine.http.strict import END, OPENING, Fault, Strict, ids_of, vocabulary
from tests.engine.http.talk import Late, read, served, talking, told

SCRIPT = ids_of("seven eight 東 nine", "</think>", "ten")
TEXT = vocabulary().decode(SCRIPT)
MALFORMED = ["{}", "[]", "null", "3", '"text"', '{"choices": []}', "{not json", '{"choices": [{}]}', '{"tokens": [1]}']

every = pytest.mark.parametrize("kind", KINDS)


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, none of which is waited."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    class Clock:
        def __getattr__(self, name: str) -> Any:
            return note if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(servers, "asyncio", Clock())
    return waited


def failing(server: Strict, fault: Fault, times: int) -> None:
    """The next requests fail."""
    begun = len(server.requests)
    server.faults = lambda number: fault if number <= begun + times else None


AT_ONCE = {
    "reset": Fault("reset"),
    "end": Fault("end"),
    "error": Fault("error"),
    "page": Fault("page", status=502),
    "429": Fault("status", status=429),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    **{f"malformed {n}": Fault("raw", body=body) for n, body in enumerate(MALFORMED)},
}
"""Faults before the first token."""


@every
@pytest.mark.parametrize("fault", AT_ONCE)
def test_a_fault_that_passes_costs_nothing(kind: str, fault: str) -> None:
    async def go() -> None:
        server = KINDS[kind](SCRIPT)
        async with served(server) as engine:
            await engine.learn(["</think>", "<|im_end|>"])
            failing(server, AT_ONCE[fault], 3)
            got = await told(engine, stops=(END,))
            assert (got.text, got.finish and got.finish.reason) == (TEXT, "stop")

    run(go)


@pytest.mark.parametrize("fault", AT_ONCE)
def test_a_fault_that_stays_fails_the_request_with_its_cause(fault: str) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, retries=2) as engine:
            prefix = await engine.open([Part(OPENING)])
            failing(server, AT_ONCE[fault], 3)
            with pytest.raises(RequestRefused, match="3 times in a row, while it serves others") as raised:
                await read(prefix)
            assert server.url in str(raised.value)
            assert "\n" not in str(raised.value)
            assert (await read(prefix, stops=(END,))).ids == SCRIPT, "the server is not given up"

    run(go)


@pytest.mark.parametrize("fault", AT_ONCE)
def test_a_server_that_serves_nobody_is_unavailable(fault: str) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, retries=1) as engine:
            prefix = await engine.open([Part(OPENING)])
            failing(server, AT_ONCE[fault], 99)
            with pytest.raises(EngineUnavailable):
                await read(prefix)
            with pytest.raises(EngineUnavailable):
                await engine.probe()
            server.faults = lambda number: None
            await engine.probe()
            assert (await read(prefix, stops=(END,))).ids == SCRIPT

    run(go)


@every
@pytest.mark.parametrize("fault", ["close", "end", "error"])
def test_what_came_before_a_break_stands(kind: str, fault: str) -> None:
    async def go() -> None:
        server = KINDS[kind](SCRIPT)
        async with served(server) as engine:
            await engine.learn(["</think>", "<|im_end|>"])
            prefix = await engine.open([Part(OPENING)])
            opened = prefix.length
            failing(server, Fault(fault, after=8), 1)
            text, breaks, finish = "", 0, None
            while finish is None:
                before = prefix.length
                stream = prefix.stream(Sampling(), 400, (END,))
                try:
                    async with aclosing(cast(Any, stream)) as chunks:
                        async for chunk in chunks:
                            text += "".join(piece.text for piece in chunk.pieces)
                            finish = chunk.finish
                except StreamBroken as broken:
                    assert prefix.server in str(broken)
                    assert prefix.length > before
                    breaks += 1
            assert (text, breaks) == (TEXT, 1)
            if kind != "openai":
                assert prefix.length - opened == len(SCRIPT)

    run(go)


# Those left out ask the tokeniser while they read, and what lies unread when a connection breaks is lost.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("no files")])
def test_a_break_behind_the_end_is_none(kind: str) -> None:
    """All is there but the last words of the stream."""

    async def go() -> None:
        server = KINDS[kind](SCRIPT)
        async with served(server) as engine:
            await engine.learn(["</think>", "<|im_end|>"])
            failing(server, Fault("close", after=-1), 1)
            asked = len(server.requests)
            got = await told(engine, stops=(END,))
            assert (got.text, got.finish and got.finish.reason) == (TEXT, "stop")
            assert len(server.requests) == asked + 1

    run(go)


def test_a_hang_ends_with_the_users_patience() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, timeout=0.1) as engine:
            prefix = await engine.open([Part(OPENING)])
            failing(server, Fault("hang"), 1)
            assert (await read(prefix, stops=(END,))).ids == SCRIPT
            prefix.truncate(prefix.length - len(SCRIPT))
            failing(server, Fault("hang", after=3), 1)
            with pytest.raises(StreamBroken, match=r"it sent nothing for 0\.1 s"):
                await read(prefix)
            await asyncio.wait_for(server.lost.wait(), 5)

    run(go)


@pytest.mark.parametrize("date", [False, True])
def test_a_busy_server_is_given_the_time_that_it_asks_for(date: bool, waits: list[float]) -> None:
    async def go() -> None:
        asked = format_datetime(datetime.now(UTC) + timedelta(seconds=31), usegmt=True) if date else "30"
        server = StrictVLLM(SCRIPT)
        async with served(server) as engine:
            failing(server, Fault("status", status=429, headers={"Retry-After": asked}), 1)
            assert (await told(engine, stops=(END,))).ids == SCRIPT
            assert waits == [pytest.approx(30, abs=1.5)]

    run(go)


@pytest.mark.parametrize(("asked", "most"), [("99999", 60), ("-5", 0.5), ("soon", 0.5), ("nan", 0.5), ("inf", 60)])
def test_no_server_makes_us_wait_for_ever(asked: str, most: float, waits: list[float]) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server) as engine:
            failing(server, Fault("status", status=503, headers={"Retry-After": asked}), 1)
            assert (await told(engine, stops=(END,))).ids == SCRIPT
            assert 0 < waits[0] <= most

    run(go)


def test_tries_are_farther_and_farther_apart_and_never_in_step(waits: list[float]) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, retries=6) as engine:
            for _ in range(2):
                failing(server, Fault("reset"), 6)
                await told(engine, stops=(END,))
        first, second = waits[:6], waits[6:]
        assert first != second
        for series in (first, second):
            assert all(0.125 * 2**n <= wait <= 0.375 * 2**n for n, wait in enumerate(series))

    run(go)


@pytest.mark.parametrize("status", [400, 413, 422, 501])
def test_what_is_refused_is_not_asked_again(status: int) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            asked = len(server.requests)
            failing(server, Fault("status", status=status), 9)
            with pytest.raises(RequestRefused, match=rf"HTTP {status}: busy"):
                await read(prefix)
            assert len(server.requests) == asked + 1

    run(go)


def test_a_server_that_is_gone_leaves_the_trace_pending() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with server.serving(), talking(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            got = await read(prefix, pieces=4)
            await server.stop()
            with pytest.raises(EngineUnavailable, match="nothing answers there"):
                await read(prefix)
            with pytest.raises(EngineUnavailable):
                await engine.open([Part(OPENING)])
            await server.start()
            await engine.probe()
            assert got.ids + (await read(prefix, stops=(END,))).ids == SCRIPT

    run(go)


def test_what_arrived_together_with_a_fault_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each request breaks: the trace gets on."""
    monkeypatch.setattr(http_client, "Stream", Late)

    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, retries=0) as engine:
            prefix = await engine.open([Part(OPENING)])
            opened = prefix.length
            failing(server, Fault("error", 3), 2)
            for times in (1, 2):
                with pytest.raises(StreamBroken):
                    await read(prefix)
                assert prefix.length == opened + 3 * times
            got = await read(prefix, stops=(END,))
            assert got.ids == SCRIPT[6:]

    run(go)


@pytest.mark.parametrize("look", [1, 3, 8])
def test_what_came_before_a_break_stands_however_seldom_it_is_looked_at(look: int) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server, retries=0) as engine:
            prefix = await engine.open([Part(OPENING)])
            opened = prefix.length
            failing(server, Fault("close", 4), 1)
            with pytest.raises(StreamBroken):
                await read(prefix, look=look)
            assert prefix.length == opened + 4
            assert (await read(prefix, stops=(END,))).ids == SCRIPT[4:]

    run(go)


def test_an_abort_is_a_reset() -> None:
    """What a proxy or server takes for a reader who is gone, and what leaves no connection in TIME_WAIT."""

    async def go() -> None:
        ended: asyncio.Future[BaseException | bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            try:
                ended.set_result(await reader.read())
            except ConnectionResetError as error:
                ended.set_result(error)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", headers={}, timeout=9)
        async with server:
            events = client.events("/x", {})
            assert await anext(events) == 1
            await events.aclose()
            assert isinstance(await asyncio.wait_for(ended, 5), ConnectionResetError)
        await client.close()

    run(go)


def test_three_hundred_streams_are_open_at_once() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with served(server) as engine:
            server.gate = 300  # none begins before all are there
            got = await asyncio.gather(*(told(engine, 3) for _ in range(300)))
            assert server.most == 300
            assert {tuple(each.ids) for each in got} == {tuple(SCRIPT[:3])}

    run(go)


class TestSGLangAborts:
    """A request is ended by its name, too, since not every version sees that its reader is gone."""

    def test_by_its_name(self) -> None:
        async def go() -> None:
            server = StrictSGLang(SCRIPT)
            async with served(server) as engine:
                prefix = await engine.open([Part(OPENING)])
                await read(prefix, pieces=2)
                name = server.requests[-1]["rid"]
            assert server.named_aborts == [name]

        run(go)

    def test_one_that_ended_is_left_alone(self) -> None:
        async def go() -> None:
            server = StrictSGLang(SCRIPT)
            async with served(server) as engine:
                await told(engine, stops=(END,))
                await told(engine, 3)
            assert server.named_aborts == []

        run(go)

    def test_one_that_broke_or_was_cancelled(self) -> None:
        async def go() -> None:
            server = StrictSGLang(SCRIPT)
            async with served(server, timeout=0.1) as engine:
                prefix = await engine.open([Part(OPENING)])
                failing(server, Fault("hang", after=2), 1)
                with pytest.raises(StreamBroken):
                    await read(prefix)
                name = server.requests[-1]["rid"]
            assert server.named_aborts == [name]

        run(go)

    def test_an_abort_that_fails_is_no_fault(self) -> None:
        async def go() -> None:
            server = StrictSGLang(SCRIPT)
            server.abort_fails = True
            async with served(server) as engine:
                prefix = await engine.open([Part(OPENING)])
                got = await read(prefix, pieces=2)
                assert got.ids + (await read(prefix, stops=(END,))).ids == SCRIPT
            assert len(server.named_aborts) == 1

        run(go)


@pytest.mark.parametrize("kind", ["vllm, no files", "sglang, no files", "llama.cpp, no files"])
def test_the_servers_tokeniser_may_fail_for_a_while(kind: str) -> None:
    async def go() -> None:
        server = KINDS[kind](SCRIPT)
        asked = 0
        tokenize = cast(Any, server)._tokenize
        always = False

        async def failing(request: web.Request) -> web.Response:
            nonlocal asked
            asked += 1
            return web.Response(status=503) if always or asked % 3 else await tokenize(request)

        cast(Any, server)._tokenize = failing
        async with served(server) as engine:
            assert list(await engine.encode("seven eight")) == ids_of("seven eight")
            always = True
            with pytest.raises(RequestRefused, match="while it serves others"):
                await engine.encode("nine")

    run(go)


def test_the_system_allows_as_many_connections_as_it_can() -> None:
    import resource

    from antiphon.engine.http.client import raise_file_limit

    raise_file_limit()
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert now == most


def test_an_end_of_stream_needs_no_last_blank_line() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        server.done = lambda: "data: [DONE]"  # type: ignore[method-assign]
        async with served(server) as engine:
            assert (await told(engine, stops=(END,))).finish == Finish("stop", END)

    run(go)
