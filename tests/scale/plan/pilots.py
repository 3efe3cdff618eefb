"""Run directories of a pair whose law is known: a play of the closed network of stations, written as a record."""

from __future__ import annotations

import asyncio
import heapq
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from antiphon.problem import Problem
from antiphon.store import Session, Store
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status, Turn

VARIANT = "tessy"
EPOCH = 1_700_000_000.0
_ROLES = (Author.STUDENT, Author.TEACHER)


class Law(NamedTuple):
    """A role's servers: a turn takes `alone + more * n` seconds with n traces at its replica."""

    alone: float
    more: float
    replicas: int = 1


@dataclass(frozen=True)
class World:
    """What a pair is like.

    Attributes:
        turns: of each role in a trace, from so many to so many.
        kept: tokens of a turn on average; it takes as long as its tokens do.
        waste: tokens that are thrown away for each streamed turn and trace in flight.
        piece, settles: turns are asked for in pieces of so many tokens, so great a share of them for each trace in
            flight, but for one of sixteen; none unless a piece is given.
        process: seconds that a turn takes of the process, which the play leaves out.
    """

    laws: Mapping[Author, Law] = field(
        default_factory=lambda: {Author.STUDENT: Law(0.02, 0.001), Author.TEACHER: Law(0.05, 0.004)}
    )
    turns: tuple[int, int] = (10, 30)
    kept: int = 20
    waste: float = 0.02
    piece: int = 0
    settles: float = 0.0
    process: float = 0.0002

    def play(self, problems: range, places: int, seed: int = 0) -> Played:
        """A run of these problems; each is what it is in every run."""
        chance = random.Random(seed)
        waiting = list(reversed([_Traveller(self, problem) for problem in problems]))
        here: dict[tuple[Author, int], list[tuple[float, int, _Traveller]]] = {
            (role, replica): [] for role in _ROLES for replica in range(self.laws[role].replicas)
        }
        passed = dict.fromkeys(here, 0.0)  # work that each trace at a replica has had, in turns
        done: list[_Traveller] = []
        now, number = 0.0, 0

        def arrive(traveller: _Traveller) -> None:
            nonlocal number
            role = _ROLES[len(traveller.turns) % 2]
            where = (role, chance.randrange(self.laws[role].replicas))
            number += 1
            traveller.at = now
            kept = traveller.tokens.pop()
            traveller.kept.append(kept)
            heapq.heappush(here[where], (passed[where] + kept / self.kept, number, traveller))

        def pace(where: tuple[Author, int]) -> float:
            law = self.laws[where[0]]
            return 1 / (law.alone + law.more * len(here[where]))

        while waiting and sum(map(len, here.values())) < places:
            arrive(_begun(waiting.pop(), now))
        while any(here.values()):
            ends = {where: (queue[0][0] - passed[where]) / pace(where) for where, queue in here.items() if queue}
            first = min(ends, key=lambda where: ends[where])
            step = ends[first]
            for where in ends:
                passed[where] += step * pace(where)
            now += step
            _, _, traveller = heapq.heappop(here[first])
            traveller.turns.append((first, now - traveller.at))
            if len(traveller.turns) < traveller.length:
                arrive(traveller)
            else:
                traveller.ended = now
                done.append(traveller)
                if waiting:
                    arrive(_begun(waiting.pop(), now))
        return Played(self, places, done, now)


class _Traveller:
    """A trace on its way."""

    def __init__(self, world: World, problem: int):
        chance = random.Random(problem)
        self.problem = problem
        self.length = 2 * chance.randint(*world.turns)
        self.tokens = [chance.randint(world.kept // 2, world.kept * 3 // 2) for _ in range(self.length)]
        self.ways = [chance.random() for _ in range(self.length)]
        self.kept: list[int] = []
        self.turns: list[tuple[tuple[Author, int], float]] = []
        self.began = self.ended = self.at = 0.0


def _begun(traveller: _Traveller, now: float) -> _Traveller:
    traveller.began = now
    return traveller


class Played(NamedTuple):
    """A run that was played."""

    world: World
    places: int
    traces: list[_Traveller]
    seconds: float

    def total(self, role: Author, what: str) -> float:
        """Turns, or tokens kept or written, of a role."""
        return sum(
            {"turns": 1, "kept": kept, "written": self.written(kept, way)[1]}[what]
            for trace in self.traces
            for ((who, _), _), kept, way in zip(trace.turns, trace.kept, trace.ways, strict=True)
            if who is role
        )

    def written(self, kept: int, way: float) -> tuple[int, int]:
        """Tokens that a turn asks for, and that come."""
        world, there = self.world, min(self.places, len(self.traces))
        if world.piece and way < min(15 / 16, world.settles * there):
            return world.piece, world.piece
        return 1 << 14, kept + round(world.waste * there)

    def write(self, directory: Path, *, temperature: float = 0.7, coreless: float = 0.0) -> Path:
        """The run directory that a run would have left."""
        with Store.open(directory) as store:
            asyncio.run(self._record(store, temperature))
            turns = sum(len(trace.turns) for trace in self.traces)
            cpu, without = turns * self.world.process, coreless * self.seconds
            store.add_session(VARIANT, Session(EPOCH, EPOCH + self.seconds, self.places, turns, cpu, without))
        connection = sqlite3.connect(directory / "run.sqlite")
        connection.executemany(
            """UPDATE traces SET started = ?, finished = ?
            WHERE problem = (SELECT number FROM problems WHERE id = ?)""",
            [(EPOCH + trace.began, EPOCH + trace.ended, str(trace.problem)) for trace in self.traces],
        )
        connection.commit()
        connection.close()
        return directory

    async def _record(self, store: Store, temperature: float) -> None:
        store.add_problems(
            Problem(str(t.problem), ({"role": "user", "content": f"{t.problem}?"},)) for t in self.traces
        )
        store.add_variant(VARIANT, {"temperature": temperature}, {role.value: {} for role in _ROLES})
        store.plan([Key(str(trace.problem), VARIANT, 0) for trace in self.traces])
        await asyncio.gather(*(self._trace(store, trace) for trace in self.traces))

    async def _trace(self, store: Store, trace: _Traveller) -> None:
        recorder = store.recorder(Key(str(trace.problem), VARIANT, 0))
        recorder.begin()
        text = "so it goes " * trace.length
        recorder.close_span(0, Span(Author.TEACHER, Kind.THINKING, text, end=SpanEnd.END_OF_TURN))
        for ((role, replica), seconds), kept, way in zip(trace.turns, trace.kept, trace.ways, strict=True):
            asked, received = self.written(kept, way)
            recorder.turn(Turn(role, f"{role}-{replica}", asked, received, kept, 3, True, seconds, prompt=100))
        await recorder.finish(Status.COMPLETE)
