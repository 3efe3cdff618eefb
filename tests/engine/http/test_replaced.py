"""A server whose connection broke may be another one now: it is asked for its model before it is used again."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.dialect import Part
from antiphon.errors import EngineUnavailable, StreamBroken
from tests.engine.http.kinds import KINDS
from tests.engine.http.strict import END, OPENING, Fault, Strict, ids_of
from tests.engine.http.talk import read, served

SCRIPT = ids_of("one two three four five")


def breaks_once(server: Strict) -> None:
    """The next stream is closed after its fourth event."""
    number = len(server.requests) + 1
    server.faults = lambda now: Fault("close", 4) if now == number else None


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_came_back_at_once_with_another_model_gets_no_request(kind: str) -> None:
    async def go() -> None:
        server = KINDS[kind](SCRIPT)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            breaks_once(server)
            with pytest.raises(StreamBroken):
                await read(prefix, stops=(END,))
            server.names = ["teacher"]
            requests = len(server.requests)
            with pytest.raises(EngineUnavailable, match="it serves teacher now, and this run began with student"):
                await read(prefix, stops=(END,))
            assert len(server.requests) == requests

    asyncio.run(go())


def test_all_who_wait_share_one_question() -> None:
    async def go() -> None:
        server = KINDS["vllm"](SCRIPT)
        async with served(server) as engine:
            prefixes = [await engine.open([Part(OPENING)]) for _ in range(20)]
            breaks_once(server)
            with pytest.raises(StreamBroken):
                await read(prefixes[0], stops=(END,))
            questions = len(server.headers) - len(server.requests)
            await asyncio.gather(*(read(prefix, stops=(END,)) for prefix in prefixes))
            assert len(server.headers) - len(server.requests) == questions + 1

    asyncio.run(go())
