"""Requests and their events: what arrives together is given together, and few requests begin at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.engine.http.client import _AT_ONCE, Client, _Gate
from antiphon.engine.http.faults import Fault, Transient


def test_events_that_arrive_together_are_one_burst() -> None:
    async def go() -> None:
        first_was_read = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2\n\nda")
            await first_was_read.wait()
            writer.write(b"ta: 3\n\ndata: [DONE]\n\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1")
        client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", headers={}, timeout=9)
        async with server, client.stream("/x", {}) as stream:
            assert list(await stream.burst() or ()) == [1, 2]
            first_was_read.set()
            assert list(await stream.burst() or ()) == [3]
            assert await stream.burst() is None
        await client.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("head", "body", "events"),
    [
        ("text/event-stream", b"data: 1\n\ndata: 2", [1, 2]),
        ("application/json", b"[3]", [[3]]),
        ("application/json", b"", Transient),
    ],
    ids=["the last line has no end", "no stream", "nothing"],
)
def test_a_reply_is_read_to_its_end(head: str, body: bytes, events: list[Any] | type[Fault]) -> None:
    async def go() -> list[Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {head}\r\n\r\n".encode() + body)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1")
        client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", headers={}, timeout=9)
        try:
            async with server:
                return [event async for event in client.events("/x", {})]
        finally:
            await client.close()

    if isinstance(events, list):
        assert asyncio.run(go()) == events
    else:
        with pytest.raises(events, match="not JSON"):
            asyncio.run(go())


def test_few_requests_begin_in_one_pass_of_the_loop() -> None:
    async def go() -> None:
        gate, begun = _Gate(), []

        async def begin(number: int) -> None:
            await gate.passed()
            begun.append(number)

        tasks = [asyncio.create_task(begin(number)) for number in range(3 * _AT_ONCE)]
        while len(begun) < len(tasks):
            before = len(begun)
            await asyncio.sleep(0)
            assert len(begun) - before <= _AT_ONCE
        assert begun == list(range(len(tasks)))

    asyncio.run(go())


def test_who_gives_up_waiting_to_begin_holds_up_nobody() -> None:
    gate = _Gate()

    async def give_up() -> None:
        task = asyncio.create_task(gate.passed())
        await asyncio.sleep(0)
        task.cancel()

    async def begin() -> None:
        async with asyncio.timeout(9):
            await gate.passed()

    for _ in range(2 * _AT_ONCE):
        asyncio.run(give_up())
    asyncio.run(begin())
