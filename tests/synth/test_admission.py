"""As many traces in flight as their servers keep the prefixes of."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest
from bench.pair import Shape, engines, problems, settings
from hypothesis import given
from hypothesis import strategies as st

from antiphon.dialect import Part
from antiphon.engine.base import Chunk, Sequence
from antiphon.engine.scripted import ScriptedEngine
from antiphon.store import Reader
from antiphon.synth.admission import Admission
from antiphon.synth.run import Run
from antiphon.trace import Author, Status

TURNS = 3000


class Server:
    """Keeps the prefixes of so many traces, those last asked about."""

    def __init__(self, keeps: int):
        self._keeps = keeps
        self._kept: OrderedDict[int, int] = OrderedDict()

    def asked(self, trace: int, prompt: int) -> int:
        """Takes a prompt; how much of it was there."""
        cached = self._kept.pop(trace, 0)
        self._kept[trace] = prompt
        while len(self._kept) > self._keeps:
            self._kept.popitem(last=False)
        return cached


def written(keeps: int, traces: int, turns: int = TURNS) -> tuple[Admission, list[float]]:
    """Traces side by side on a server that keeps so many; of the last turns, what share was lost."""
    admission, server, lost = Admission(), Server(keeps), []
    admission.open(traces)

    async def write(trace: int) -> None:
        async with admission.place():
            prompt = 0
            for _ in range(turns):
                await admission.turn()
                await asyncio.sleep(0)
                seen, prompt = prompt, prompt + 40
                cached = server.asked(trace, prompt)
                admission.learn(Author.TEACHER, seen, cached)
                lost.append(1 - cached / seen if seen else 0.0)

    async def go() -> None:
        async with asyncio.TaskGroup() as group:
            for trace in range(traces):
                group.create_task(write(trace))

    asyncio.run(go())
    return admission, lost


@pytest.mark.parametrize(("keeps", "most"), [(6, 32), (20, 32), (1, 4)])
def test_so_many_as_the_server_keeps(keeps: int, most: int) -> None:
    admission, lost = written(keeps, most, turns=200)
    assert admission.room <= keeps
    assert f"there are {admission.room} now" in admission.told
    assert "the teacher's server lost" in admission.told
    assert sum(lost) / len(lost) < 0.4, "all of them lost everything all the time"


def test_a_server_that_has_room_is_left_alone() -> None:
    admission, lost = written(32, 32, turns=100)
    assert (admission.room, admission.told, sum(lost)) == (32, "", 0)


def test_a_server_that_keeps_nothing_gets_all_traces() -> None:
    admission, _ = written(0, 32, turns=200)
    assert admission.room == 32
    assert "keeps no prefixes" in admission.told


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32))
def test_never_more_than_there_are_places_and_none_is_lost(room: int, traces: int, seed: int) -> None:
    """Whatever the number does meanwhile, and whoever is stopped where."""
    draw = random.Random(seed)
    admission = Admission()
    admission.open(room)
    inside, finished = 0, 0

    async def write() -> None:
        nonlocal inside, finished
        async with admission.place():
            for _ in range(draw.randint(1, 6)):
                await admission.turn()
                inside += 1
                try:
                    assert inside <= room
                    await asyncio.sleep(0)
                finally:
                    inside -= 1
                if draw.random() < 0.2:
                    admission._change(draw.randint(1, room))
        finished += 1

    async def go() -> None:
        tasks = [asyncio.create_task(write()) for _ in range(traces)]
        for task in tasks:
            if draw.random() < 0.2:
                await asyncio.sleep(0)
                task.cancel()
        ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 9)
        assert finished == sum(end is None for end in ended)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ended)

    asyncio.run(go())
    assert admission._inside == 0


def test_a_run_has_as_many_in_flight_as_its_server_keeps(tmp_path: Path) -> None:
    """The teacher's server keeps eight of sixteen prefixes, and tells at the end of a reply what was there."""
    server, shape = Server(8), Shape(thinking=6000)

    class Telling(ScriptedEngine):
        async def open(self, parts: Iterable[Part]) -> Sequence:
            sequence = await super().open(parts)
            inner, name = sequence.stream, id(sequence)

            async def stream(*how: Any) -> AsyncIterator[Chunk]:
                cached = server.asked(name, sequence.length)
                async with aclosing(cast(AsyncGenerator[Chunk], inner(*how))) as chunks:
                    async for chunk in chunks:
                        yield chunk._replace(cached=cached) if chunk.finish is not None else chunk

            sequence.stream = stream  # type: ignore[method-assign, assignment]
            return sequence

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = engines(shape, 3)(reference, **how)
        if reference == "teacher":
            engine.__class__ = Telling
        return engine

    run = Run(problems(16), tmp_path, settings(concurrency=16, run_ahead=10), open_engine=open_engine)
    assert {trace.status for trace in run} == {Status.COMPLETE}
    assert "the teacher's server lost" in run.admitted
    with Reader(tmp_path) as reader:
        share = reader.totals()[Author.TEACHER].cached_share
    assert share is not None
    assert share > 0.5, "with all sixteen in flight nothing comes from the cache"


def test_nothing_is_judged_before_each_place_had_two_turns() -> None:
    async def turns(count: int) -> int:
        admission = Admission(4)
        for _ in range(count):
            await admission.turn()
        for _ in range(16):
            admission.learn(Author.TEACHER, 1000, 0)
        return admission.room

    assert [asyncio.run(turns(count)) for count in (7, 8)] == [4, 3]
