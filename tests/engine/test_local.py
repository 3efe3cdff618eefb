"""A model in process, against plain transformers that read everything anew for every token."""

from __future__ import annotations

import asyncio
import gc
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.dialect import Part
from antiphon.engine.vocabulary import Assembler
from tests.engine.local import (
    ARCHITECTURES,
    GREEDY,
    PROMPTS,
    LocalEngine,
    collect,
    finish,
    ids_of,
    stream,
    text,
    torch,
    write,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_many_sequences_at_once_write_what_each_writes_alone(engine: Any, reference: Any, architecture: str) -> None:
    model, plain = engine(architecture), reference(architecture)

    async def together() -> list[list[int]]:
        sequences = [await text(model, prompt) for prompt in PROMPTS]
        return await asyncio.gather(*(write(s, 5 + 3 * place) for place, s in enumerate(sequences)))

    for place, (prompt, ids) in enumerate(zip(PROMPTS, asyncio.run(together()), strict=True)):
        assert ids == plain.greedy(model.vocabulary.encode(prompt), 5 + 3 * place)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_long_rows_are_read_where_they_lie(
    engine: Any, reference: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.engine.attention._SMALL_ROW", 0)
    test_many_sequences_at_once_write_what_each_writes_alone(engine, reference, architecture)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sequence_cut_back_and_extended_goes_on_as_if_read_anew(
    engine: Any, reference: Any, architecture: str
) -> None:
    model, plain = engine(architecture), reference(architecture)

    async def script() -> None:
        sequence = await text(model, "the sum of 12 and 7 is 19")
        await write(sequence, 20)
        sequence.truncate(sequence.length - 13)
        await sequence.append([Part("so we add")])
        before = ids_of(sequence)
        assert await write(sequence, 12) == plain.greedy(before, 12)
        sequence.truncate(3)
        before = ids_of(sequence)
        assert await write(sequence, 5) == plain.greedy(before, 5)

    asyncio.run(script())


def test_a_hand_over_costs_the_other_authors_words_only(engine: Any) -> None:
    model = engine()

    async def script() -> None:
        sequence = await text(model, "the sum of 12 and 7 is 19")
        start = model.forwarded
        await write(sequence, 10)
        assert model.forwarded - start == sequence.length - 1, "the last token is not read until it is needed"
        sequence.truncate(sequence.length - 4)
        start = model.forwarded
        added = await sequence.append([Part(" wait, let me check that")])
        await write(sequence, 1)
        assert model.forwarded - start == len(added)
        start = model.forwarded
        sequence.truncate(sequence.length - 1)
        await write(sequence, 1)
        assert model.forwarded - start == 1, "going on where it was cut reads the last token again"

    asyncio.run(script())


def test_a_word_put_back_is_not_read_again(engine: Any, reference: Any) -> None:
    model, plain = engine(), reference()

    async def script() -> None:
        sequence = await text(model, "the sum of 12 and 7 is 19")
        before = sequence.length
        ids = await write(sequence, 8)
        sequence.truncate(before + 5)
        sequence.truncate(before)
        await sequence.append_ids(ids[:3])
        heard = await sequence.append([Part(" wait, let me check that")])
        expected = plain.greedy(ids_of(sequence), 4)
        start = model.forwarded
        assert await write(sequence, 4) == expected
        assert model.forwarded - start == len(heard) + 3, "the other's words, and three of the four that it wrote"
        sequence.truncate(before)
        await sequence.append([Part("x")])
        await write(sequence, 1)
        sequence.truncate(sequence.length - 1)
        await sequence.append_ids(ids[:3])
        expected = plain.greedy(ids_of(sequence), 1)
        start = model.forwarded
        assert await write(sequence, 1) == expected
        assert model.forwarded - start == 3, "what was there before has been written over"

    asyncio.run(script())


async def take_turns(
    models: tuple[LocalEngine, LocalEngine], script: list[tuple[int, int]], prompt: str
) -> tuple[int, int]:
    """Two models write one text. Each turn writes some tokens, closed in the middle, and keeps a part; the other reads
    its text when its own turn comes. Gives what each model had to read and to write: prompt, the other's words, and
    its own tokens but for the last of a turn, which it reads when it goes on if it is kept.
    """
    sequences = [await text(model, prompt) for model in models]
    needed, unread = [0, 0], [sequence.length for sequence in sequences]
    for turn, (written, rolled_back) in enumerate(script):
        author = turn % 2
        sequence, other = sequences[author], sequences[1 - author]
        before = sequence.length
        async with stream(sequence, 50) as chunks:
            for _ in range(written):
                await anext(chunks)
        needed[author] += max(1, unread[author]) + written - 1
        sequence.truncate(sequence.length - rolled_back)
        unread[author] = 1 if rolled_back == 0 else 0
        kept = await models[author].decode(ids_of(sequence)[before:])
        unread[1 - author] += len(await other.append([Part(kept)]))
    return needed[0], needed[1]


def test_many_hand_overs_at_once_cost_the_other_authors_words_only(engine: Any) -> None:
    models = engine("qwen3"), engine("gemma3")
    chance = Random(5)

    def script() -> list[tuple[int, int]]:
        lengths = [chance.randint(1, 5) for _ in range(8)]
        return [(written, chance.randint(0, written)) for written in lengths]

    async def all_at_once() -> list[tuple[int, int]]:
        return await asyncio.gather(*(take_turns(models, script(), prompt) for prompt in PROMPTS))

    start = [model.forwarded for model in models]
    needed = asyncio.run(all_at_once())
    for place, model in enumerate(models):
        assert model.forwarded - start[place] == sum(one[place] for one in needed)


def test_sequences_that_write_at_once_share_their_steps(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine()
    sizes = []
    step = model._forward.step

    def counted(work: Any) -> Any:
        sizes.append(len(work))
        return step(work)

    monkeypatch.setattr(model._forward, "step", counted)

    async def script() -> None:
        sequences = [await text(model, prompt) for prompt in PROMPTS * 3]
        await asyncio.gather(*(write(sequence, 20) for sequence in sequences))

    asyncio.run(script())
    assert sum(sizes) == 15 * 20
    assert len(sizes) <= 20 + 3, "only while they come together are some steps for a part of them"


def test_a_stream_tells_how_much_of_the_prompt_was_cached(engine: Any) -> None:
    async def script() -> list[int | None]:
        sequence = await text(engine(), "the sum of 12")
        told = []
        for _ in range(2):
            async with stream(sequence, 3) as chunks:
                told += [chunk.cached async for chunk in chunks if chunk.cached is not None]
        return [told[0], sequence.length - 3 - cast(int, told[1])]

    assert asyncio.run(script()) == [0, 1]


def test_closing_in_the_middle_leaves_what_was_yielded(engine: Any, reference: Any) -> None:
    model, plain = engine(), reference()

    async def script() -> None:
        sequence = await text(model, "wait, ")
        other = await text(model, "the sum of 12")
        beside = asyncio.create_task(write(other, 30))
        before = ids_of(sequence)
        got: list[int] = []
        async with stream(sequence, 50) as chunks:
            async for chunk in chunks:
                got += [token for piece in chunk.pieces for token in piece.ids]
                assert ids_of(sequence) == before + got
                if len(got) == 4:
                    break
        assert ids_of(sequence) == before + got
        assert got + await write(sequence, 6) == plain.greedy(before, 10)
        assert await beside == plain.greedy(model.vocabulary.encode("the sum of 12"), 30)

    asyncio.run(script())


def test_a_reader_cancelled_while_it_waits_leaves_the_sequence_whole(engine: Any, reference: Any) -> None:
    model = engine()

    async def script() -> None:
        sequence = await text(model, "wait, ")
        before = ids_of(sequence)
        reader = asyncio.create_task(write(sequence, 50))
        while sequence.length < len(before) + 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        written = ids_of(sequence)[len(before) :]
        assert written + await write(sequence, 5) == reference().greedy(before, len(written) + 5)

    asyncio.run(script())


def test_a_stop_id_ends_it_and_is_not_part_of_it(engine: Any, reference: Any) -> None:
    model = engine()

    async def script() -> None:
        sequence = await text(model, "the sum of 12")
        before = ids_of(sequence)
        expected = reference().greedy(before, 12)
        stop = expected[7]
        first = expected.index(stop)
        ended = finish(await collect(sequence.stream(GREEDY, 50, [stop])))
        assert (ended.reason, ended.stop_id) == ("stop", stop)
        assert ids_of(sequence) == before + expected[:first]

    asyncio.run(script())


def test_length_ends_it_after_max_tokens(engine: Any) -> None:
    async def script() -> None:
        sequence = await text(engine(), "the sum of 12")
        before = sequence.length
        assert finish(await collect(sequence.stream(GREEDY, 7, ()))).reason == "length"
        assert sequence.length == before + 7

    asyncio.run(script())


def test_bytes_that_are_not_utf8_end_it_and_are_cut_away(engine: Any, reference: Any) -> None:
    model, plain = engine(broken_text=True), reference(broken_text=True)
    seen = set()

    async def script() -> None:
        for prompt in [*PROMPTS, "a", "b", "c", "d", "e"]:
            sequence = await text(model, prompt)
            before = ids_of(sequence)
            assembler = Assembler(model.vocabulary)
            drawn: list[int] = []
            kept: list[int] = []
            for token in plain.greedy(before, 8):
                drawn.append(token)
                kept += [one for piece in assembler.push([token]) for one in piece.ids]
                if assembler.invalid:
                    break
            ended = finish(await collect(sequence.stream(GREEDY, 8, ())))
            assert ids_of(sequence) == before + kept
            assert ended.reason == ("invalid" if assembler.invalid else "length")
            seen.add((ended.reason, len(kept) < len(drawn)))

    asyncio.run(script())
    assert ("invalid", True) in seen


@pytest.mark.parametrize("row_memory", [1, 600 * 512])  # a token of the model takes 512 bytes
def test_where_memory_is_short_resting_sequences_are_read_again(folder: Any, reference: Any, row_memory: int) -> None:
    model = LocalEngine.load(str(folder("qwen3")), device="cpu", row_memory=row_memory)
    plain = reference()

    async def script() -> None:
        sequences = [await text(model, prompt) for prompt in PROMPTS]
        befores = [ids_of(sequence) for sequence in sequences]
        for _ in range(3):
            await asyncio.gather(*(write(sequence, 4) for sequence in sequences))
        for before, sequence in zip(befores, sequences, strict=True):
            assert ids_of(sequence) == before + plain.greedy(before, 12)
        assert sum(cast(Any, sequence)._row.capacity for sequence in sequences) <= max(256, row_memory // 512)

    asyncio.run(script())


def test_thousands_of_sequences_can_be_open_and_leave_nothing_behind(engine: Any) -> None:
    model = engine()
    gc.collect()
    rows = len(model._rows._by_use)

    async def script() -> None:
        sequences = [await text(model, "the sum of 12") for _ in range(3000)]
        first, last = await asyncio.gather(write(sequences[0], 3), write(sequences[-1], 3))
        assert first == last
        assert len(model._rows._by_use) == rows + 2
        for sequence in sequences:
            await sequence.close()
            await sequence.close()

    asyncio.run(script())
    model._worker.submit(int).result()  # the thread lets go of its last step only after its result was handed over
    gc.collect()
    assert len(model._rows._by_use) == rows


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(PROMPTS)),
        st.tuples(st.just("truncate"), st.floats(0, 1)),
        st.tuples(st.just("put back"), st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans())),
        st.tuples(st.just("stream"), st.integers(1, 6)),
        st.tuples(st.just("abort"), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("architecture", ["qwen3", "gemma3"])
@settings(settings.get_profile("quick"))  # each example runs a model many times
@given(scripts=st.lists(steps, min_size=1, max_size=3), memory=st.sampled_from([1, 1 << 30]))
def test_random_scripts_write_what_a_model_without_memory_writes(
    engine: Any, reference: Any, architecture: str, scripts: list[Any], memory: int
) -> None:
    model, plain = engine(architecture), reference(architecture)
    model._rows._limit = memory // model._forward.token_bytes

    async def follow(script: list[Any]) -> None:
        sequence = await text(model, "x")
        expected = ids_of(sequence)
        for act, amount in script:
            if len(expected) > 100:
                break
            if act == "append":
                expected += await sequence.append([Part(amount)])
            elif act == "truncate":
                del expected[max(1, int(amount * len(expected))) :]
                sequence.truncate(len(expected))
            elif act == "put back":
                share, part, other = amount
                place = max(1, int(share * len(expected)))
                again = expected[place : place + max(1, int(part * (len(expected) - place)))]
                again[-1:] = [7] if other else again[-1:]
                sequence.truncate(place)
                await sequence.append_ids(again)
                expected[place:] = again
            elif act == "stream":
                await write(sequence, amount)
                expected += plain.greedy(expected, amount)
            else:
                async with stream(sequence, 50) as chunks:
                    for _ in range(amount):
                        await anext(chunks)
                expected += plain.greedy(expected, amount)
            assert ids_of(sequence) == expected
        wanted = torch.log_softmax(plain.logits(expected), dim=-1)
        wanted = [0.0] + [float(wanted[place, token]) for place, token in enumerate(expected[1:])]
        assert await model.score(expected) == pytest.approx(wanted, abs=1e-3)
        await sequence.close()

    async def all_at_once() -> None:
        await asyncio.gather(*(follow(script) for script in scripts))

    try:
        asyncio.run(all_at_once())
    finally:
        model._rows._limit = 1 << 30


def test_long_prompts_are_read_in_stretches(engine: Any, reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.engine.batching._READ_AT_ONCE", 3)
    test_many_sequences_at_once_write_what_each_writes_alone(engine, reference, "gemma3")
