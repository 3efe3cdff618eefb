"""A model in process, against plain transformers that read everything anew for every token."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from array import array
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.dialect import Part
from antiphon.engine.base import Chunk, Finish, Sequence
from antiphon.engine.vocabulary import Assembler
from antiphon.errors import DialectError, EngineUnavailable, MissingDependency, ModelError, RequestRefused
from antiphon.settings import Sampling
from tests.engine import tiny

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")
pytest.importorskip("transformers", reason="needs transformers, which is not installed")

from antiphon.engine.local import LocalEngine  # noqa: E402

GREEDY = Sampling(temperature=0)
PROMPTS = ["the sum of 12", "wait, ", "so we add the carry\n\n", "x", "def f(x): café " * 3]
ARCHITECTURES = ("qwen3", "llama", "gemma3", "gemma2", "gpt-oss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a model folder once for each kind."""

    @cache
    def make(architecture: str, **options: Any) -> Path:
        return tiny.save(tmp_path_factory.mktemp(architecture) / f"tiny-{architecture}", architecture, **options)

    return make


@pytest.fixture(scope="module")
def engine(folder: Any) -> Any:
    """Loads a model once for each kind."""

    @cache
    def load(architecture: str = "qwen3", **options: Any) -> LocalEngine:
        return LocalEngine.load(str(folder(architecture, **options)), device="cpu")

    return load


class Reference:
    """The same model in plain transformers, without a cache."""

    def __init__(self, folder: Path, engine: LocalEngine):
        import transformers

        auto = transformers.AutoModelForCausalLM
        self._model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self._barred = [token for token in range(340) if token not in cast(Any, engine.vocabulary).tokens]

    @torch.inference_mode()
    def logits(self, ids: Iterable[int]) -> Any:
        """`[tokens, vocabulary]`."""
        logits = self._model(torch.tensor([list(ids)]), use_cache=False).logits[0]
        logits[:, self._barred] = -torch.inf
        return logits

    def greedy(self, ids: Iterable[int], count: int) -> list[int]:
        """The next `count` tokens."""
        ids = list(ids)
        for _ in range(count):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids[len(ids) - count :]


@pytest.fixture(scope="module")
def reference(folder: Any, engine: Any) -> Any:
    @cache
    def load(architecture: str = "qwen3", **options: Any) -> Reference:
        return Reference(folder(architecture, **options), engine(architecture, **options))

    return load


def ids_of(sequence: Sequence) -> list[int]:
    return list(cast(Any, sequence)._ids)


def stream(sequence: Sequence, count: int, **options: Any) -> aclosing[Any]:
    options = {"sampling": GREEDY, "stop_ids": ()} | options
    return aclosing(cast(Any, sequence.stream(options.pop("sampling"), count, options.pop("stop_ids"), **options)))


async def write(sequence: Sequence, count: int, **options: Any) -> list[int]:
    """Streams to the end; gives the ids."""
    ids: list[int] = []
    async with stream(sequence, count, **options) as chunks:
        async for chunk in chunks:
            ids += [token for piece in chunk.pieces for token in piece.ids]
    return ids


async def text(engine: LocalEngine, prompt: str) -> Sequence:
    return await engine.open([Part(prompt)])


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


def finish(chunks: list[Chunk]) -> Finish:
    assert all(chunk.finish is None for chunk in chunks[:-1])
    assert chunks[-1].finish is not None
    return chunks[-1].finish


async def collect(chunks: AsyncIterator[Chunk]) -> list[Chunk]:
    return [chunk async for chunk in chunks]


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


def test_a_seed_draws_the_same_whoever_else_is_in_the_batch(engine: Any) -> None:
    model = engine()
    sampling = Sampling(temperature=1.2, top_k=10)

    async def script() -> None:
        alone = await write(await text(model, "x"), 20, sampling=sampling, seed=5)
        crowd = [write(await text(model, "x"), 20, sampling=sampling, seed=seed) for seed in (4, 5, 6, None)]
        others = await asyncio.gather(*crowd)
        assert others[1] == alone
        assert len({tuple(ids) for ids in others}) == 4

    asyncio.run(script())


def test_samplings_can_be_mixed_in_a_batch(engine: Any, reference: Any) -> None:
    model = engine()

    async def script() -> None:
        greedy = write(await text(model, "x"), 12)
        drawn = write(await text(model, "x"), 12, sampling=Sampling(temperature=2.0), seed=1)
        penal = write(await text(model, "x"), 12, sampling=Sampling(temperature=0, repetition_penalty=2.0))
        plain, _, penalised = await asyncio.gather(greedy, drawn, penal)
        assert plain == reference().greedy(model.vocabulary.encode("x"), 12)
        assert len(set(penalised)) >= len(set(plain))

    asyncio.run(script())


def test_ids_beyond_the_vocabulary_are_never_drawn(engine: Any) -> None:
    model = engine()
    beyond = model.vocabulary.size
    scores = asyncio.run(model.score(array("I", [1, 2, beyond])))
    assert scores[0] == 0.0
    assert scores[1] < 0
    assert scores[2] == -torch.inf


def test_what_does_not_fit_is_refused_before_a_token_is_spent(engine: Any) -> None:
    model = engine()

    async def script() -> None:
        sequence = await text(model, "the sum of 12")
        spent = model.forwarded
        with pytest.raises(RequestRefused, match="256 tokens"):
            await write(sequence, 257 - sequence.length)
        with pytest.raises(ValueError, match="at least one"):
            await write(sequence, 0)
        with pytest.raises(RequestRefused, match="nothing"):
            await write(await model.open([]), 1)
        with pytest.raises(ValueError, match="cannot cut"):
            sequence.truncate(sequence.length + 1)
        with pytest.raises(ValueError, match="cannot cut"):
            sequence.truncate(-1)
        with pytest.raises(RequestRefused, match="scored"):
            await model.score(array("I", [1] * 257))
        assert model.forwarded == spent
        assert len(await write(sequence, 256 - sequence.length)) > 200

    asyncio.run(script())


def test_open_and_append_encode_parts(engine: Any) -> None:
    model = engine()
    start, words = model.control_id("<|start|>"), model.vocabulary

    async def script() -> None:
        sequence = await model.open([Part("<|start|>", True), Part("the s"), Part("um")])
        assert ids_of(sequence) == [start, *words.encode("the sum")]
        added = await sequence.append([Part(" <|end|>"), Part("<|end|>", True)])
        assert list(added) == [*words.encode(" <|end|>"), model.control_id("<|end|>")]
        await sequence.append_ids([1, 2])
        assert ids_of(sequence)[-2:] == [1, 2]
        assert await model.decode(added) == " <|end|><|end|>"
        assert await model.encode(" <|end|>") == words.encode(" <|end|>")
        with pytest.raises(DialectError, match="im_end"):
            await sequence.append([Part("<|im_end|>", True)])
        with pytest.raises(DialectError, match="im_end"):
            await model.open([Part("<|im_end|>", True)])

    asyncio.run(script())


def test_the_tokenizers_start_token_comes_first_and_once(engine: Any) -> None:
    model = engine(start="<|start|>")

    async def script() -> None:
        start = model.control_id("<|start|>")
        assert ids_of(await model.open([Part("x")])) == [start, *model.vocabulary.encode("x")]
        written = await model.open([Part("<|start|>", True), Part("x")])
        assert ids_of(written) == [start, *model.vocabulary.encode("x")]

    asyncio.run(script())


def test_the_event_loop_lives_while_the_model_runs(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine()
    entered, leave = threading.Event(), threading.Event()
    step = model._forward.step

    def slow(work: Any) -> Any:
        entered.set()
        assert leave.wait(30)
        return step(work)

    monkeypatch.setattr(model._forward, "step", slow)

    async def script() -> None:
        reader = asyncio.create_task(write(await text(model, "x"), 1))
        while not entered.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not reader.done()
        leave.set()
        assert len(await reader) == 1

    asyncio.run(script())


def test_a_slow_reader_holds_nobody_up(engine: Any, reference: Any) -> None:
    model = engine()

    async def script() -> None:
        slow, quick = await text(model, "wait, "), await text(model, "the sum of 12")
        read_on = asyncio.Event()

        async def slowly() -> list[int]:
            ids: list[int] = []
            async with stream(slow, 8) as chunks:
                async for chunk in chunks:
                    ids += [token for piece in chunk.pieces for token in piece.ids]
                    await read_on.wait()
            return ids

        reader = asyncio.create_task(slowly())
        assert await write(quick, 20) == reference().greedy(model.vocabulary.encode("the sum of 12"), 20)
        assert slow.length <= len(model.vocabulary.encode("wait, ")) + 1
        read_on.set()
        assert await reader == reference().greedy(model.vocabulary.encode("wait, "), 8)

    asyncio.run(script())


def test_long_prompts_are_read_in_stretches(engine: Any, reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.engine.batching._READ_AT_ONCE", 3)
    test_many_sequences_at_once_write_what_each_writes_alone(engine, reference, "gemma3")


def test_a_fault_of_our_own_reaches_the_readers(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine()

    def fails(*_: Any) -> bool:
        raise LookupError("a fault")

    async def script() -> None:
        sequence = await text(model, "x")
        with monkeypatch.context() as patch:
            patch.setattr(model._rows, "hold", fails)
            with pytest.raises(LookupError, match="a fault"):
                await write(sequence, 3)
        assert len(await write(sequence, 3)) == 3

    asyncio.run(script())


def test_an_error_of_the_model_is_the_readers_and_the_engine_goes_on(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine()

    def fails(work: Any) -> Any:
        raise RequestRefused("out of memory")

    async def script() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(model._forward, "step", fails)
            with pytest.raises(RequestRefused, match="out of memory"):
                await write(await text(model, "x"), 3)
        assert len(await write(await text(model, "x"), 3)) == 3

    asyncio.run(script())


def test_output_that_is_no_number_is_refused_for_that_sequence_only(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine()
    logits = model._forward._logits

    def broken(*args: Any) -> Any:
        output = logits(*args)
        output[0] = torch.nan
        return output

    async def script() -> None:
        sequences = [await text(model, "x"), await text(model, "wait, ")]
        with monkeypatch.context() as patch:
            patch.setattr(model._forward, "_logits", broken)
            results = await asyncio.gather(*(write(s, 1) for s in sequences), return_exceptions=True)
        assert isinstance(results[0], RequestRefused)
        assert isinstance(results[1], list)

    asyncio.run(script())


def test_an_engine_outlives_event_loops_and_unfinished_streams(engine: Any) -> None:
    model = engine()

    async def leaves_one_open() -> None:
        sequence = await text(model, "x")
        chunks = sequence.stream(GREEDY, 50, ())
        await anext(chunks)

    async def afterwards() -> int:
        return len(await write(await text(model, "x"), 3))

    asyncio.run(leaves_one_open())
    gc.collect()
    assert asyncio.run(afterwards()) == 3


def test_a_closed_engine_says_so(folder: Any) -> None:
    model = LocalEngine.load(str(folder("qwen3")), device="cpu")

    async def script() -> None:
        await model.probe()
        await model.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await model.probe()

    asyncio.run(script())


def test_what_an_engine_says_of_itself(folder: Any) -> None:
    path = folder("qwen3", template="{{ messages }}")
    model = LocalEngine.load(str(path), device="cpu", context=100)
    assert model.name == "tiny-qwen3"
    assert model.chat_template == "{{ messages }}"
    assert set(model.identity) == {"model", "architecture", "tokenizer", "template"}
    assert str(path.parent) not in str(model.identity)
    told = asyncio.run(model.capabilities())
    assert (told.ids, told.context, told.scoring) == (True, 100, True)


def test_a_missing_library_is_one_clear_line(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(folder("qwen3"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"needs torch; install it with: pip install 'antiphon\[local\]'"):
        LocalEngine.load(path)


def test_devices_that_are_not_there_are_refused(folder: Any) -> None:
    for device in ("cuda:77", "abacus"):
        with pytest.raises(ModelError, match=device):
            LocalEngine.load(str(folder("qwen3")), device=device)


def test_weights_that_are_missing_are_refused(folder: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder("qwen3").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(broken / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are missing \(lm_head.weight"):
        LocalEngine.load(str(broken), device="cpu")
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot load it"):
        LocalEngine.load(str(broken), device="cpu")


def test_architectures_that_keep_more_than_rows_are_refused(tmp_path: Path) -> None:
    import transformers

    shape = transformers.MambaConfig(vocab_size=340, hidden_size=16, state_size=4, num_hidden_layers=2)
    transformers.AutoModelForCausalLM.from_config(shape).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tiny.tokenizer_json(), "utf-8")
    with pytest.raises(ModelError, match="use a server"):
        LocalEngine.load(str(tmp_path), device="cpu")
