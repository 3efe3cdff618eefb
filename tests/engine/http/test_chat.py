"""Chat endpoints: found, asked in what they take, and read in every form that a reply comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from antiphon.dialect import Message, Part
from antiphon.engine.base import Reply
from antiphon.engine.http import HttpEngine, servers
from antiphon.engine.http.find import base_of, chat_route
from antiphon.errors import EngineUnavailable, ModelError, RequestRefused
from antiphon.settings import Connection, Sampling
from tests.engine.http.chat_server import FIELDS, OTHERS, ChatServer, Refusal, Says

ASKED: tuple[Message, ...] = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2+2?"},
)
SAYS = Says("It is 4.\n", "Two and\ntwo: 4.", cached=8)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_FIRST_WAIT", 0.001)


@asynccontextmanager
async def talking(*addresses: str, **options: Any) -> AsyncIterator[HttpEngine]:
    engine = HttpEngine(addresses, Connection(**{"timeout": 20, **options}))
    try:
        await engine.capabilities()
        yield engine
    finally:
        await engine.close()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(work())


def replied(server: ChatServer, *, most: int = 50, seed: int | None = None, **options: Any) -> Reply:
    """The reply of one conversation with a server of its own."""

    async def go() -> Reply:
        async with server.serving(), talking(server.base, **options) as engine:
            return await engine.complete(ASKED, Sampling(temperature=0.6), most, seed)

    return run(go)  # type: ignore[no-any-return]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "both", "parts"])
def test_thinking_is_told_apart_in_every_form(field: str) -> None:
    reply = replied(ChatServer(lambda messages: SAYS._replace(field=field)))
    assert (reply.thinking, reply.answer, reply.finish) == (SAYS.thinking, SAYS.answer, "stop")


def test_a_reply_that_is_not_streamed_is_read_whole() -> None:
    reply = replied(ChatServer(lambda messages: SAYS, plain=True))
    assert (reply.thinking, reply.answer, reply.received) == (SAYS.thinking, SAYS.answer, 7)


def test_the_servers_counts_are_told() -> None:
    reply = replied(ChatServer(lambda messages: SAYS))
    assert (reply.prompt, reply.received, reply.kept, reply.requests) == (11, 7, 7, 1)
    assert (reply.cached, reply.told) == (8, 11)


def test_counts_are_estimated_where_the_server_tells_none() -> None:
    reply = replied(ChatServer(lambda messages: Says("a" * 40, "b" * 20, tokens=None)))
    assert (reply.prompt, reply.received) == (4, 15)
    assert (reply.cached, reply.told) == (None, 0)


def test_messages_and_sampling_are_sent_as_they_are() -> None:
    server = ChatServer()
    replied(server, most=77, seed=5)
    sent = server.asked[-1]
    assert sent["messages"] == list(ASKED)
    assert (sent["max_tokens"], sent["temperature"], sent["top_k"], sent["seed"]) == (77, 0.6, 20, 5)


@pytest.mark.parametrize("finish", ["length", "content_filter", "tool_calls"])
def test_why_it_ended_is_told_in_the_servers_word(finish: str) -> None:
    server = ChatServer(lambda messages: Says("4", finish=finish if len(messages) > 1 else "stop"))
    assert replied(server).finish == finish


# -- finding


@pytest.mark.parametrize("missing", [404, 405])
@pytest.mark.parametrize("ids", ["auto", "never"])
def test_a_server_without_completions_is_a_chat_endpoint(missing: int, ids: str) -> None:
    async def go() -> None:
        async with ChatServer(completions=missing).serving() as server, talking(server.base, ids=ids) as engine:
            can = await engine.capabilities()
            assert (engine.wire.kind, can.continues, can.ids) == ("chat", False, False)
            assert engine.identity["route"] == "chat"
            with pytest.raises(RequestRefused, match="takes conversations, not prompts"):
                await engine.open([Part("2+2?")])

    run(go)


def test_a_server_with_completions_is_not_taken_for_a_chat_endpoint() -> None:
    async def go() -> None:
        async with ChatServer(completions=422).serving() as server:
            with pytest.raises(ModelError, match="this is a chat model"):
                async with talking(server.base):
                    pass
            async with talking(server.base, kind="chat") as engine:
                assert engine.wire.kind == "chat"
            async with talking(server.url) as engine:
                assert engine.wire.kind == "chat"

    run(go)


def test_a_server_without_either_route_is_no_server() -> None:
    async def go() -> None:
        async with ChatServer(root="/v2").serving() as server:
            with pytest.raises(ModelError, match="no completion server is there"):
                async with talking(server.base):
                    pass

    run(go)


@pytest.mark.parametrize("root", ["/v1", "/api/v1", "/api/paas/v4", ""])
@pytest.mark.parametrize("models", [True, False])
def test_a_chat_route_is_taken_where_the_address_says(root: str, models: bool) -> None:
    async def go() -> str:
        server, name = ChatServer(lambda messages: SAYS, root=root, models=models), None if models else "big"
        async with server.serving(), talking(server.url, served=name) as engine:
            return (await engine.complete(ASKED, Sampling(), 9)).answer

    assert run(go) == SAYS.answer


def test_addresses_are_taken_apart() -> None:
    for address, base, route in (
        ("http://h:1/v1/chat/completions", "http://h:1", "/v1/chat/completions"),
        ("http://h:1/v1/chat", "http://h:1", "/v1/chat/completions"),
        ("https://h/api/v4/chat/completions/", "https://h/api/v4", "/chat/completions"),
        ("http://h:1/v1", "http://h:1", None),
        ("http://chat:1/v1/completions", "http://chat:1", None),
    ):
        assert (base_of(address), chat_route(address)) == (base, route)


# -- what servers take


def test_fields_that_a_server_refuses_by_name_are_left_out() -> None:
    async def go() -> None:
        async with ChatServer(fields=FIELDS).serving() as server, talking(server.base) as engine:
            await engine.complete(ASKED, Sampling(), 9)
            assert not server.asked[-1].keys() & OTHERS.keys()
            assert engine.remarks == [
                f"{server.base}: it takes no min_p, repetition_penalty, top_k; requests go without"
            ]

    run(go)


def test_the_newer_name_of_max_tokens() -> None:
    fields = {name: kind for name, kind in FIELDS.items() if name != "max_tokens"}
    server = ChatServer(fields={**fields, **OTHERS, "max_completion_tokens": int})
    replied(server, most=9)
    assert server.asked[-1]["max_completion_tokens"] == 9


# -- faults


@pytest.mark.parametrize("fault", ["busy", "page", "reset", "error", "end", "malformed"])
def test_a_reply_that_fails_is_asked_for_anew(fault: str) -> None:
    server = ChatServer(lambda messages: SAYS)
    server.fault = lambda number: fault if number == 2 else None
    reply = replied(server)
    assert (reply.thinking, reply.answer) == (SAYS.thinking, SAYS.answer)
    assert len(server.asked) == 3
    lost = reply.received - reply.kept  # what had arrived of it is counted, by estimate
    assert reply.kept == 7
    assert (reply.requests, lost > 0) == ((1, False) if fault in ("busy", "page") else (2, True))


@pytest.mark.parametrize("fault", ["busy", "reset", "hang"])
def test_a_request_that_always_fails_is_refused_with_its_cause(fault: str) -> None:
    server = ChatServer()
    server.fault = lambda number: fault if len(server.asked[-1]["messages"]) > 1 else None
    cause = {"busy": "HTTP 429: busy", "reset": "connection broke", "hang": "sent nothing for 0.3 s"}[fault]
    with pytest.raises(RequestRefused, match=cause):
        replied(server, retries=1, timeout=0.3)
    assert sum(len(body["messages"]) > 1 for body in server.asked) == 2


def test_what_a_server_will_not_do_is_not_asked_again() -> None:
    class Prude(ChatServer):
        def _checked(self, body: dict[str, Any]) -> list[dict[str, str]]:
            messages = super()._checked(body)
            if len(messages) > 1:
                self.asked.append(body)
                raise Refusal("your prompt was flagged")
            return messages

    server = Prude()
    with pytest.raises(RequestRefused, match="your prompt was flagged"):
        replied(server)
    assert len(server.asked) == 2


def test_a_server_that_is_gone_leaves_the_trace_pending() -> None:
    async def go() -> None:
        server = ChatServer()
        async with server.serving(), talking(server.base) as engine:
            await server.stop()
            with pytest.raises(EngineUnavailable):
                await engine.complete(ASKED, Sampling(), 9)

    run(go)


def test_replies_go_to_the_server_with_the_fewest() -> None:
    async def go() -> Sequence[int]:
        one, two = ChatServer(), ChatServer()
        async with one.serving(), two.serving(), talking(one.base, two.base) as engine:
            before = [len(one.asked), len(two.asked)]
            await asyncio.gather(*(engine.complete(ASKED, Sampling(), 9) for _ in range(6)))
            return [len(one.asked) - before[0], len(two.asked) - before[1]]

    assert run(go) == [3, 3]
