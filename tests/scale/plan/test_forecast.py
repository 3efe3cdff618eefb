"""Forecasts, beside runs whose law is known."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.scale.plan import Estimate, Forecast, Pool, Question, forecast, pool, read
from antiphon.synth.spend import Prices
from antiphon.trace import Author
from tests.scale.plan.pilots import Law, World

STUDENT, TEACHER = Author.STUDENT, Author.TEACHER
WORLDS = {
    "the teacher limits": World(),
    "the student limits": World({STUDENT: Law(0.03, 0.006), TEACHER: Law(0.1, 0.001)}),
    "no limit is near": World({STUDENT: Law(0.5, 0.001), TEACHER: Law(0.8, 0.001)}, waste=0.0),
    "turns are asked for in pieces as streams get dear": World(waste=0.3, piece=32, settles=0.01),
}
PILOT, SMALL, LARGE = range(96), 6, 40
RUN, PLACES = range(400), 120
DRAWS = 150


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pool]:
    folder = tmp_path_factory.mktemp("pilots")
    return {
        name: pool([read(world.play(PILOT, n).write(folder / f"{name}-{n}")) for n in (SMALL, LARGE)])
        for name, world in WORLDS.items()
    }


def asked(given: Pool, problems: int = len(RUN), **more: object) -> Forecast:
    question = Question(problems, **{"concurrency": PLACES, **more})  # type: ignore[arg-type]
    return forecast(given, question, draws=DRAWS)


def close(estimate: Estimate, truth: float, within: float) -> bool:
    """Whether the truth is inside, the middle near it, and the interval no wider than 25% to each side."""
    narrow = estimate.high - estimate.low <= 0.5 * estimate.value
    return estimate.low <= truth <= estimate.high and abs(estimate.value / truth - 1) <= within and narrow


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_takes_what_was_forecast(pools: Mapping[str, Pool], name: str) -> None:
    made, truth = asked(pools[name]), WORLDS[name].play(RUN, PLACES, seed=1)
    assert close(made.seconds, truth.seconds, within=0.1), (made.seconds, truth.seconds)
    for role in (STUDENT, TEACHER):
        told = made.roles[role]
        assert close(told.turns, truth.total(role, "turns"), within=0.1)
        assert close(told.requests, truth.total(role, "turns"), within=0.1)
        assert close(told.kept, truth.total(role, "kept"), within=0.1)
        assert close(told.written, truth.total(role, "written"), within=0.15)
    limit = {"the teacher limits": "teacher", "the student limits": "student"}.get(name)
    assert limit is None or made.bottleneck == limit


def test_intervals_hold_what_happens_with_other_problems(tmp_path: Path) -> None:
    """Nine times of ten at least, over pilots and runs of different problems, for time and for tokens."""
    world = World(turns=(5, 25))
    held: list[bool] = []
    for number in range(6):
        begin = 10_000 * number
        pilots = [
            read(world.play(range(begin, begin + 64), n, seed=n).write(tmp_path / f"{number}-{n}")) for n in (4, 32)
        ]
        made = forecast(pool(pilots), Question(256, concurrency=64), draws=DRAWS, seed=number)
        truth = world.play(range(begin + 500, begin + 756), 64, seed=number)
        held += [_inside(made.seconds, truth.seconds)]
        held += [_inside(made.roles[role].kept, truth.total(role, "kept")) for role in (STUDENT, TEACHER)]
    assert sum(held) >= 0.9 * len(held), held


def _inside(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def test_how_a_run_will_ask_is_not_known_where_it_chooses(pools: Mapping[str, Pool]) -> None:
    """Requests a turn: none knows them to the last where turns are asked for in two ways; one way leaves no doubt."""
    for name, made in ((name, asked(given)) for name, given in pools.items()):
        for told in (made.roles[STUDENT], made.roles[TEACHER]):
            if WORLDS[name].piece:
                assert told.requests.high / told.turns.high > 1.02
            else:
                assert told.requests == told.turns


def test_more_replicas_do_what_they_do(pools: Mapping[str, Pool]) -> None:
    laws = WORLDS["the teacher limits"].laws
    grown = World({**laws, TEACHER: laws[TEACHER]._replace(replicas=2)})
    made = asked(pools["the teacher limits"], replicas={TEACHER: 2})
    assert close(made.seconds, grown.play(RUN, PLACES).seconds, within=0.15)
    assert made.roles[TEACHER].replicas == 2


def test_the_balance_is_that_of_the_capacities(pools: Mapping[str, Pool]) -> None:
    balance = asked(pools["the teacher limits"]).balance
    assert balance is not None
    assert balance.low <= 0.001 / 0.004 <= balance.high


def test_what_if(pools: Mapping[str, Pool]) -> None:
    given = pools["the teacher limits"]
    base = asked(given)
    assert asked(given, samples=3).seconds.value == pytest.approx(3 * base.seconds.value, rel=0.15)
    longer = asked(given, longer=2.0)
    assert longer.roles[TEACHER].kept.value == pytest.approx(2 * base.roles[TEACHER].kept.value, rel=0.02)
    assert longer.roles[TEACHER].prompt.value == pytest.approx(4 * base.roles[TEACHER].prompt.value, rel=0.02)
    assert longer.seconds.value == pytest.approx(2 * base.seconds.value, rel=0.05)
    assert asked(given, concurrency=6).seconds.value > 1.5 * base.seconds.value
    assert asked(given, concurrency=5_000, problems=10).concurrency == 10
    many = asked(given, problems=1_000_000)
    assert many.seconds.value == pytest.approx(base.seconds.value * 1_000_000 / len(RUN), rel=0.15)
    assert many.database.value == pytest.approx(base.database.value * 1_000_000 / len(RUN), rel=0.02)


def test_this_process_may_be_the_limit(tmp_path: Path) -> None:
    slow = World({STUDENT: Law(0.02, 1e-5), TEACHER: Law(0.05, 1e-5)}, process=0.002)
    given = pool([read(slow.play(range(32), n).write(tmp_path / str(n))) for n in (2, 8)])
    made = asked(given)
    assert made.bottleneck == "process"
    assert made.stations["process"].busy.value == pytest.approx(1, abs=0.01)
    assert made.seconds.value >= 0.9 * sum(each.turns.value for each in made.roles.values()) * 0.002
    assert asked(given, shards=4).seconds.value < 0.5 * made.seconds.value
    assert asked(given, replicas={TEACHER: 8}).seconds.value == pytest.approx(made.seconds.value, rel=0.05)


def test_money(pools: Mapping[str, Pool]) -> None:
    given = pools["the teacher limits"]
    assert asked(given).cost is None
    hours = asked(given, gpu_hour=2.0, gpus={TEACHER: 8})
    assert hours.cost is not None
    assert hours.roles[TEACHER].gpu_hours.value == pytest.approx(8 * hours.seconds.value / 3600)
    assert hours.cost.value == pytest.approx(9 * 2.0 * hours.seconds.value / 3600)
    mixed = asked(given, gpu_hour=2.0, prices={TEACHER: Prices(1.0, 1.0, 5.0)})
    teacher = mixed.roles[TEACHER]
    assert teacher.cost is not None
    assert teacher.cost.value == pytest.approx(
        (teacher.prompt.value * 1.0 + teacher.written.value * 5.0) / 1e6, rel=0.02
    )
    assert mixed.cost is not None
    assert mixed.cost.value == pytest.approx(teacher.cost.value + 2.0 * mixed.seconds.value / 3600, rel=0.02)


def test_what_lies_far_beyond_the_pilots_is_said(pools: Mapping[str, Pool]) -> None:
    given = pools["the teacher limits"]
    assert not asked(given, concurrency=60).notes  # 96 problems, 1,900 turns of each
    assert any("the pilots had" in note for note in asked(given, problems=5_000, concurrency=2_000).notes)
    assert any("nothing is busy" in note for note in asked(pools["no limit is near"], concurrency=10).notes)


def test_a_role_that_takes_no_turns(pools: Mapping[str, Pool]) -> None:
    with pytest.raises(UsageError, match="no turns of the unknown"):
        asked(pools["the teacher limits"], replicas={Author.UNKNOWN: 2})


def test_equal_seeds_give_equal_forecasts(pools: Mapping[str, Pool]) -> None:
    given = pools["the teacher limits"]
    assert asked(given) == asked(given)


def test_pilots_that_are_small(tmp_path: Path) -> None:
    few = pool([read(World().play(range(10), n).write(tmp_path / str(n))) for n in (2, 8)])
    notes = asked(few).notes
    assert any("the pilots have 10 problems" in note for note in notes)
    assert any("turns of the student: requests a turn may still change" in note for note in notes)


def test_a_pilot_that_had_no_core_of_its_own(tmp_path: Path) -> None:
    world = World()
    pilots = [
        read(world.play(range(64), n).write(tmp_path / str(n), coreless=coreless))
        for n, coreless in ((4, 0.1), (24, 0.6))
    ]
    (note,) = [note for note in asked(pool(pilots)).notes if "waited for a core" in note]
    assert note.startswith(f"in {tmp_path / '24'} this process waited for a core for 60% of the time")


def test_pilots_of_an_older_version_do_not_tell_of_the_process(tmp_path: Path) -> None:
    directories = [World().play(range(64), n).write(tmp_path / str(n)) for n in (4, 24)]
    for directory in directories:
        with sqlite3.connect(directory / "run.sqlite") as connection:
            connection.execute("DELETE FROM sessions")
        connection.close()
    made = asked(pool([read(directory) for directory in directories]))
    assert any("do not tell what this process took" in note for note in made.notes)
    assert made.bottleneck == "teacher"
