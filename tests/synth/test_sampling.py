"""Which sample is written next, whatever the order in which traces end, and wherever the run is cut off."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.problem import Problem
from antiphon.store import Reader, Standing, Store
from antiphon.synth.sampling import Todo, UntilRight
from antiphon.synth.tally import Tally
from antiphon.trace import Key, Kind, Label, Status, Verdict
from tests.store.records import VARIANT, finished, keys, planned, problem, span

RIGHT, WRONG, CANNOT, SHORT = "right", "wrong", "cannot_judge", "too_long"

Story = dict[str, list[str]]
"""What the samples of each problem come to."""


class Session:
    """One session's workers: as many traces under way as may be, ended in any order until it is cut off."""

    def __init__(self, directory: Path, story: Story, wanted: int, most: int, chance: random.Random, steps: float):
        self._directory, self._story, self._wanted, self._most = directory, story, wanted, most
        self._chance, self._steps = chance, steps
        self._under_way: dict[Key, Status | None] = {}
        self.tally = Tally()
        self.done: list[Key] = []

    async def check(self, problem: Problem, answer: str) -> Verdict:
        id, _, sample = answer.split("/")
        assert problem.id == id
        return Verdict("v", "1", Label(self._story[id][int(sample)]))

    async def work(self) -> bool:
        """Whether all was done."""
        with Store.open(self._directory) as store, Reader(self._directory) as reader:
            store.add_problems(problem(id) for id in self._story)
            store.add_variant(VARIANT, {"method": VARIANT}, {})
            sampling = UntilRight(
                store,
                reader,
                self.tally,
                {id: problem(id) for id in self._story},
                VARIANT,
                (),
                wanted=self._wanted,
                most=self._most,
                check=self.check,
            )
            self.done = list(sampling.done)
            while await self._take(sampling):
                if self._steps <= 0:
                    return False
                self._steps -= 1
                await self._end_one(store, sampling)
            return True

    async def _take(self, sampling: UntilRight) -> bool:
        """Takes all that can be had now; whether anything is under way."""
        while True:
            asking = asyncio.create_task(sampling.next())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not asking.done():
                asking.cancel()
                assert self._under_way
                return True
            todo = asking.result()
            if todo is None:
                return bool(self._under_way)
            self._under_way[todo.key] = todo.status
            assert len(self._under_way) <= sampling.at_once

    async def _end_one(self, store: Store, sampling: UntilRight) -> None:
        key = self._chance.choice(sorted(self._under_way))
        status = self._under_way[key]
        if status is None:
            status = Status.TOO_LONG if self._story[key.problem][key.sample] == SHORT else Status.COMPLETE
            recorder = store.recorder(key)
            recorder.close_span(0, span(str(key), kind=Kind.ANSWER))
            await recorder.finish(status)
            if self._steps <= 0 and self._chance.random() < 0.5:
                return  # cut off between the trace's end and its verdict
        del self._under_way[key]
        await sampling.finished(key, status)


def standings(directory: Path) -> dict[str, list[Standing]]:
    with Reader(directory) as reader:
        return {them[0].key.problem: them for them in reader.standings()}


def needed(story: list[str], wanted: int, most: int) -> int:
    """The fewest samples, from the first, of which `wanted` are right."""
    right = 0
    for number, what in enumerate(story[:most]):
        if right == wanted:
            return number
        right += what == RIGHT
    return most


stories = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.sampled_from([RIGHT, WRONG, SHORT]), min_size=6, max_size=6), min_size=1
)


@given(
    story=stories,
    wanted=st.integers(1, 3),
    more=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 4), max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_exactly_what_is_needed_is_written(story: Story, wanted: int, more: int, cuts: list[int], seed: int) -> None:
    """In whatever order traces end, and wherever sessions are cut off."""
    most, chance = wanted + more, random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for steps in [*map(float, cuts), float("inf")]:
            session = Session(directory, story, wanted, most, chance, steps)
            over = asyncio.run(session.work())
        assert over
        found = standings(directory)
        for id, outcomes in story.items():
            count = needed(outcomes, wanted, most)
            assert [standing.key.sample for standing in found[id]] == list(range(count))
            for standing, outcome in zip(found[id], outcomes, strict=False):
                assert standing.status is (Status.TOO_LONG if outcome == SHORT else Status.COMPLETE)
                assert [verdict.label for verdict in standing.verdicts] == ([] if outcome == SHORT else [outcome])
        aim = session.tally.aim
        assert aim is not None and (aim.problems, aim.settled) == (len(story), len(story))
        assert aim.reached == sum(outcomes[:most].count(RIGHT) >= wanted for outcomes in story.values())
        again = Session(directory, story, wanted, most, chance, float("inf"))
        assert asyncio.run(again.work())
        assert (again.tally.planned, again.tally.labels.total()) == (0, 0)
        assert sorted(again.done) == sorted(s.key for them in found.values() for s in them)


def whole(directory: Path, story: Story, wanted: int, most: int) -> Tally:
    session = Session(directory, story, wanted, most, random.Random(1), float("inf"))
    assert asyncio.run(session.work())
    return session.tally


def test_a_problem_whose_answers_cannot_be_judged_gets_no_more(tmp_path: Path) -> None:
    story = {"a": [CANNOT, RIGHT, RIGHT], "b": [WRONG, RIGHT, WRONG]}
    tally = whole(tmp_path, story, 1, 3)
    assert {id: len(them) for id, them in standings(tmp_path).items()} == {"a": 1, "b": 2}
    assert tally.aim is not None and (tally.aim.settled, tally.aim.reached) == (2, 1)
    assert tally.labels == {Label.CANNOT_JUDGE: 1, Label.WRONG: 1, Label.RIGHT: 1}
    mended = whole(tmp_path, {"a": [WRONG, RIGHT, RIGHT], "b": story["b"]}, 1, 3)
    assert (mended.planned, mended.labels) == (1, {Label.WRONG: 1, Label.RIGHT: 1})
    assert {id: len(them) for id, them in standings(tmp_path).items()} == {"a": 2, "b": 2}


def test_traces_that_are_there_count_and_are_judged_first(tmp_path: Path) -> None:
    """A run of four samples that nobody judged, one of them unfinished."""
    with Store.open(tmp_path) as store:
        planned(store, keys("p", samples=4))

    async def write(store: Store) -> None:
        for key in keys("p", samples=3):
            recorder = store.recorder(key)
            recorder.close_span(0, span(str(key), kind=Kind.ANSWER))
            await recorder.finish(Status.COMPLETE)

    with Store.open(tmp_path) as store:
        asyncio.run(write(store))
    tally = whole(tmp_path, {"p": [WRONG, RIGHT, WRONG, RIGHT, RIGHT]}, 2, 5)
    assert tally.labels == {Label.WRONG: 2, Label.RIGHT: 2}
    assert (tally.before, tally.planned) == (3, 1)
    assert [standing.status for standing in standings(tmp_path)["p"]] == [Status.COMPLETE] * 4


def test_failed_traces_are_tries_too(tmp_path: Path) -> None:
    finished(tmp_path, *keys("p", samples=2), status=Status.FAILED)
    whole(tmp_path, {"p": [WRONG, WRONG, WRONG, RIGHT]}, 1, 3)
    assert [standing.status for standing in standings(tmp_path)["p"]] == [Status.FAILED, Status.FAILED, Status.COMPLETE]


async def never(problem: Problem, answer: str) -> Verdict:
    raise AssertionError("there is nothing to judge")


def test_stopped_it_gives_nothing_more_and_lets_nobody_wait(tmp_path: Path) -> None:
    async def work() -> list[Todo | None]:
        with Store.open(tmp_path) as store, Reader(tmp_path) as reader:
            store.add_problems([problem("p")])
            store.add_variant(VARIANT, {"method": VARIANT}, {})
            problems = {"p": problem("p")}
            sampling = UntilRight(store, reader, Tally(), problems, VARIANT, (), wanted=1, most=2, check=never)
            first = await sampling.next()
            waiting = [asyncio.create_task(sampling.next()) for _ in range(3)]
            await asyncio.sleep(0)
            await sampling.stop()
            return [first, *await asyncio.gather(*waiting)]

    assert asyncio.run(work()) == [Todo(Key("p", VARIANT, 0)), None, None, None]
