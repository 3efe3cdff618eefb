"""Keys, passwords, certificates and proxies: what is sent, what is trusted, and that nobody sees a secret."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from antiphon.dialect import Part
from antiphon.engine.http import HttpEngine
from antiphon.errors import AntiphonError, EngineUnavailable, RequestRefused, SettingsError
from tests.engine.http.kinds import StrictOpenAI, StrictVLLM
from tests.engine.http.strict import END, OPENING, Fault, ids_of
from tests.engine.http.talk import read, refusal, served, talking, told

PAIR = Path(__file__).with_name("localhost.pem")
"""A key and its certificate for localhost, which nobody has signed; for tests only, valid for a hundred years."""
SCRIPT = ids_of("four five six")


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


class TestKeys:
    """A key is sent, and never shown."""

    KEY = "sk-very-secret-0123"

    def test_the_key_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            monkeypatch.setenv("THE_KEY", self.KEY)
            async with served(StrictVLLM(SCRIPT, key=self.KEY), key="THE_KEY") as engine:
                assert (await told(engine, stops=(END,))).ids == SCRIPT
                shown = [engine.name, engine.identity, engine.about, engine.remarks, [c.shown for c in engine.clients]]
                assert self.KEY not in json.dumps(shown, default=str)

        run(go)

    def test_a_missing_and_a_wrong_key_are_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            async with StrictVLLM(key=self.KEY).serving() as url:
                assert "it wants a key: set server.key" in await refusal(url)
                monkeypatch.setenv("THE_KEY", "sk-another")
                message = await refusal(url, key="THE_KEY")
                assert "the variable THE_KEY holds the key that it refuses" in message
                assert "sk-another" not in message
                monkeypatch.delenv("THE_KEY")
                assert "no variable THE_KEY" in await refusal(url, SettingsError, key="THE_KEY")

        run(go)

    def test_a_server_that_repeats_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            monkeypatch.setenv("THE_KEY", self.KEY)

            async def answer(request: web.Request) -> web.Response:
                return web.json_response(
                    {"error": {"message": f"Incorrect key: {request.headers['Authorization']}"}}, status=401
                )

            server = StrictOpenAI()
            server.routes = lambda: [web.get("/v1/models", answer)]  # type: ignore[method-assign]
            async with server.serving() as url:
                assert self.KEY not in await refusal(url, key="THE_KEY")

        run(go)

    def test_headers_take_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            monkeypatch.setenv("TEAM", "blue")
            server = StrictVLLM(SCRIPT)
            async with served(server, headers={"X-Team": "team ${TEAM}"}):
                assert all(headers["X-Team"] == "team blue" for headers in server.headers)

        run(go)

    def test_a_name_and_password_in_the_address(self) -> None:
        async def go() -> None:
            server = StrictVLLM(SCRIPT)
            async with server.serving() as url, talking(url=url.replace("//", "//me:p%40ss@")) as engine:
                assert {headers["Authorization"] for headers in server.headers} == {"Basic bWU6cEBzcw=="}
                prefix = await engine.open([Part(OPENING)])
                shown = [engine.name, engine.identity, engine.about, engine.remarks, prefix.server]
                assert "p%40ss" not in json.dumps(shown)
                server.faults = lambda number: Fault("status", status=400)
                with pytest.raises(RequestRefused) as raised:
                    await read(prefix)
                assert "ss@" not in str(raised.value)

        run(go)

    def test_before_it_is_asked_an_engine_shows_no_password(self) -> None:
        engine = HttpEngine(["http://me:p%40ss@127.0.0.1:1/v1/completions"])
        assert "p%40ss" not in engine.name

    @pytest.mark.parametrize("address", ["http://me:p%40ss@127.0.0.1:1", "http://me:p%40ss@127.0.0.1:1/chat"])
    def test_no_error_shows_a_password(self, address: str) -> None:
        assert "ss@" not in run(lambda: refusal(address, AntiphonError))


class TestTLS:
    """A certificate that nobody signed is refused unless the user says otherwise."""

    @staticmethod
    def context() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(PAIR)
        return context

    def test_refused_by_default(self) -> None:
        async def go() -> None:
            server = StrictVLLM(SCRIPT)
            async with server.serving(tls=self.context()) as url:
                message = await refusal(url)
                assert "its certificate is not trusted" in message
                assert "server.verify" in message

        run(go)

    @pytest.mark.parametrize("verify", [False, str(PAIR)])
    def test_trusted_as_asked(self, verify: bool | str) -> None:
        async def go() -> None:
            server = StrictVLLM(SCRIPT)
            async with server.serving(tls=self.context()) as url, talking(url=url, verify=verify) as engine:
                assert (await told(engine, stops=(END,))).ids == SCRIPT
                prefix = await engine.open([Part(OPENING)])
                server.hold = asyncio.Event()
                await read(prefix, pieces=1)
                await asyncio.wait_for(server.lost.wait(), 5)

        run(go)

    def test_a_file_without_certificates(self, tmp_path: Path) -> None:
        (tmp_path / "none.pem").write_text("nothing")
        said = run(lambda: refusal("https://localhost:1", SettingsError, verify=str(tmp_path / "none.pem")))
        assert "no certificates can be read there" in said

    def test_plain_http_at_a_tls_address(self) -> None:
        async def go() -> None:
            server = StrictVLLM()
            async with server.serving() as url:
                assert "\n" not in await refusal(url.replace("http", "https"), AntiphonError)

        run(go)


class TestProxies:
    """The proxy that is named is used, with its password, which nobody sees."""

    @staticmethod
    async def proxy(seen: list[tuple[str, str | None]]) -> Any:
        """An HTTP proxy that passes on what comes, all to the server of the first request."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            target = lines[0].split(" ")[1]
            fields = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:]}
            seen.append((target, fields.get("proxy-authorization")))
            host, _, port = target.split("/")[2].partition(":")
            inner, out = await asyncio.open_connection(host, int(port))
            out.write(head)

            async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                with suppress(ConnectionError):
                    while block := await source.read(1 << 16):
                        sink.write(block)
                        await sink.drain()
                sink.close()

            await asyncio.gather(pass_on(reader, out), pass_on(inner, writer))

        return await asyncio.start_server(serve, "127.0.0.1")

    def test_the_named_proxy_is_used(self) -> None:
        async def go() -> None:
            seen: list[tuple[str, str | None]] = []
            server = StrictVLLM(SCRIPT)
            async with server.serving(), await self.proxy(seen) as proxy:
                port = proxy.sockets[0].getsockname()[1]
                async with talking(server, proxy=f"http://me:hunter2@127.0.0.1:{port}") as engine:
                    assert seen[0] == (f"{server.url}/v1/models", "Basic bWU6aHVudGVyMg==")
                    assert "hunter2" not in json.dumps([engine.about, engine.name, engine.remarks])

        run(go)

    def test_a_proxy_that_is_down(self) -> None:
        message = run(lambda: refusal("http://example.org", EngineUnavailable, proxy="http://me:hunter2@127.0.0.1:1"))
        assert "proxy http://127.0.0.1:1 does not answer" in message
        assert "hunter2" not in message

    def test_a_proxy_that_is_none_for_http(self) -> None:
        message = run(lambda: refusal("http://example.org", SettingsError, proxy="socks5://me:hunter2@127.0.0.1:1"))
        assert "only HTTP proxies" in message
        assert "hunter2" not in message

    def test_the_environments_proxy_is_not_for_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def go() -> None:
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
            async with served(StrictVLLM(SCRIPT)) as engine:
                assert (await told(engine, stops=(END,))).ids == SCRIPT

        run(go)
