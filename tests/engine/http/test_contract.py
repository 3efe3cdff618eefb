"""Every kind of server gives what the scripted engine gives for the same script."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.dialect import Part
from antiphon.engine.base import Finish, Sequence
from antiphon.engine.http.servers import Servers
from antiphon.errors import RequestRefused
from antiphon.settings import Sampling
from tests.engine.http.contract import CLOSE, CONTROLS, SCRIPT, START, every, learned, make, run, wanted, with_ids
from tests.engine.http.kinds import StrictSGLang
from tests.engine.http.strict import END, FOLDER, OPENING, Fault, Strict, Written, ids_of, vocabulary
from tests.engine.http.talk import read, served, told


@every
@pytest.mark.parametrize("size", [1, 3, 100])
def test_text_and_ids_are_the_scripts(kind: str, size: int) -> None:
    async def go() -> None:
        async with served(make(kind, chunk=lambda: size)) as engine:
            got, want = await told(await learned(engine), stops=(END,)), await wanted()
            assert got.text == want.text
            assert got.finish == (Finish("stop") if kind == "openai" else want.finish)
            if kind != "openai":
                assert got.ids == want.ids
            if kind in ("vllm", "sglang", "sglang, incremental", "llama.cpp"):
                assert got.pieces == want.pieces

    run(go)


@every
def test_the_end_of_a_turn_is_no_text(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            got = await told(await learned(engine))
            assert got.text == vocabulary().decode(SCRIPT)
            assert got.finish in (Finish("stop"), Finish("stop", END))
            assert END not in got.ids

    run(go)


@with_ids
def test_an_end_that_only_the_server_knows_is_told(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind, ends=(START,))) as engine:
            got = await told(await learned(engine), stops=(END,))
            assert (got.ids, got.finish) == (SCRIPT, Finish("stop", START))

    run(go)


@with_ids
@pytest.mark.parametrize("size", [1, 5])
def test_a_stop_id_ends_the_stream_before_it(kind: str, size: int) -> None:
    async def go() -> None:
        server = make(kind, chunk=lambda: size)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            got = await read(prefix, 400, (CLOSE, END))
            assert (got.ids, got.finish) == (SCRIPT[: SCRIPT.index(CLOSE)], Finish("stop", CLOSE))
            assert prefix.length == len(ids_of(OPENING)) + len(got.ids)

    run(go)


@with_ids
def test_a_server_that_writes_past_a_stop_id_is_closed(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        server.written = lambda prompt, most, stops: type(server).written(server, prompt, most, ())  # type: ignore
        async with served(server) as engine:
            got = await told(await learned(engine), stops=(CLOSE, END))
            assert (got.ids, got.finish) == (SCRIPT[: SCRIPT.index(CLOSE)], Finish("stop", CLOSE))

    run(go)


@with_ids
def test_an_ordinary_token_can_be_a_stop_id(kind: str) -> None:
    async def go() -> None:
        stop = SCRIPT[3]
        async with served(make(kind)) as engine:
            got = await told(await learned(engine), stops=(stop,))
            assert (got.ids, got.finish) == (SCRIPT[: SCRIPT.index(stop)], Finish("stop", stop))

    run(go)


@with_ids
@pytest.mark.parametrize("size", [1, 2])
def test_a_control_token_before_the_end_is_kept(kind: str, size: int) -> None:
    async def go() -> None:
        script = ids_of("so", "</think>")
        async with served(make(kind, script, chunk=lambda: size)) as engine:
            got = await told(await learned(engine), stops=(END,))
            assert (got.text, got.ids, got.finish) == ("so</think>", script, Finish("stop", END))

    run(go)


def test_a_control_token_before_an_end_that_is_told_only_by_name_is_kept() -> None:
    async def go() -> None:
        script = ids_of("so", "</think>")
        server = StrictSGLang(script)
        event = server.event

        def without_end(step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
            ids = [token for token in so_far.ids if token != END]
            return event(step, so_far._replace(ids=ids), prompt, cached)

        server.event = without_end  # type: ignore[method-assign]
        async with served(server) as engine:
            got = await told(engine)
            assert (got.ids, got.finish) == (script, Finish("stop", END))

    run(go)


@with_ids
def test_control_tokens_in_a_row_stand_alone(kind: str) -> None:
    async def go() -> None:
        script = ids_of("a", "</think>", "<|im_start|>", "b")
        async with served(make(kind, script, chunk=lambda: 2)) as engine:
            got = await told(await learned(engine), stops=(END,))
            assert [piece.text for piece in got.pieces] == ["a", "</think>", "<|im_start|>", "b"]
            assert [list(piece.ids) for piece in got.pieces] == [[token] for token in script]

    run(go)


@every
def test_an_end_at_once_is_an_end(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind, [])) as engine:
            got = await told(await learned(engine), stops=(END,))
            assert got.pieces == []
            assert got.finish in (Finish("stop"), Finish("stop", END))

    run(go)


@every
def test_the_length_is_heeded(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            got = await told(await learned(engine), 4, (END,))
            assert got.finish == Finish("length")
            assert got.text == vocabulary().decode(SCRIPT[:4])

    run(go)


@with_ids
def test_a_length_inside_a_character_leaves_whole_characters(kind: str) -> None:
    async def go() -> None:
        tokens = ids_of("a東")
        assert len(tokens) == 4
        async with served(make(kind, tokens)) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            got = await read(prefix, 2, (END,))
            assert (got.finish, got.text[:1], prefix.length) == (
                Finish("length"),
                "a",
                len(ids_of(OPENING)) + len(got.ids),
            )
            if "files" not in kind:
                assert got.ids == tokens[:1]

    run(go)


@pytest.mark.parametrize("kind", ["vllm", "sglang", "sglang, incremental", "llama.cpp"])
def test_bytes_that_are_no_text_end_the_stream(kind: str) -> None:
    async def go() -> None:
        script = [*ids_of("a"), ids_of("東")[0], *ids_of(" and on and on")]
        server = make(kind, script)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            got = await read(prefix, 400, (END,))
            assert (got.text, got.finish) == ("a", Finish("invalid"))
            assert prefix.length == len(ids_of(OPENING)) + 1
            await asyncio.wait_for(server.lost.wait(), 5)

    run(go)


def test_a_replacement_character_that_the_model_wrote_is_text() -> None:
    async def go() -> None:
        script = ids_of("a\ufffdb")
        async with served(make("llama.cpp", script)) as engine:
            got = await told(engine, stops=(END,))
            assert (got.text, got.ids, got.finish) == ("a\ufffdb", script, Finish("stop", END))

    run(go)


@every
def test_a_cut_sequence_goes_on_from_where_it_was_cut(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            opened = prefix.length
            first = await read(prefix, 400, (END,))
            prefix.truncate(opened + 5)
            again = await read(prefix, 400, (END,))
            if kind == "openai":
                assert again.text == first.text[5:]
                assert server.prompts[-1] == OPENING + first.text[:5]
            else:
                assert again.ids == first.ids[5:]
                assert server.prompts[-1] == [*ids_of(OPENING), *first.ids[:5]]
            with pytest.raises(ValueError, match="cannot cut"):
                prefix.truncate(prefix.length + 1)

    run(go)


@with_ids
def test_parts_and_ids_are_added_as_they_are(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part("<think>", control=True), Part("a </think> "), Part("b")])
            added = await prefix.append([Part("</think>", control=True), Part("c")])
            await prefix.append_ids([5, 6])
            await read(prefix, 1)
            spelled = ids_of("a <")[:-1] if kind.endswith("no files") else None
            prompt = server.prompts[-1]
            assert list(added) == ids_of("</think>", "c")
            assert prompt[0] == ids_of("<think>")[0]
            assert prompt[-len(added) - 2 :] == [*added, 5, 6]
            between = prompt[1 : -len(added) - 2]
            assert CLOSE not in between, "text that spells a control token is text"
            assert vocabulary().decode(between) == "a </think> b"
            assert spelled is None or between[: len(spelled)] == spelled

    run(go)


@every
def test_every_sampling_value_is_sent(kind: str) -> None:
    """The servers refuse a request that lacks one; here it is seen that the values are the user's."""

    async def go() -> None:
        takes = {"takes": ("top_k", "min_p", "repetition_penalty")} if kind == "openai" else {}
        server = make(kind, **takes)
        async with served(server) as engine:
            prefix = await engine.open([Part(OPENING)])
            chosen = Sampling(temperature=0.6, top_p=0.9, top_k=7, min_p=0.05, repetition_penalty=1.1)
            await read(prefix, 9, (END,), sampling=chosen, seed=11)
            body = server.requests[-1]
            values = body.get("sampling_params", body)
            assert [values[name] for name in ("temperature", "top_p", "top_k", "min_p")] == [0.6, 0.9, 7, 0.05]
            assert 1.1 in (values.get("repetition_penalty"), values.get("repeat_penalty"))
            assert 11 in (values.get("seed"), values.get("sampling_seed"))
            assert 9 in (values.get(name) for name in ("max_tokens", "max_new_tokens", "n_predict"))
            assert (END in values["stop_token_ids"]) if kind.startswith(("vllm", "sglang")) else True

    run(go)


@every
def test_closing_ends_the_request_at_the_server(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            server.hold = asyncio.Event()  # all that follows the first text
            await read(prefix, 400, (END,), pieces=1)
            await asyncio.wait_for(server.lost.wait(), 5)
            assert server.aborted == 1

    run(go)


@every
def test_a_reader_that_is_cancelled_ends_the_request_at_the_server(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            server.faults = lambda number: Fault("hang")
            await cancelled(server, prefix)
            await asyncio.wait_for(server.lost.wait(), 5)
            assert server.aborted == 1
            server.faults = lambda number: None
            assert (await read(prefix, 400, (END,))).text == vocabulary().decode(SCRIPT)

    run(go)


async def cancelled(server: Strict, prefix: Sequence) -> None:
    """Waits for a stream's first chunk, which does not come, and is cancelled."""
    server.begun.clear()
    stream = prefix.stream(Sampling(), 400, (END,))
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.wait_for(server.begun.wait(), 5)
    reading.cancel()
    assert isinstance((await asyncio.gather(reading, return_exceptions=True))[0], asyncio.CancelledError)
    await stream.aclose()  # type: ignore[attr-defined]


@every
def test_what_is_yielded_is_the_sequence(kind: str) -> None:
    async def go() -> None:
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            opened = prefix.length
            got = await read(prefix, 400, (END,), pieces=6)
            assert prefix.length - opened == (len(got.text) if kind == "openai" else len(got.ids))
            rest = await read(prefix, 400, (END,))
            assert got.text + rest.text == vocabulary().decode(SCRIPT)

    run(go)


@with_ids
def test_what_came_from_the_cache_is_told_once(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING * 9)])
            opened = prefix.length
            await read(prefix, 4, (END,))
            prefix.truncate(opened)
            got = await read(prefix, 4, (END,))
            blocks = 16 if kind.startswith("vllm") else 1
            assert got.cached == [(opened - 1) // blocks * blocks]

    run(go)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_scores(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            assert (await engine.capabilities()).scoring
            assert await engine.score([7, 8, 9]) == pytest.approx([0.0, -0.008, -0.009])

    run(go)


@pytest.mark.parametrize("kind", ["llama.cpp", "openai"])
def test_servers_without_scores_say_so(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            assert not (await engine.capabilities()).scoring
            with pytest.raises(RequestRefused, match="no probabilities"):
                await engine.score([7, 8, 9])

    run(go)


@with_ids
def test_text_to_ids_and_back(kind: str) -> None:
    async def go() -> None:
        async with served(make(kind)) as engine:
            await learned(engine)
            assert list(await engine.encode("東京 two")) == ids_of("東京 two")
            assert await engine.decode(ids_of("</think>", "東")) == "</think>東"
            assert [engine.control_id(token) for token in CONTROLS] == [ids_of(token)[0] for token in CONTROLS]
            assert engine.control_id("<|nothing|>") is None
            assert engine.tokens is not None
            assert engine.tokens.source == (str(FOLDER) if "no files" not in kind else engine.tokens.source)

    run(go)


@every
def test_turns_follow_each_other_without_a_failure(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are used again, where the server keeps them."""

    async def never(*about: object) -> Any:
        raise AssertionError(f"a request failed: {about}")

    async def go() -> None:
        monkeypatch.setattr(Servers, "again", never)
        server = make(kind)
        async with served(server) as engine:
            prefix = await (await learned(engine)).open([Part(OPENING)])
            for _ in range(5):
                await read(prefix, 3, (END,))
                await asyncio.sleep(0)
            assert kind == "openai" or prefix.length == len(ids_of(OPENING)) + 15
            # A second one is for the tokeniser, which is asked while a stream is open.
            assert kind.startswith("llama.cpp") or len(server.connections) <= 1 + kind.endswith("no files")

    run(go)
