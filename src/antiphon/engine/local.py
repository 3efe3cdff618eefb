"""A model in this process: transformers on a CPU or a GPU, from a Hugging Face folder or a GGUF file.

Several sequences are written in one batch (`antiphon.engine.batching`); each keeps its keys and values between turns
(`antiphon.engine.rows`), so that a hand-over costs the other author's new words and a rollback nothing.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Collection, Iterable
from collections.abc import Sequence as List
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING

from antiphon.dialect import Part
from antiphon.engine.base import Capabilities, Chunk, Engine, Sequence
from antiphon.engine.batching import Batch, Stream, chances
from antiphon.engine.model_files import ModelFiles
from antiphon.engine.rows import Row, Rows
from antiphon.engine.vocabulary import Assembler, Vocabulary
from antiphon.errors import EngineUnavailable, MissingDependency, RequestRefused
from antiphon.settings import Sampling

if TYPE_CHECKING:
    from antiphon.engine.forward import Forward

ROW_MEMORY = 4 << 30
"""Bytes that the keys and values of one engine may take. Beyond it sequences that rest are forgotten and read again."""


class LocalEngine(Engine):
    """One model in this process. See `load`."""

    def __init__(self, files: ModelFiles, forward: Forward, context: int | None, row_memory: int = ROW_MEMORY):
        self.name = files.name
        self.vocabulary: Vocabulary = files.vocabulary
        self.chat_template = files.chat_template
        self.controls = tuple(files.vocabulary.controls)
        self.special_tokens = files.special_tokens
        self._identity = files.identity
        self._forward = forward
        self._context = context or forward.context
        self._rows = Rows(row_memory // forward.token_bytes)
        self._worker = _worker(str(forward.device))
        self._batch = Batch(forward, self._worker, self._rows, self.name)
        self._closed = False

    @classmethod
    def load(
        cls, reference: str, *, device: str = "auto", context: int | None = None, row_memory: int = ROW_MEMORY
    ) -> LocalEngine:
        """Loads a model.

        Args:
            reference: a Hugging Face folder, a `.gguf` file, `lab:teacher` or `lab:student`.
            device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...
            context: the longest sequence in tokens; None: what the model says.
            row_memory: bytes for keys and values.

        Raises:
            ModelError: nothing there, no weights, no usable tokenizer, or a kind that cannot be run here.
            MissingDependency: torch, transformers or what reading GGUF needs is not installed.
        """
        files = ModelFiles.read(reference)
        needed = ("torch", "transformers", *(("gguf", "accelerate") if files.is_gguf else ()))
        for library in needed:
            try:
                __import__(library)
            except ImportError:
                raise MissingDependency(library, "local", f"running {files.name} in this process") from None
        from antiphon.engine.forward import Forward

        return cls(files, Forward.load(files, device, files.vocabulary.tokens), context, row_memory)

    @property
    def identity(self) -> dict[str, str]:
        return dict(self._identity)

    @property
    def forwarded(self) -> int:
        """Tokens that went through the model since it was loaded, read or written: what it cost."""
        return self._forward.forwarded

    async def capabilities(self) -> Capabilities:
        return Capabilities(ids=True, context=self._context, scoring=True)

    async def probe(self) -> None:
        if self._closed:
            raise EngineUnavailable(f"{self.name} is closed")

    async def open(self, parts: Iterable[Part]) -> LocalSequence:
        await self.probe()
        ids = self.vocabulary.encode_parts(parts)
        start = self.vocabulary.start_id
        if start is not None and (not ids or ids[0] != start):
            ids.insert(0, start)
        return LocalSequence(self, ids)

    async def encode(self, text: str) -> array[int]:
        return self.vocabulary.encode(text)

    async def decode(self, ids: Iterable[int]) -> str:
        return self.vocabulary.decode(ids)

    def control_id(self, token: str) -> int | None:
        return self.vocabulary.control_id(token)

    async def score(self, ids: List[int]) -> List[float]:
        await self.probe()
        if self._context is not None and len(ids) > self._context:
            raise RequestRefused(f"{self.name} holds {self._context} tokens; {len(ids)} were to be scored")
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._forward.score, ids)

    async def close(self) -> None:
        self._closed = True


class LocalSequence(Sequence):
    """One prefix and its row."""

    def __init__(self, engine: LocalEngine, ids: array[int]):
        self.server = str(engine._forward.device)
        self._engine = engine
        self._ids = ids
        self._row = Row()

    @property
    def length(self) -> int:
        return len(self._ids)

    async def append(self, parts: Iterable[Part]) -> array[int]:
        added = self._engine.vocabulary.encode_parts(parts)
        self._ids += added
        return added

    async def append_ids(self, ids: Iterable[int]) -> None:
        added = array("I", ids)
        if self._row.length == len(self._ids):
            self._row.put_back(added)
        self._ids += added

    def truncate(self, length: int) -> None:
        if not 0 <= length <= len(self._ids):
            raise ValueError(f"cannot cut a sequence of {len(self._ids)} tokens to {length}")
        self._row.cut(length, self._ids)
        del self._ids[length:]

    async def stream(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None = None, look: int = 1
    ) -> AsyncIterator[Chunk]:
        engine = self._engine
        await engine.probe()
        context = engine._context
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; at least one token must be asked for")
        if context is not None and len(self._ids) + max_tokens > context:
            raise RequestRefused(
                f"{engine.name} holds {context} tokens: {max_tokens} more do not fit behind {len(self._ids)}"
            )
        if not self._ids:
            raise RequestRefused(f"{engine.name} has no start token and cannot begin from nothing")
        self._row.overwrite()
        assembler = Assembler(engine.vocabulary)
        stream = Stream(self._ids, self._row, sampling, max_tokens, stop_ids, assembler, chances(seed))
        try:
            async with aclosing(engine._batch.chunks(stream)) as chunks:
                async for chunk in chunks:
                    for piece in chunk.pieces:
                        self._ids.extend(piece.ids)
                    yield chunk
        finally:
            self._row.length = min(self._row.length, len(self._ids))

    async def close(self) -> None:
        self._row = Row()


@cache
def _worker(device: str) -> ThreadPoolExecutor:
    """The thread that runs models on a device, one step at a time: two models on one CPU would only be in each other's
    way, since each step uses all of torch's threads."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"antiphon {device}")
