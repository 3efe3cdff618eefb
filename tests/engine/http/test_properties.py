"""Whatever a model writes, however it is cut into events and packets, and whatever breaks on the way: the text and the
ids are those of the scripted engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, cast
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from antiphon.dialect import Part
from antiphon.engine.base import Finish, Piece
from antiphon.engine.http import client, servers
from antiphon.engine.http.client import Stream
from antiphon.errors import StreamBroken
from tests.engine.http.kinds import KINDS
from tests.engine.http.strict import END, OPENING, Fault, ids_of, vocabulary
from tests.engine.http.talk import SAMPLING, Late, Reference, served, told

CONTROLS = ("<think>", "</think>", "<|im_start|>")
WORDS = st.sampled_from(
    ["a", " wait", " 12", "\n\n", "東京", "🙂", "é", "\u2028", "</thi", " \u202e", "\ufffd", "\x00"]
)
TOKENS = st.lists(WORDS | st.sampled_from(CONTROLS), max_size=12).map(lambda parts: ids_of(*parts))
BYTES = st.lists(st.sampled_from(sorted(set(vocabulary().tokens) - {END})), max_size=12)
# Counts that run ahead hide whether U+FFFD was written by the model or stands for its bytes.
WITH_FILES = [kind for kind in KINDS if kind != "openai" and "files" not in kind and "drafting" not in kind]


class Way(NamedTuple):
    """How a server's answers come: the seed of all cuts, tokens an event, bytes a packet, style, whether they are
    read when all is there, faults, and after how many tokens they are looked at."""

    seed: int
    tokens: int
    packet: int
    crlf: bool
    late: bool
    faults: list[Fault]
    look: int

    @property
    def stream(self) -> type[Stream]:
        return Late if self.late else Stream

    def sizes(self) -> Callable[[], int]:
        draw = random.Random(self.seed)
        return lambda: draw.randint(1, self.tokens)

    def cut(self) -> Callable[[bytes], Iterable[bytes]]:
        draw = random.Random(self.seed)

        def parts(data: bytes) -> Iterable[bytes]:
            while data:
                size = draw.randint(1, self.packet)
                yield data[:size]
                data = data[size:]

        return parts


FAULTS = st.lists(
    st.builds(Fault, st.sampled_from(["close", "reset", "end", "error"]), st.integers(0, 15))
    | st.just(Fault("status", status=503))
    | st.just(Fault("page", status=502)),
    max_size=4,
)
WAYS = st.builds(
    Way,
    st.integers(0, 99),
    st.integers(1, 6),
    st.sampled_from([3, 40, 10_000]),
    st.booleans(),
    st.booleans(),
    FAULTS,
    st.sampled_from([1, 3, 400]),
)


class Written(NamedTuple):
    """What a sequence holds in the end, and why it ended."""

    text: str
    ids: list[int]
    finish: Finish | None


async def written(kind: str, script: list[int], way: Way, most: int = 400) -> Written:
    """By a server of that kind, for one who goes on after every break."""
    server = KINDS[kind](script, chunk=way.sizes())
    server.cut = way.cut()
    server.line_end = "\r\n" if way.crlf else "\n"
    async with served(server, retries=9) as engine:
        await engine.learn([*CONTROLS, "<|im_end|>"])
        faults = iter(way.faults)
        server.faults = lambda number: next(faults, None)
        prefix = await engine.open([Part(OPENING)])
        opened = prefix.length
        pieces: list[Piece] = []
        finish = None
        while finish is None and (left := most - prefix.length + opened):
            with suppress(StreamBroken):
                async with aclosing(cast(Any, prefix.stream(SAMPLING, left, (END,), None, way.look))) as chunks:
                    async for chunk in chunks:
                        pieces += chunk.pieces
                        finish = chunk.finish
        text = "".join(piece.text for piece in pieces)
        ids = [token for piece in pieces for token in piece.ids]
        assert prefix.length - opened == (len(text) if kind == "openai" else len(ids))
        return Written(text, ids, finish)


@given(kind=st.sampled_from(list(KINDS)), script=TOKENS, way=WAYS)
def test_text_and_ids_are_the_models(kind: str, script: list[int], way: Way) -> None:
    async def go() -> None:
        with patch.object(servers, "_FIRST_WAIT", 0.0), patch.object(client, "Stream", way.stream):
            have = await written(kind, script, way)
        want = await told(Reference([*script, END]), 400, (END,))
        assert (have.text, have.finish) == (want.text, Finish("stop") if kind == "openai" else want.finish)
        if kind != "openai":
            assert have.ids == want.ids

    asyncio.run(go())


@given(kind=st.sampled_from(WITH_FILES), script=BYTES, way=WAYS, most=st.integers(1, 12))
def test_bytes_of_any_kind_end_as_they_should(kind: str, script: list[int], way: Way, most: int) -> None:
    async def go() -> None:
        with patch.object(servers, "_FIRST_WAIT", 0.0), patch.object(client, "Stream", way.stream):
            have = await written(kind, script, way._replace(faults=[]), most)
        want = await told(Reference([*script, END]), most, (END,))
        if kind == "llama.cpp" and ("\ufffd" in have.text or want.finish == Finish("invalid")):
            return  # it tells text, and of a character's ids the last: bytes that are no character may not be seen
        assert have.text == want.text
        if kind != "llama.cpp":  # which does not tell all ids of a character, so that they are found by its text
            assert (have.ids, have.finish) == (want.ids, want.finish)

    asyncio.run(go())
