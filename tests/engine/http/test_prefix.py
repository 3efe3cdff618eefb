"""Turns over a chat endpoint: only where it goes on from the beginning of a reply, and does so faithfully."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import antiphon.dialect
from antiphon.dialect import Message, Part
from antiphon.engine.base import Finish
from antiphon.errors import ModelError
from antiphon.trace import pack_ids
from tests.engine.http.prefix_server import NUMBERS, PrefixServer
from tests.engine.http.talk import read
from tests.engine.http.test_chat import talking

ASKED: tuple[Message, ...] = ({"role": "user", "content": "Count."},)
PLAIN = antiphon.dialect.load("plain", template=None, has_control=None, controls=None)
OPENING = "<think>\n"

modes = pytest.mark.parametrize("mode", ["continue_final_message", "prefix"])


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


@modes
def test_a_reply_is_written_in_turns(mode: str) -> None:
    async def go() -> None:
        async with PrefixServer(mode=mode).serving() as server, talking(server.url, prefix=mode) as engine:
            can = await engine.capabilities()
            assert (can.continues, can.ids) == (True, False)
            await engine.rehearse(OPENING)
            reply = await engine.begin(ASKED, PLAIN)
            assert reply.length == len("Count.")
            assert await reply.append([Part(OPENING)]) == pack_ids()
            first = await read(reply, 3)
            assert (first.text, first.finish) == ("one two three", Finish("length"))
            reply.truncate(len(f"Count.{OPENING}one tw"))
            rest = await read(reply, 400)
            assert f"one tw{rest.text}" == NUMBERS
            assert rest.finish == Finish("stop")
            assert server.asked[-1]["messages"][-1]["content"] == f"{OPENING}one tw"
            with pytest.raises(ValueError, match="cannot cut"):
                reply.truncate(2)
            await reply.close()

    run(go)


@modes
@pytest.mark.parametrize(
    ("flaw", "seen"),
    [
        ("strips", r"cut behind a blank, it writes as without \(' "),
        ("anew", r"it begins the reply anew \('one two"),
        ("whole words", r"cut inside a word, it writes the word anew \('seventeen"),
        ("apart", "it tells thinking apart, which is lost in turns; start it without its parser of reasoning"),
        ("silent", "it writes nothing"),
        ("drifts", r"cut behind a word, it writes .* where it wrote .* in one go"),
        ("puts", "its template puts 4 tokens of its own before the reply"),
    ],
)
def test_an_unfaithful_server_is_refused_with_what_was_seen(mode: str, flaw: str, seen: str) -> None:
    async def go() -> None:
        server = PrefixServer(mode=mode, flaw=flaw)
        async with server.serving():
            with pytest.raises(ModelError, match=seen) as raised:
                async with talking(server.url, prefix=mode) as engine:
                    await engine.rehearse(OPENING)
            assert "\n" not in str(raised.value)

    run(go)


def test_a_server_that_knows_no_prefix_is_refused() -> None:
    async def go() -> None:
        server = PrefixServer(mode="prefix")
        async with server.serving(), talking(server.url, prefix="continue_final_message") as engine:
            with pytest.raises(ModelError, match="the last message must be the user's"):
                await engine.rehearse(OPENING)

    run(go)


def test_nothing_is_rehearsed_for_whole_replies() -> None:
    async def go() -> int:
        async with PrefixServer(flaw="anew").serving() as server, talking(server.url) as engine:
            await engine.rehearse(OPENING)
            return len(server.asked)

    assert run(go) == 1
