"""One prefix behind a server: it lies here, and the server's cache holds it as well as it can."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from collections.abc import Sequence as List
from contextlib import aclosing
from typing import TYPE_CHECKING

from antiphon.dialect import Message, Part, text_of
from antiphon.engine.base import Chunk, Piece, Sequence
from antiphon.engine.http.faults import Broken, Fault
from antiphon.engine.http.prompt import PromptIds
from antiphon.engine.http.reading import Reading, ReadingIds, ReadingText
from antiphon.engine.http.tokens import Tokens
from antiphon.engine.http.wire import Ask, Wire
from antiphon.errors import RequestRefused, StreamBroken
from antiphon.settings import Sampling
from antiphon.trace import pack_ids

if TYPE_CHECKING:
    from antiphon.engine.http.server import Server
    from antiphon.engine.http.servers import Servers


class HttpSequence(Sequence):
    """What sequences of ids and of text share: requests, and what becomes of their failures."""

    def __init__(self, wire: Wire, servers: Servers, context: int | None):
        self._wire = wire
        self._servers = servers
        self._context = context
        self._at = servers.choose()
        self._at.sequences += 1
        self._slot: int | None = None
        self._closed = False

    @property
    def server(self) -> str:  # type: ignore[override]
        return self._at.client.shown

    async def stream(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None = None, look: int = 1
    ) -> AsyncIterator[Chunk]:
        if max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}; at least one token must be asked for")
        attempt, first = 0, self._at
        while True:
            progress = False
            try:
                async with aclosing(self._request(sampling, max_tokens, stop_ids, seed, look)) as chunks:
                    async for chunk in chunks:
                        progress = progress or bool(chunk.pieces) or chunk.finish is not None
                        yield chunk
                return
            except Fault as fault:
                if progress:
                    self._at.doubt(fault)
                    raise StreamBroken(f"{self.server}: {fault}") from None
                attempt += 1
                self._move(await self._servers.again(self._at, fault, attempt))
                if self._at is not first:
                    attempt, first = 0, self._at

    async def _request(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None, look: int
    ) -> AsyncGenerator[Chunk]:
        """One try. What it has yielded is part of the sequence."""
        server, wire = self._at, self._wire
        client = await self._servers.assured(server)
        pieces: list[Piece] = []
        cached = finish = None
        told = over = False
        async with server.slot(self._slot) as self._slot:
            ask = Ask(self._prompt(max_tokens), sampling, max_tokens, stop_ids, seed, self._slot, look >= max_tokens)
            body = wire.body(ask)
            reading = self._reading(stop_ids)
            try:
                async with client.stream(wire.path, body) as stream:
                    while (burst := await stream.burst(look)) is not None:
                        for event in reading.events(wire, burst):
                            over = over or event.finish is not None
                            if event.cached is not None and not told:
                                cached, told = event.cached, True
                            if finish is None:
                                more, finish = await reading.take(event)
                                pieces += more
                        if finish is None:
                            if pieces:
                                self._add(pieces)
                                yield Chunk(tuple(pieces), None, cached)
                                pieces, cached = [], None
                        elif not over:
                            break  # the server does not heed stop ids and would write on
                        # Else what comes now is the count of tokens, and then the connection is free.
            except Fault:
                if finish is None:
                    if pieces:  # which came before it
                        self._add(pieces)
                        yield Chunk(tuple(pieces), None, cached)
                    raise
            finally:
                if wire.aborts and not over:
                    server.abandon(wire.abort(client, body))
        if finish is None:
            raise Broken("the stream ended before its end")
        self._add(pieces)
        yield Chunk(tuple(pieces), finish, cached)

    def _move(self, server: Server) -> None:
        if server is not self._at:
            self._at.sequences -= 1
            server.sequences += 1
            self._at, self._slot = server, None

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._at.sequences -= 1

    @abstractmethod
    def _prompt(self, max_tokens: int) -> PromptIds | str | List[Message]:
        """What is sent.

        Raises:
            RequestRefused: it does not fit.
        """

    @abstractmethod
    def _reading(self, stop_ids: Collection[int]) -> Reading:
        """What reads a stream's events."""

    @abstractmethod
    def _add(self, pieces: list[Piece]) -> None:
        """Makes pieces part of the sequence."""


class IdSequence(HttpSequence):
    """Ids in, ids out."""

    def __init__(self, wire: Wire, servers: Servers, context: int | None, tokens: Tokens):
        super().__init__(wire, servers, context)
        self._tokens = tokens
        self._ids = PromptIds()

    @property
    def length(self) -> int:
        return len(self._ids)

    async def append(self, parts: Iterable[Part]) -> array[int]:
        added = await self._tokens.encode_parts(parts)
        self._ids.extend(added)
        return added

    async def append_ids(self, ids: Iterable[int]) -> None:
        self._ids.extend(ids)

    def truncate(self, length: int) -> None:
        self._ids.cut(length)

    def _prompt(self, max_tokens: int) -> PromptIds:
        if self._context is not None and len(self._ids) + max_tokens > self._context:
            raise RequestRefused(
                f"{self.server} holds {self._context} tokens: {max_tokens} more do not fit behind {len(self._ids)}"
            )
        return self._ids

    def _reading(self, stop_ids: Collection[int]) -> Reading:
        return ReadingIds(self._tokens, stop_ids)

    def _add(self, pieces: list[Piece]) -> None:
        self._ids.extend(token for piece in pieces for token in piece.ids)


class TextSequence(HttpSequence):
    """Text in, text out: the server encodes the whole prefix anew with each request."""

    def __init__(self, wire: Wire, servers: Servers, context: int | None):
        super().__init__(wire, servers, context)
        self._text = ""

    @property
    def length(self) -> int:
        return len(self._text)

    async def append(self, parts: Iterable[Part]) -> array[int]:
        self._text += text_of(parts)
        return pack_ids()

    async def append_ids(self, ids: Iterable[int]) -> None:
        raise RequestRefused(f"{self.server} takes text only; these ids were written by a server that takes ids")

    def truncate(self, length: int) -> None:
        if not 0 <= length <= len(self._text):
            raise ValueError(f"cannot cut {len(self._text)} characters to {length}")
        self._text = self._text[:length]

    def _prompt(self, max_tokens: int) -> str | List[Message]:
        return self._text

    def _reading(self, stop_ids: Collection[int]) -> Reading:
        return ReadingText()

    def _add(self, pieces: list[Piece]) -> None:
        self._text += "".join(piece.text for piece in pieces)
