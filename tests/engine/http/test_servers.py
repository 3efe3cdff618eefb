"""Several servers of one model, and the slots of one: who goes where, who waits, and who is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from antiphon.dialect import Part
from antiphon.engine.http import servers
from antiphon.engine.http.server import Slots
from antiphon.errors import EngineUnavailable, StreamBroken
from tests.engine.http.kinds import KINDS, StrictLlama, StrictVLLM
from tests.engine.http.strict import END, OPENING, Fault, ids_of
from tests.engine.http.talk import read, served, talking, told

SCRIPT = ids_of("one two three four five")


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_FIRST_WAIT", 0.0)
    monkeypatch.setattr(servers, "_BETWEEN_PROBES", (0.001, 0.001))


async def until(true: Callable[[], bool]) -> None:
    """Waits for what happens in the background."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class TestSeveral:
    """A trace stays with the server that holds its prefix; one that dies is drained to the others and taken back."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_sequences_are_spread_and_stay(self, kind: str) -> None:
        async def go() -> None:
            pair = [KINDS[kind](SCRIPT) for _ in range(2)]
            async with pair[0].serving(), pair[1].serving(), talking(*pair) as engine:
                begun = [len(server.requests) for server in pair]
                prefixes = [await engine.open([Part(OPENING)]) for _ in range(4)]
                homes = [prefix.server for prefix in prefixes]
                assert sorted(homes) == sorted([pair[0].url, pair[1].url] * 2)
                for _ in range(3):
                    for prefix in prefixes:
                        await read(prefix, 1, (END,))
                assert [prefix.server for prefix in prefixes] == homes
                assert [len(server.requests) - n for server, n in zip(pair, begun, strict=True)] == [6, 6]

        run(go)

    def test_a_closed_sequence_makes_room(self) -> None:
        async def go() -> None:
            pair = [StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)]
            async with pair[0].serving(), pair[1].serving(), talking(*pair) as engine:
                first, second, third = [await engine.open([Part(OPENING)]) for _ in range(3)]
                assert third.server == first.server != second.server
                await first.close()
                await first.close()  # a second time changes nothing
                await third.close()
                assert {(await engine.open([Part(OPENING)])).server for _ in range(2)} == {first.server}

        run(go)

    def test_one_that_dies_is_drained_and_taken_back(self) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving(), talking(one, other) as engine:
                prefixes = [await engine.open([Part(OPENING)]) for _ in range(6)]
                got = [(await read(prefix, pieces=2)).ids for prefix in prefixes]
                await one.stop()
                rest = await asyncio.gather(*(read(prefix, stops=(END,)) for prefix in prefixes))
                assert [before + after.ids for before, after in zip(got, rest, strict=True)] == [SCRIPT] * 6
                assert {prefix.server for prefix in prefixes} == {other.url}
                assert (await engine.open([Part(OPENING)])).server == other.url
                await one.start()
                asked = len(one.requests)
                await until(lambda: len(one.requests) > asked)
                await engine.probe()
                assert (await engine.open([Part(OPENING)])).server == one.url

        run(go)

    def test_one_that_dies_in_the_middle_of_a_stream(self) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving(), talking(one, other) as engine:
                one.hold = asyncio.Event()
                prefix = await engine.open([Part(OPENING)])
                one.begun.clear()
                reading = asyncio.ensure_future(read(prefix, stops=(END,)))
                await until(lambda: prefix.length > len(ids_of(OPENING)))
                await one.stop()
                with pytest.raises(StreamBroken):
                    await reading
                had = prefix.length - len(ids_of(OPENING))
                assert (await read(prefix, stops=(END,))).ids == SCRIPT[had:]
                assert prefix.server == other.url

        run(go)

    def test_one_that_only_fails_is_left_after_its_tries(self) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving(), talking(one, other, retries=2) as engine:
                prefix = await engine.open([Part(OPENING)])
                one.faults = lambda number: Fault("status", status=500)
                assert (await read(prefix, stops=(END,))).ids == SCRIPT
                assert prefix.server == other.url

        run(go)

    def test_none_left(self) -> None:
        async def go() -> None:
            pair = [StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)]
            async with pair[0].serving(), pair[1].serving(), talking(*pair) as engine:
                prefix = await engine.open([Part(OPENING)])
                for server in pair:
                    await server.stop()
                with pytest.raises(EngineUnavailable):
                    await read(prefix)
                with pytest.raises(EngineUnavailable, match="does not answer"):
                    await engine.open([Part(OPENING)])
                await pair[1].start()
                await engine.probe()
                assert (await read(prefix, stops=(END,))).ids == SCRIPT
                assert prefix.server == pair[1].url

        run(go)

    def test_one_that_comes_back_with_another_model_is_named_and_left(self) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving(), talking(one, other) as engine:
                prefix = await engine.open([Part(OPENING)])
                assert prefix.server == one.url
                await one.stop()
                await read(prefix, 1)
                one.names = ["teacher"]
                await one.start()
                asked = len(one.headers)
                await until(lambda: len(one.headers) > asked + 2)
                assert {(await engine.open([Part(OPENING)])).server for _ in range(3)} == {other.url}
                await other.stop()
                with pytest.raises(EngineUnavailable):
                    await read(prefix)
                with pytest.raises(EngineUnavailable, match="it serves teacher now, and this run began with student"):
                    await engine.probe()

        run(go)

    def test_a_single_one_that_comes_back_with_another_model(self) -> None:
        async def go() -> None:
            server = StrictVLLM(SCRIPT)
            async with server.serving(), talking(server) as engine:
                prefix = await engine.open([Part(OPENING)])
                await server.stop()
                with pytest.raises(EngineUnavailable):
                    await read(prefix)
                server.names = ["teacher"]
                await server.start()
                with pytest.raises(EngineUnavailable, match="it serves teacher now, and this run began with student"):
                    await engine.probe()

        run(go)

    def test_closing_ends_the_questions_after_the_lost(self) -> None:
        async def go() -> None:
            one, other = StrictVLLM(SCRIPT), StrictVLLM(SCRIPT)
            async with one.serving(), other.serving():
                async with talking(one, other) as engine:
                    prefix = await engine.open([Part(OPENING)])
                    await one.stop()
                    await read(prefix, 1)
                assert asyncio.all_tasks() == {asyncio.current_task()} | {
                    task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)
                }

        run(go)


class TestLlamaSlots:
    """llama.cpp keeps one prefix in each slot: a sequence gets the slot that it had, and never one that is taken."""

    def test_a_sequence_keeps_its_slot(self) -> None:
        async def go() -> None:
            server = StrictLlama(SCRIPT, slots=3)
            async with served(server) as engine:
                prefixes = [await engine.open([Part(OPENING)]) for _ in range(3)]
                server.used.clear()
                for _ in range(3):
                    for prefix in prefixes:
                        await read(prefix, 1, (END,))
                assert server.used[:3] == server.used[3:6] == server.used[6:]
                assert sorted(server.used[:3]) == [0, 1, 2]

        run(go)

    def test_more_sequences_than_slots_wait(self) -> None:
        async def go() -> None:
            server = StrictLlama(SCRIPT, slots=2)
            async with served(server) as engine:
                got = await asyncio.gather(*(told(engine, stops=(END,)) for _ in range(9)))
                assert {tuple(each.ids) for each in got} == {tuple(SCRIPT)}
                assert (server.collisions, server.most) == (0, 2)

        run(go)

    def test_a_reader_who_is_gone_gives_the_slot_back(self) -> None:
        async def go() -> None:
            server = StrictLlama(SCRIPT, slots=1)
            async with served(server) as engine:
                server.hold = asyncio.Event()
                prefixes = [await engine.open([Part(OPENING)]) for _ in range(3)]
                readers = [asyncio.ensure_future(read(prefix, stops=(END,))) for prefix in prefixes]
                await until(lambda: prefixes[0].length > len(ids_of(OPENING)))
                for reader in readers[:2]:  # one that reads, and one that waits
                    reader.cancel()
                server.hold.set()
                assert (await readers[2]).ids == SCRIPT

        run(go)


class SlotMachine(RuleBasedStateMachine):
    """Takes, gives and cancels in any order: no slot is lost, none is had by two."""

    COUNT = 3

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.slots = Slots(self.COUNT)
        self.waiting: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        self.had: dict[asyncio.Task[None], int] = {}

    def settle(self) -> None:
        for _ in range(2 + 2 * len(self.waiting)):  # each may hand its slot on at once
            self.loop.run_until_complete(asyncio.sleep(0))
        self.waiting = [entry for entry in self.waiting if not entry[0].done()]

    @rule(preferred=st.none() | st.integers(0, COUNT - 1))
    def take(self, preferred: int | None) -> None:
        release = asyncio.Event()

        async def hold() -> None:
            task = asyncio.current_task()
            assert task is not None
            free = len(self.had) < self.COUNT
            async with self.slots.one(preferred) as slot:
                assert slot not in self.had.values()
                if free and preferred is not None and preferred not in self.before:
                    assert slot == preferred
                self.had[task] = slot
                try:
                    await release.wait()
                finally:
                    del self.had[task]

        self.before = set(self.had.values())
        self.waiting.append((self.loop.create_task(hold()), release))
        self.settle()

    @rule(data=st.data(), settled=st.booleans())
    def give(self, data: st.DataObject, settled: bool) -> None:
        if self.waiting:
            data.draw(st.sampled_from(self.waiting))[1].set()
            if settled:
                self.settle()

    @rule(data=st.data(), settled=st.booleans())
    def cancel(self, data: st.DataObject, settled: bool) -> None:
        if self.waiting:
            data.draw(st.sampled_from(self.waiting))[0].cancel()
            if settled:
                self.settle()

    @invariant()
    def none_is_idle_while_others_wait(self) -> None:
        self.settle()
        assert len(self.had) == min(self.COUNT, len(self.waiting))

    def teardown(self) -> None:
        for task, release in self.waiting:
            release.set()
            self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        free = (asyncio.wait_for(self.slots._take(None), 5) for _ in range(self.COUNT))
        taken = [self.loop.run_until_complete(one) for one in free]
        self.loop.close()
        assert sorted(taken) == list(range(self.COUNT))


def test_slots_are_never_lost_nor_shared() -> None:
    run_state_machine_as_test(SlotMachine)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_whoever_waits_longest_comes_first(order: list[int]) -> None:
    async def go() -> None:
        slots = Slots(2)
        came: list[int] = []

        async def one(number: int) -> None:
            async with slots.one(order[number] % 2):
                came.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*map(one, range(len(order))))
        assert came == sorted(came)

    run(go)
