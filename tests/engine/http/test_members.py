"""A role whose servers change while a run works: a file of URLs, a name with several addresses."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon import events
from antiphon.dialect import Part
from antiphon.engine.http import members, servers
from antiphon.engine.http.engine import HttpEngine
from antiphon.engine.http.members import Listed, Resolved, members_of
from antiphon.engine.models import open_engine
from antiphon.errors import EngineUnavailable, ModelError, SettingsError
from antiphon.settings import Connection
from tests.engine.http.kinds import StrictLlama, StrictVLLM
from tests.engine.http.strict import END, OPENING, Fault, ids_of
from tests.engine.http.talk import read

SCRIPT = ids_of("one two three four five")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_FIRST_WAIT", 0.0)
    monkeypatch.setattr(servers, "_BETWEEN_PROBES", (0.001, 0.001))
    monkeypatch.setattr(members, "_EVERY", 0.001)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def following(reference: str, **options: Any) -> AsyncIterator[HttpEngine]:
    """An engine of what a reference names, connected."""
    engine = open_engine(reference, server=Connection(**{"timeout": 20, "retries": 1, **options}))
    assert isinstance(engine, HttpEngine)
    try:
        await engine.capabilities()
        yield engine
    finally:
        await engine.close()


def listed(path: Path, *lines: str) -> str:
    """A file of these lines, put in place in one step; the reference to it."""
    beside = path.with_suffix(".new")
    beside.write_text("".join(f"{line}\n" for line in lines))
    beside.replace(path)
    return f"servers:{path}"


def homes(engine: HttpEngine) -> dict[str, tuple[bool, int]]:
    return {one.address: (one.up, one.sequences) for one in engine.servers}


class TestAList:
    """`servers:FILE`."""

    def test_what_is_added_is_used_and_what_is_removed_keeps_its_traces(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with (
                one.serving(),
                other.serving(),
                following(listed(path, "# teachers", "", f"{one.url}/v1")) as engine,
            ):
                old = [await engine.open([Part(OPENING)]) for _ in range(2)]
                assert homes(engine) == {one.url: (True, 2)}
                listed(path, one.url + "/v1", other.url)
                await until(lambda: len(engine.servers) == 2)
                new = await engine.open([Part(OPENING)])
                assert new.server == other.url

                listed(path, other.url)
                await until(lambda: "server_leaving" in [event["event"] for event in said()])
                asked = len(one.requests)
                assert {(await engine.open([Part(OPENING)])).server for _ in range(3)} == {other.url}
                assert [(await read(prefix, stops=(END,))).ids for prefix in old] == [SCRIPT] * 2
                assert [prefix.server for prefix in old] == [one.url] * 2
                assert len(one.requests) == asked + 2
                for prefix in old:
                    assert len(engine.servers) == 2
                    await prefix.close()
                await until(lambda: len(engine.servers) == 1)
                assert homes(engine).keys() == {other.url}
            assert [event["event"] for event in said()] == ["server_added", "server_leaving", "server_removed"]

        log = tmp_path / "log"

        def said() -> list[dict[str, Any]]:
            return [json.loads(line) for line in log.read_text().splitlines()]

        with events.written_to(log, pytest.fail):
            asyncio.run(go())

    def test_one_that_is_added_before_it_answers_joins_when_it_does(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one, late = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            url = await late.start()
            await late.stop()
            async with one.serving(), following(listed(path, url, one.url)) as engine:
                assert engine.remarks == [f"servers:{path}: 1 of 2 servers answer; the others may join"]
                assert homes(engine).keys() == {one.url}
                await late.start()
                await until(lambda: len(engine.servers) == 2)
                assert (await engine.open([Part(OPENING)])).server == one.url
                assert (await engine.open([Part(OPENING)])).server == late.url
                await late.stop()

        asyncio.run(go())

    def test_another_model_or_kind_or_a_smaller_context_does_not_join(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one, model, kind = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT), StrictLlama(SCRIPT)
            model.names = ["teacher"]
            async with one.serving(), model.serving(), kind.serving(), following(listed(path, one.url)) as engine:
                listed(path, one.url, model.url, kind.url, "ftp://x")
                await until(lambda: sum("server_not_added" in line for line in log.read_text().splitlines()) == 3)
                assert homes(engine).keys() == {one.url}

        log = tmp_path / "log"
        with events.written_to(log, pytest.fail):
            asyncio.run(go())
        text = log.read_text()
        assert "serves teacher, this run student" in text
        assert "are not of the same kind" in text
        assert "no address of a server" in text
        assert text.count("server_not_added") == 3, "each is said once"

    def test_a_list_that_is_empty_or_gone_changes_nothing(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one = StrictVLLM(SCRIPT)
            async with one.serving(), following(listed(path, one.url)) as engine:
                listed(path, "# nobody")
                await until(lambda: "there is no server in the list" in log.read_text())
                path.unlink()
                await until(lambda: "cannot be read: No such file" in log.read_text())
                assert homes(engine) == {one.url: (True, 0)}
                assert (await engine.open([Part(OPENING)])).server == one.url

        log = tmp_path / "log"
        with events.written_to(log, pytest.fail):
            asyncio.run(go())

    def test_one_that_leaves_and_dies_gives_its_traces_to_the_others(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving(), following(listed(path, one.url, other.url)) as engine:
                prefix = await engine.open([Part(OPENING)])
                assert prefix.server == one.url
                had = (await read(prefix, 1)).ids
                listed(path, other.url)
                await until(lambda: engine._following._here[members.Member(one.url)].leaving)
                await one.stop()
                assert had + (await read(prefix, stops=(END,))).ids == SCRIPT
                await until(lambda: homes(engine).keys() == {other.url})
                assert homes(engine) == {other.url: (True, 1)}

        asyncio.run(go())

    def test_one_that_fails_while_it_is_added_is_asked_again(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = tmp_path / "list"
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            failures = 3
            other.faults = lambda number: Fault("status", status=500) if number < failures else None
            async with one.serving(), other.serving(), following(listed(path, one.url)) as engine:
                listed(path, one.url, other.url)
                await until(lambda: len(engine.servers) == 2)

        asyncio.run(go())

    def test_at_the_start_somebody_has_to_answer(self, tmp_path: Path) -> None:
        for lines, error, said in (
            ((), ModelError, "there is no server in the list"),
            (("http://127.0.0.1:1",), EngineUnavailable, r"127\.0\.0\.1:1: nothing answers there"),
            (("here",), ModelError, "here: no address of a server"),
        ):
            engine = open_engine(listed(tmp_path / "list", *lines), server=Connection(retries=0))
            with pytest.raises(error, match=said):
                asyncio.run(engine.capabilities())
        with pytest.raises(ModelError, match="none: the list of servers cannot be read: No such file"):
            asyncio.run(Listed(tmp_path / "none").now())


class TestAName:
    """`dns:URL`."""

    @pytest.fixture
    def known(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The addresses of `teachers.test`."""
        addresses: list[str] = []
        sound = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *more: Any, **how: Any) -> Any:
            if host != "teachers.test":
                return sound(host, port, *more, **how)
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            kinds = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
            return [(kind, socket.SOCK_STREAM, 6, "", (one, 0)) for kind, one in zip(kinds, addresses, strict=True)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return addresses

    def test_each_address_is_a_server_of_its_own(self, known: list[str]) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(host="127.0.0.1"):
                port = one.url.rpartition(":")[2]
                other.port = int(port)
                async with other.serving(host="127.0.0.2"):
                    known[:] = ["127.0.0.2", "127.0.0.1", "::1", "127.0.0.2"]
                    async with following(f"dns:http://teachers.test:{port}/v1") as engine:
                        prefixes = [await engine.open([Part(OPENING)]) for _ in range(4)]
                        url = f"http://teachers.test:{port}"
                        first = members.Member(f"{url}/v1", "127.0.0.1")
                        assert homes(engine) == {f"{url} (127.0.0.1)": (True, 2), f"{url} (127.0.0.2)": (True, 2)}
                        begun = len(one.requests), len(other.requests)
                        for _ in range(3):
                            for prefix in prefixes:
                                await read(prefix, 1, (END,))
                        assert (len(one.requests), len(other.requests)) == (begun[0] + 6, begun[1] + 6)
                        assert one.headers[-1]["Host"] == f"teachers.test:{port}"
                        known[:] = ["127.0.0.2"]
                        await until(lambda: engine._following._here[first].leaving)
                        assert (await engine.open([Part(OPENING)])).server == f"{url} (127.0.0.2)"
                        known.clear()  # a name server that fails changes nothing
                        assert (await engine.open([Part(OPENING)])).server == f"{url} (127.0.0.2)"

        asyncio.run(go())

    def test_a_name_that_nobody_knows(self, known: list[str]) -> None:
        with pytest.raises(EngineUnavailable, match=r"dns:http://teachers.test:80: the name has no address \(Name or"):
            asyncio.run(Resolved("http://me:secret@teachers.test:80/v1").now())

    def test_a_proxy_finds_addresses_itself(self, known: list[str]) -> None:
        known[:] = ["127.0.0.1"]
        engine = open_engine("dns:http://teachers.test:80", server=Connection(proxy="http://127.0.0.1:3128"))
        with pytest.raises(SettingsError, match="a proxy finds addresses itself"):
            asyncio.run(engine.capabilities())


def test_what_is_no_url_is_said_at_once() -> None:
    for reference in ("dns:teachers://x", "http://a, ftp://b"):
        with pytest.raises(ModelError, match="no address of a server"):
            members_of(reference)
