"""What an engine finds out of a server before anything is written, and what it says where it cannot go on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from antiphon.dialect import Part
from antiphon.engine.http import HttpEngine
from antiphon.errors import AntiphonError, EngineUnavailable, ModelError, RequestRefused
from tests.engine.http.kinds import KINDS, StrictLlama, StrictOpenAI, StrictSGLang, StrictVLLM
from tests.engine.http.strict import END, FOLDER, OPENING, ids_of
from tests.engine.http.talk import read, refusal, served, talking, told

SCRIPT = ids_of("four five six")


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


@pytest.mark.parametrize(
    ("kind", "found", "version", "ids", "context"),
    [
        ("vllm", "vllm", "0.11.0", True, 512),
        ("vllm, no files", "vllm", "0.11.0", True, 512),
        ("sglang", "sglang", "0.5.9", True, 512),
        ("llama.cpp", "llama.cpp", "b7000-0123abc", True, 512),
        ("openai", "openai", None, False, None),
    ],
)
def test_what_a_server_tells_is_known(kind: str, found: str, version: str, ids: bool, context: int | None) -> None:
    async def go() -> None:
        async with served(KINDS[kind](SCRIPT)) as engine:
            able = await engine.capabilities()
            assert (able.ids, able.context) == (ids, context)
            assert able.slots == (2 if kind == "llama.cpp" else None)
            assert engine.name == engine.identity["model"] == "student"
            assert (engine.about["kind"], engine.about["version"]) == (found, version)
            files = kind not in ("vllm, no files", "openai")
            assert (engine.about["tokenizer"] == str(FOLDER)) is files
            assert (engine.chat_template is not None) is files

    run(go)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/completions", "/v1/models", "/generate", "/completion"])
def test_an_address_may_name_a_route_or_none(path: str) -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with server.serving(), talking(url=server.url + path) as engine:
            assert engine.about["servers"] == [server.url]
            assert (await told(engine, stops=(END,))).ids == SCRIPT

    run(go)


def test_the_context_is_the_smaller_of_the_servers_and_the_users() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        async with server.serving():
            async with talking(server, context=100) as engine:
                assert (await engine.capabilities()).context == 100
            async with talking(server, context=9999) as engine:
                assert (await engine.capabilities()).context == 512

    run(go)


def test_what_does_not_fit_is_refused_before_it_is_sent() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT, context=20)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            asked = len(server.requests)
            with pytest.raises(RequestRefused, match=r"holds 20 tokens: 20 more do not fit"):
                await read(prefix, 20)
            assert len(server.requests) == asked
            assert (await read(prefix, 20 - prefix.length, (END,))).ids == SCRIPT

    run(go)


def test_what_the_server_says_does_not_fit_is_refused_at_once() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT, context=20, told=False)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            with pytest.raises(RequestRefused, match=r"HTTP 400: This model's maximum context length is 20 tokens"):
                await read(prefix, 20)

    run(go)


def test_a_vllm_without_ids_is_named() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT, ids=False)
        async with server.serving() as url:
            assert "no token ids (vLLM does from 0.10.2 on)" in await refusal(url)

    run(go)


def test_text_only_where_the_user_wants_it() -> None:
    async def go() -> None:
        server = StrictOpenAI(SCRIPT, takes=("top_k", "min_p", "repetition_penalty"))
        server.kind = "vllm"  # type: ignore[misc]
        async with served(server, ids="never") as engine:
            assert not (await engine.capabilities()).ids
            assert (await told(engine)).text == "four five six"
            assert list(await engine.encode("x")) == []
            prefix = await engine.open([Part("a")])
            with pytest.raises(RequestRefused, match="takes text only"):
                await prefix.append_ids([1])

    run(go)


@pytest.mark.parametrize("takes", [(), ("min_p",), ("top_k", "repetition_penalty")])
def test_values_that_a_server_does_not_take_are_left_out_and_named(takes: tuple[str, ...]) -> None:
    async def go() -> None:
        server = StrictOpenAI(SCRIPT, takes=takes)
        async with served(server) as engine:
            left_out = sorted({"top_k", "min_p", "repetition_penalty"} - set(takes))
            assert [name for remark in engine.remarks for name in left_out if name in remark] == left_out
            assert (await told(engine)).text == "four five six"
            assert set(takes) <= server.requests[-1].keys()

    run(go)


def test_the_strictest_of_several_servers_decides() -> None:
    async def go() -> None:
        lenient, strict = StrictOpenAI(SCRIPT, takes=("top_k", "min_p", "repetition_penalty")), StrictOpenAI(SCRIPT)
        async with lenient.serving(), strict.serving(), talking(lenient, strict) as engine:
            prefixes = [await engine.open([Part(OPENING)]) for _ in range(2)]
            assert {prefix.server for prefix in prefixes} == {lenient.url, strict.url}
            assert [(await read(prefix)).text for prefix in prefixes] == ["four five six"] * 2

    run(go)


def test_of_two_models_one_must_be_named() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        server.names = ["student", "teacher"]
        async with server.serving() as url:
            assert "it serves student, teacher; say which one: server.served" in await refusal(url)
            assert "does not serve 'pupil'; it serves student, teacher" in await refusal(url, served="pupil")
            async with talking(server, served="teacher") as engine:
                assert engine.name == "teacher"
                await told(engine)
                assert server.requests[-1]["model"] == "teacher"

    run(go)


def test_an_adapter_of_the_model_is_not_another_model() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        server.names = ["student", "adapter"]
        listed = server.listed
        server.listed = lambda name: {**listed(name), "parent": "student" if name == "adapter" else None}  # type: ignore
        async with served(server) as engine:
            assert engine.name == "student"

    run(go)


def test_nobody_there() -> None:
    async def go() -> None:
        server = StrictVLLM()
        async with server.serving() as url:
            pass
        assert await refusal(url, EngineUnavailable) == (
            f"{url}: nothing answers there (Connection refused); is the server up, and is this its address?"
        )

    run(go)


def test_a_server_that_accepts_and_never_answers() -> None:
    async def go() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            assert "it sent nothing for 0.05 s" in await refusal(url, EngineUnavailable, timeout=0.05)

    run(go)


@pytest.mark.parametrize(
    ("status", "body", "kind", "error", "said"),
    [
        (200, "<html><title>Welcome to nginx!</title></html>", "text/html", AntiphonError, "Welcome to nginx!"),
        (404, "<html><title>404 Not Found</title></html>", "text/html", ModelError, "no completion server is there"),
        (502, "<html><title>502 Bad Gateway</title></html>", "text/html", EngineUnavailable, "502 Bad Gateway"),
        (200, '{"models": []}', "application/json", ModelError, "no list of models"),
        (200, '{"data": []}', "application/json", ModelError, "it serves nothing"),
        (200, "[1, 2", "application/json", AntiphonError, "not JSON"),
        (200, "", "application/json", AntiphonError, "not JSON: nothing"),
    ],
)
def test_what_is_no_completion_server(status: int, body: str, kind: str, error: Any, said: str) -> None:
    async def go() -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(status=status, text=body, content_type=kind)

        server = StrictOpenAI()
        server.routes = lambda: [web.get("/v1/models", answer)]  # type: ignore[method-assign]
        async with server.serving() as url:
            message = await refusal(url, error)
            assert said in message
            assert "\n" not in message

    run(go)


def test_a_server_that_sends_elsewhere() -> None:
    async def go() -> None:
        async def answer(request: web.Request) -> web.Response:
            raise web.HTTPPermanentRedirect("https://user:hunter2@example.org/v1/models")

        server = StrictOpenAI()
        server.routes = lambda: [web.get("/v1/models", answer)]  # type: ignore[method-assign]
        async with server.serving() as url:
            message = await refusal(url)
            assert "https://example.org/v1/models" in message
            assert "hunter2" not in message

    run(go)


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host/", "http://", "http:///v1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ModelError, match="no address of a server"):
        HttpEngine([address])


class TestTokenizers:
    """Where a model's ids are known from."""

    def test_the_users_folder_comes_first(self) -> None:
        async def go() -> None:
            async with served(StrictVLLM(SCRIPT, files=False), tokenizer=str(FOLDER)) as engine:
                assert engine.about["tokenizer"] == str(FOLDER)

        run(go)

    def test_then_the_cache_by_the_served_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
            place = tmp_path / "models--nobody--student" / "snapshots" / "0123"
            place.mkdir(parents=True)
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(FOLDER / name, place)
            server = StrictVLLM(SCRIPT, files=False)
            server.names = ["nobody/student"]
            async with served(server) as engine:
                assert (engine.about["tokenizer"], engine.name) == (str(place), "student")

        run(go)

    def test_a_server_with_no_route_for_it_takes_text(self) -> None:
        async def go() -> None:
            server = StrictOpenAI(SCRIPT, takes=("top_k", "min_p", "repetition_penalty"))
            server.kind = "vllm"  # type: ignore[misc]
            async with served(server) as engine:
                assert not (await engine.capabilities()).ids
                assert any("text only" in remark and "server.tokenizer" in remark for remark in engine.remarks)
                assert (await told(engine)).text == "four five six"

        run(go)


def test_kinds_can_be_pinned() -> None:
    async def go() -> None:
        server = StrictVLLM(SCRIPT)
        listed = server.listed
        server.listed = lambda name: {"id": listed(name)["id"]}  # type: ignore[method-assign]
        async with served(server, kind="vllm", tokenizer=str(FOLDER)) as engine:
            assert engine.about["kind"] == "vllm"
        async with StrictOpenAI(SCRIPT).serving() as url:
            assert "\n" not in await refusal(url, kind="llama.cpp")
            assert "\n" not in await refusal(url, kind="sglang")

    run(go)


def test_servers_of_one_role_serve_one_model() -> None:
    async def go() -> None:
        one, other, third = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT), StrictSGLang(SCRIPT)
        other.names = ["teacher"]
        async with one.serving(), other.serving(), third.serving():
            for second, said in ((other, "must serve the same model"), (third, "not of the same kind")):
                engine = HttpEngine([one.url, second.url])
                with pytest.raises(ModelError, match=said):
                    await engine.capabilities()
                await engine.close()

    run(go)


def test_slots_add_up() -> None:
    async def go() -> None:
        one, other = StrictLlama(SCRIPT, slots=2), StrictLlama(SCRIPT, slots=3, context=100)
        async with one.serving(), other.serving(), talking(one, other) as engine:
            able = await engine.capabilities()
            assert (able.slots, able.context) == (5, 100)

    run(go)


def test_as_text_the_start_token_is_left_to_the_server() -> None:
    """Servers put it before every text; with DeepSeek's dialect, which writes it too, it would stand there twice."""

    async def go() -> None:
        server = StrictOpenAI(SCRIPT)
        async with served(server) as engine:
            prefix = await engine.open([Part("<｜begin▁of▁sentence｜>", True), Part("<｜User｜>", True), Part("2+2?")])
            await read(prefix, 3)
        assert server.requests[-1]["prompt"] == "<｜User｜>2+2?"

    run(go)
