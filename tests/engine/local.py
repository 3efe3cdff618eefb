"""A model in process, and the same model in plain transformers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.dialect import Part
from antiphon.engine.base import Chunk, Finish, Sequence
from antiphon.settings import Sampling

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")
pytest.importorskip("transformers", reason="needs transformers, which is not installed")

from antiphon.engine.local import LocalEngine  # noqa: E402

GREEDY = Sampling(temperature=0)
PROMPTS = ["the sum of 12", "wait, ", "so we add the carry\n\n", "x", "def f(x): café " * 3]
ARCHITECTURES = ("qwen3", "llama", "gemma3", "gemma2", "gpt-oss")


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


def finish(chunks: list[Chunk]) -> Finish:
    assert all(chunk.finish is None for chunk in chunks[:-1])
    assert chunks[-1].finish is not None
    return chunks[-1].finish


async def collect(chunks: AsyncIterator[Chunk]) -> list[Chunk]:
    return [chunk async for chunk in chunks]
