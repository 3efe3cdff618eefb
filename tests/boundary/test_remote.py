"""Taggers behind a server: the same verdicts as here, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import torch
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.base import Step, Verdict
from antiphon.boundary.remote import RemoteTagger
from antiphon.boundary.tagger import Tagger
from antiphon.boundary.tagging import Query
from antiphon.errors import EngineUnavailable, ModelError, RequestRefused, SettingsError
from antiphon.trace import Author

from .classifiers import make
from .contract import check_contract, traces

FIELDS = {"model", "task", "input", "add_special_tokens", "use_activation"}
TEXT = "Okay, so let me check 3 + 4 = 7.\n\nWait, that is 好的 f(x) = 2. " * 6


class Pooling:
    """vLLM's pooling route over a classifier of this process; strict about what it is asked."""

    def __init__(self, tagger: Tagger):
        self.tagger = tagger
        self.name = "mine"
        self.faults: list[web.Response | str] = []  # the next answers, in order
        self.requests = 0

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.name, "object": "model"}]})

    async def pooling(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, web.Response):
                return fault
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        asked = await request.json()
        assert asked.keys() == FIELDS
        assert asked["task"] == "token_classify"
        assert asked["add_special_tokens"] is asked["use_activation"] is False
        if asked["model"] != self.name:
            return web.json_response({"error": {"message": f"no model {asked['model']}", "code": 404}}, status=404)
        rows = []
        for number, ids in enumerate(asked["input"]):
            alone = Query(self.tagger.session(Author.STUDENT), array("I", ids), range(len(ids)))
            (said,) = self.tagger.classifier.answer([alone])
            rows.append({"index": number, "object": "pooling", "data": [[-value / 2, value / 2] for value in said]})
        return web.json_response({"object": "list", "model": self.name, "data": rows[::-1]})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.add_routes([web.get("/v1/models", self.models), web.post("/pooling", self.pooling)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tagger]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = make(tmp_path_factory.mktemp("remote") / "mine", says={"lookahead": 1, "end": 2, "window": 128})
    yield Tagger.load(str(folder))
    torch.set_num_threads(before)


def expected(local: Tagger) -> list[Verdict]:
    session = local.session(Author.STUDENT)
    return session.feed(TEXT) + session.finish()


async def judged(remote: RemoteTagger, text: str = TEXT, pieces: int = 25) -> list[Verdict]:
    session, verdicts = remote.session(Author.STUDENT), []
    for at in range(0, len(text), pieces):
        verdicts += (await remote.advance([Step(session, text[at : at + pieces])]))[0]
    return verdicts + (await remote.advance([Step(session, "", True)]))[0]


def asked(local: Tagger, faults: list[web.Response | str], *, pieces: int = 10_000, **given: Any) -> list[Verdict]:
    """The verdicts of a server that first fails in these ways."""

    async def run() -> list[Verdict]:
        pooling = Pooling(local)
        pooling.faults = list(faults)
        async with pooling.served() as url:
            remote = RemoteTagger([url], local.checkpoint, **given)
            try:
                return await judged(remote, pieces=pieces)
            finally:
                await remote.close()

    return asyncio.run(run())


def test_verdicts_are_those_of_this_process(local: Tagger) -> None:
    assert asked(local, [], pieces=25) == expected(local)


def test_concurrent_traces(local: Tagger) -> None:
    async def run() -> list[list[Verdict]]:
        async with Pooling(local).served() as url:
            remote = load(f"remote:{url}/v1?tokenizer={local.checkpoint.folder}")
            assert isinstance(remote, RemoteTagger)
            try:
                await remote.probe()
                return await asyncio.gather(*(judged(remote, pieces=40) for _ in range(8)))
            finally:
                await remote.close()

    assert asyncio.run(run()) == [expected(local)] * 8


@settings(max_examples=5, deadline=None)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_contract(local: Tagger, trace: list, random: Random) -> None:
    """Words are judged from a thread without a loop, too."""

    async def run() -> None:
        async with Pooling(local).served() as url:
            remote = RemoteTagger([url], local.checkpoint)
            try:
                await asyncio.to_thread(check_contract, remote, trace, random)
            finally:
                await remote.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        web.Response(status=503, text="<html><title>Busy</title></html>"),
        web.Response(status=429, headers={"Retry-After": "0"}),
        web.Response(text="half a rep"),
        web.json_response({"data": []}),
        web.json_response({"data": [{"index": 0, "data": [[0.5, 0.5]]}]}),
        web.json_response({"data": [{"index": 0}]}),
        web.json_response(["data"]),
        "reset",
    ],
    ids=["503", "429", "no JSON", "no rows", "too few tokens", "no labels", "a list", "reset"],
)
def test_a_passing_fault_is_tried_again(local: Tagger, fault: Any) -> None:
    assert asked(local, [fault]) == expected(local)


def test_what_is_refused_fails_the_trace(local: Tagger) -> None:
    refused = web.json_response({"error": {"message": "Unsupported task: 'token_classify'"}}, status=400)
    with pytest.raises(RequestRefused, match=r"http://127\.0\.0\.1:.*: HTTP 400: Unsupported task"):
        asked(local, [refused])


def test_another_model_is_an_unfit_server(local: Tagger) -> None:
    with pytest.raises(EngineUnavailable, match="HTTP 404: no model other"):
        asked(local, [], model="other")


def test_a_dead_server_is_named(local: Tagger) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        remote = RemoteTagger([url], local.checkpoint)
        with pytest.raises(EngineUnavailable, match=f"{url}: nothing answers there"):
            asyncio.run(judged(remote))
        with pytest.raises(EngineUnavailable, match=f"{url}: nothing answers there"):
            asyncio.run(remote.probe())
        asyncio.run(remote.close())


def test_another_server_takes_over(local: Tagger) -> None:
    async def run() -> list[Verdict]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            async with Pooling(local).served() as url:
                dead = f"http://127.0.0.1:{free.getsockname()[1]}"
                remote = RemoteTagger([dead, url], local.checkpoint)
                try:
                    return await judged(remote, pieces=60)
                finally:
                    await remote.close()

    assert asyncio.run(run()) == expected(local)


def test_its_id_names_no_address(local: Tagger) -> None:
    remote = RemoteTagger(["http://name:word@host:8000"], local.checkpoint, model="mine", threshold=0.25)
    assert remote.id == f"remote:mine:{local.checkpoint.digest[:12]}:threshold=0.25"
    assert remote.lookahead == local.lookahead


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("remote:http://host:8000", SettingsError, "name the checkpoint's folder on this machine"),
        (
            "remote:http://host:8000?tokenizer=FOLDER&urls=2",
            SettingsError,
            "no option 'urls'; known are tok",
        ),
        ("remote:host:8000?tokenizer=FOLDER", SettingsError, "'host:8000' is no address of a server"),
        ("remote:http://host?tokenizer=FOLDER&key=ANTIPHON_NO_KEY", SettingsError, "no variable ANTIPHON_NO_KEY"),
        ("remote:http://host?tokenizer=FOLDER/none", ModelError, "no such folder"),
    ],
)
def test_wrong_names(spec: str, error: type[Exception], words: str, local: Tagger) -> None:
    with pytest.raises(error, match=words):
        load(spec.replace("FOLDER", str(local.checkpoint.folder)))
