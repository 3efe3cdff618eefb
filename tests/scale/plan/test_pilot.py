"""What is read of a pilot, and what is refused."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from antiphon.errors import StoreUnfit, UsageError
from antiphon.problem import Problem
from antiphon.scale.merge import merge
from antiphon.scale.plan import pool, read
from antiphon.store import Reader, Store
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status
from tests.scale.plan.pilots import VARIANT, Law, World

WORLD = World()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WORLD.play(range(24), 4).write(tmp_path_factory.mktemp("pilots") / "small")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WORLD.play(range(24), 16).write(tmp_path_factory.mktemp("pilots") / "large")


def test_a_pilot_is_what_was_played(small: Path) -> None:
    told, truth = read(small), WORLD.play(range(24), 4)
    for role in Author.STUDENT, Author.TEACHER:
        column = told.roles[role]
        assert column.turns.sum() == truth.total(role, "turns")
        assert column.kept.sum() == truth.total(role, "kept")
        assert column.received.sum() == truth.total(role, "written")
    assert told.places == 4
    assert told.in_flight == pytest.approx(3.9, abs=0.2)
    assert told.moments[-1] - told.moments[0] + told.start == pytest.approx(truth.seconds, rel=1e-6)
    assert told.processing == pytest.approx(WORLD.process / WORLD.kept, rel=0.05)
    assert told.complete.sum() == 24
    assert told.database.sum() == (small / "run.sqlite").stat().st_size


def test_the_law_is_found_again(small: Path, large: Path) -> None:
    given = pool([read(large), read(small)])  # in any order
    student, teacher, process = given.stations(np.ones(48))
    for station, law in ((student, WORLD.laws[Author.STUDENT]), (teacher, WORLD.laws[Author.TEACHER])):
        assert station.more == pytest.approx(law.more / WORLD.kept, rel=0.2)
        assert station.alone == pytest.approx(law.alone / WORLD.kept, rel=0.2)
    assert process.capacity == pytest.approx(WORLD.kept / WORLD.process, rel=0.05)


def test_several_replicas_are_told_apart(tmp_path: Path) -> None:
    world = World({Author.STUDENT: Law(0.02, 0.001), Author.TEACHER: Law(0.05, 0.008, replicas=2)})
    pilots = [read(world.play(range(48), n).write(tmp_path / str(n))) for n in (4, 24)]
    assert pilots[0].replicas == {"student": 1, "teacher": 2, "process": 1}
    _, teacher, _ = pool(pilots).stations(np.ones(96))
    assert teacher.replicas == 2
    assert teacher.more == pytest.approx(0.008 / world.kept, rel=0.25)


def test_servers_of_both_roles_are_one_station(tmp_path: Path) -> None:
    directory = WORLD.play(range(6), 2).write(tmp_path / "run")
    with sqlite3.connect(directory / "run.sqlite") as connection:
        connection.execute("UPDATE turns SET server = 'one'")
    connection.close()
    assert list(read(directory).waits) == ["teacher and student", "process"]


def test_traces_that_were_taken_up_are_not_timed(tmp_path: Path) -> None:
    directory = WORLD.play(range(12), 4).write(tmp_path / "run")
    with sqlite3.connect(directory / "run.sqlite") as connection:
        connection.execute("UPDATE traces SET started = started - 1000 WHERE number = 1")
    connection.close()
    told = read(directory)
    assert np.isnan(told.spans[0]).sum() == 1
    assert told.waits["teacher"].kept[0] == 0
    assert told.roles[Author.TEACHER].turns[0] > 0  # what it took is known all the same
    assert np.isfinite(pool([told, read(WORLD.play(range(12), 12).write(tmp_path / "other"))]).lengths).all()


def test_most_of_them_taken_up(tmp_path: Path) -> None:
    directory = WORLD.play(range(6), 2).write(tmp_path / "run")
    with sqlite3.connect(directory / "run.sqlite") as connection:
        connection.execute("UPDATE traces SET started = started - 1000")
    connection.close()
    with pytest.raises(UsageError, match=r"most traces were stopped and taken up again.*in one go"):
        read(directory)


# -- what is refused


def test_one_concurrency_only(small: Path) -> None:
    with pytest.raises(UsageError, match="two concurrencies are needed, and there were 4 traces in flight"):
        pool([read(small)])
    with pytest.raises(UsageError, match="4 and 4 traces in flight"):
        pool([read(small), read(small)])


def test_pilots_of_different_configurations(small: Path, tmp_path: Path) -> None:
    other = WORLD.play(range(24), 16).write(tmp_path / "warm", temperature=1.0)
    with pytest.raises(UsageError, match=f"{small} and {other} were written by different configurations"):
        pool([read(small), read(other)])


def test_no_pilot_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreUnfit, match="is not a run directory"):
        read(tmp_path)


def test_an_empty_pilot(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add_problems([Problem("p", ({"role": "user", "content": "?"},))])
    with pytest.raises(UsageError, match="holds no traces"):
        read(tmp_path)
    with Store.open(tmp_path) as store:
        store.add_variant(VARIANT, {}, {})
    with pytest.raises(UsageError, match=f"holds no traces of {VARIANT}; write a pilot"):
        read(tmp_path)


def test_an_unfinished_pilot(tmp_path: Path) -> None:
    directory = WORLD.play(range(6), 2).write(tmp_path / "run")
    with Store.open(directory) as store:
        store.add_problems([Problem("late", ({"role": "user", "content": "?"},))])
        store.plan([Key("late", VARIANT, 0)])
    with pytest.raises(UsageError, match="1 of 7 traces not finished, and those are the longest"):
        read(directory)


def test_no_turn_is_recorded(tmp_path: Path) -> None:
    async def imported(store: Store) -> None:
        recorder = store.recorder(Key("p", VARIANT, 0))
        recorder.begin()
        recorder.close_span(0, Span(Author.UNKNOWN, Kind.THINKING, "so", end=SpanEnd.END_OF_TURN))
        await recorder.finish(Status.COMPLETE)

    with Store.open(tmp_path) as store:
        store.add_problems([Problem("p", ({"role": "user", "content": "?"},))])
        store.add_variant(VARIANT, {}, {})
        store.plan([Key("p", VARIANT, 0)])
        asyncio.run(imported(store))
    with pytest.raises(UsageError, match="no turn is recorded"):
        read(tmp_path)


def test_several_variants(tmp_path: Path) -> None:
    directory = WORLD.play(range(6), 2).write(tmp_path / "run")
    with Store.open(directory) as store:
        store.add_variant("other", {}, {})
    with pytest.raises(UsageError, match=f"variants {VARIANT}, other; say which"):
        read(directory)
    with pytest.raises(UsageError, match="no variant third"):
        read(directory, "third")
    assert len(read(directory, VARIANT).problems) == 6


def test_shards_that_were_written_at_once(tmp_path: Path) -> None:
    shards = [WORLD.play(problems, 2).write(tmp_path / str(problems.start)) for problems in (range(6), range(6, 12))]
    merge(shards, tmp_path / "whole")
    with pytest.raises(UsageError, match="several processes wrote it at once"):
        read(tmp_path / "whole")
    with Reader(shards[1]) as reader:
        (session,) = reader.sessions(VARIANT)
    with sqlite3.connect(tmp_path / "whole" / "run.sqlite") as connection:  # as if one had waited for the other
        later = session.ended - session.began
        connection.execute("UPDATE sessions SET began = began + ?, ended = ended + ? WHERE number = 2", (later, later))
    connection.close()
    assert len(read(tmp_path / "whole").problems) == 12


def test_a_pilot_made_of_other_traces(tmp_path: Path) -> None:
    directory = WORLD.play(range(6), 2).write(tmp_path / "run")
    with Store.open(directory) as store:
        store.set_made_from(Key("1", VARIANT, 0), [Key("2", VARIANT, 0)])
    with pytest.raises(UsageError, match="are made of other traces"):
        read(directory)
