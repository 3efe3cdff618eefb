"""A model in process: draws, refusals, faults, and whoever comes and goes beside it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from array import array
from pathlib import Path
from typing import Any

import pytest

from antiphon.dialect import Part
from antiphon.errors import DialectError, EngineUnavailable, MissingDependency, ModelError, RequestRefused
from antiphon.settings import Sampling
from tests.engine import tiny
from tests.engine.local import (
    GREEDY,
    LocalEngine,
    ids_of,
    stream,
    text,
    torch,
    write,
)


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
