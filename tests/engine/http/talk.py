"""How tests speak to an engine, and the scripted engine that the others are held against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, cast

import pytest

from antiphon.dialect import Part
from antiphon.engine.base import Finish, Piece
from antiphon.engine.base import Sequence as Prefix
from antiphon.engine.http import HttpEngine
from antiphon.engine.http.client import Stream
from antiphon.engine.scripted import ScriptedEngine, Situation
from antiphon.errors import AntiphonError, ModelError
from antiphon.settings import Connection, Sampling
from tests.engine.http.strict import OPENING, Strict, vocabulary

SAMPLING = Sampling(temperature=0.7, top_p=0.8, top_k=20)


class Read(NamedTuple):
    """What a stream gave."""

    pieces: list[Piece]
    finish: Finish | None
    cached: list[int]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def ids(self) -> list[int]:
        return [token for piece in self.pieces for token in piece.ids]


@asynccontextmanager
async def talking(*servers: Strict, url: str | None = None, **options: Any) -> AsyncIterator[HttpEngine]:
    """An engine of these servers, connected; the servers are up already."""
    context = options.pop("context", None)
    addresses = [url] if url is not None else [server.url for server in servers]
    engine = HttpEngine(addresses, Connection(**{"timeout": 20, **options}), context=context)
    try:
        await engine.capabilities()
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def served(server: Strict, **options: Any) -> AsyncIterator[HttpEngine]:
    """A server and its engine."""
    async with server.serving(), talking(server, **options) as engine:
        yield engine


async def read(
    prefix: Prefix,
    most: int = 400,
    stops: Iterable[int] = (),
    *,
    pieces: int | None = None,
    sampling: Sampling = SAMPLING,
    seed: int | None = None,
    look: int = 1,
) -> Read:
    """Reads a stream to its end, or closes it once there are so many pieces."""
    got: list[Piece] = []
    cached: list[int] = []
    finish = None
    async with aclosing(cast(Any, prefix.stream(sampling, most, tuple(stops), seed, look))) as chunks:
        async for chunk in chunks:
            assert finish is None, "a chunk came after the end"
            got += chunk.pieces
            finish = chunk.finish
            if chunk.cached is not None:
                cached.append(chunk.cached)
            if pieces is not None and len(got) >= pieces:
                break
    return Read(got, finish, cached)


async def told(engine: Any, most: int = 400, stops: Iterable[int] = ()) -> Read:
    """One stream of a new sequence that begins with `OPENING`."""
    prefix = await engine.open([Part(OPENING)])
    try:
        return await read(prefix, most, stops)
    finally:
        await prefix.close()


class Reference(ScriptedEngine):
    """The scripted engine, of ids."""

    def __init__(self, script: Sequence[int], **options: Any):
        def write(here: Situation) -> Any:
            return script[here.written :]

        super().__init__("student", write, vocabulary=vocabulary(), **options)

    def ids_of(self, token: Any) -> list[int]:
        return [token]


async def refusal(url: str, error: type[AntiphonError] = ModelError, **options: Any) -> str:
    """What an engine says that cannot start."""
    engine = HttpEngine([url], Connection(**{"timeout": 5, **options}))
    try:
        with pytest.raises(error) as raised:
            await engine.capabilities()
        return str(raised.value)
    finally:
        await engine.close()


class Late(Stream):
    """As a process sees it that reads a stream when all of it is there, and what ends it."""

    _whole: Iterator[Any] | None = None

    async def burst(self, least: int = 1) -> Iterable[Any] | None:
        if self._whole is not None:
            return None
        events: list[Any] = []
        ended: list[Exception] = []
        try:
            while (burst := await super().burst(least)) is not None:
                for event in burst:
                    events.append(event)  # noqa: PERF402 - those before a fault stay
        except Exception as error:
            ended.append(error)

        def everything() -> Iterator[Any]:
            yield from events
            for error in ended:
                raise error

        self._whole = everything()
        return self._whole
