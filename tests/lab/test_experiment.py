"""An experiment from its configuration to its results, with the scripted pair and a trainer that copies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from antiphon.errors import StoreBusy, UsageError
from antiphon.lab.experiment import Means, Unit, opened, require, units
from antiphon.lab.place import Place
from antiphon.lab.processes import Done, performed
from antiphon.lab.results import BASE, Results, read
from antiphon.lab.settings import Experiment, load
from antiphon.store import Reader
from tests.cli.pair import Pair, install
from tests.lab.scripted import Trainer, configuration


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return load(configuration(tmp_path / "asked"))


def run(experiment: Experiment, directory: Path, train: Trainer) -> list[Done]:
    """Does what is missing in this process."""
    require(experiment)
    with opened(experiment, directory):
        missing = [unit for unit in units(experiment) if not unit.is_done(experiment, Place(directory))]
        return list(performed(experiment, directory, missing, Means(train=train), jobs=1))


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path, Trainer, list[Done]]:
    """One that is finished, its trainer, and what was told of it."""
    folder, train = tmp_path_factory.mktemp("finished"), Trainer()
    experiment = load(configuration(folder / "asked"))
    with pytest.MonkeyPatch.context() as patch:
        install(Pair(), patch.setattr)
        return experiment, folder / "lab", train, run(experiment, folder / "lab", train)


@pytest.fixture
def finished(finished_once: tuple[Experiment, Path, Trainer, list[Done]], tmp_path: Path) -> tuple[Experiment, Path]:
    """A copy of it."""
    experiment, directory, _, _ = finished_once
    shutil.copytree(directory, tmp_path / "lab")
    return experiment, tmp_path / "lab"


def names(results: Results) -> set[tuple[str, float | None, int, int]]:
    return {(one.arm, one.rate, one.seed, one.step) for one in results.evaluations}


EXPECTED = {(BASE, None, 0, 0)} | {
    (arm, rate, seed, step)
    for arm, rate in (("teacher_only", 1e-4), ("tessy", 1e-4), ("tessy", 3e-5))
    for seed in (0, 1)
    for step in (2, 4)
}


def test_every_arm_seed_rate_and_point_is_in_the_results(
    finished_once: tuple[Experiment, Path, Trainer, list[Done]],
) -> None:
    _, directory, train, done = finished_once
    assert len(done) == 1 + 2 + 2 * 3 and not any(one.fault for one in done)
    results = read(directory)
    assert names(results) == EXPECTED
    assert {one.family: len(one.problems) for one in results.evaluations} == {"first": 4, "second": 3}
    asked = {(one.family, one.problems) for one in results.evaluations}
    assert len(asked) == 2, "all are evaluated on the same problems"
    trained_on = set()
    for seed in (0, 1):
        with Reader(Place(directory).run(seed)) as reader:
            trained_on |= {problem.id for problem in reader.problems()}
    assert not trained_on & {id for _, ids in asked for id in ids}
    assert {(one.arm, one.seed): one.rows for one in results.data} == {
        (arm, seed): 5 for arm in ("teacher_only", "tessy") for seed in (0, 1)
    }
    assert {(one.arm, one.rate, one.seed, one.family) for one in results.drift} == {
        (arm, rate, seed, family)
        for arm, rate, seed, _ in EXPECTED - {(BASE, None, 0, 0)}
        for family in ("first", "others")
    }
    assert train.asked["tessy-3e-05"].rate == 3e-5
    assert all((directory / one.curve).is_file() for one in results.trainings)
    assert {"write", "data", "train", "evaluate", "drift"} == set(results.stages)


def test_data_say_whose_they_are(finished: tuple[Experiment, Path]) -> None:
    _, directory = finished
    data = {(one.arm, one.seed): one for one in read(directory).data}
    alone, turns = data["teacher_only", 0], data["tessy", 0]
    assert set(alone.shares) == {"teacher style", "teacher capability", "teacher answer"}
    assert set(turns.shares) == {"student style", "teacher capability", "student answer"}
    assert sum(turns.shares.values()) == pytest.approx(1) == sum(alone.shares.values())
    rows = [json.loads(line) for line in Place(directory).data(0, "tessy").read_text().splitlines()]
    assert turns.tokens_trained == sum(label >= 0 for row in rows for label in row["labels"])
    assert turns.right == turns.right_rows == 5 and turns.statuses == {"complete": 5}


def test_nothing_is_done_twice(finished: tuple[Experiment, Path], pair: Pair) -> None:
    experiment, directory = finished
    before, again = read(directory), Trainer()
    assert run(experiment, directory, again) == []
    assert not pair.engines and not again.asked
    assert read(directory).evaluations == before.evaluations


def test_a_record_that_is_gone_is_made_again_from_what_is_there(
    experiment: Experiment, pair: Pair, tmp_path: Path
) -> None:
    run(experiment, tmp_path / "lab", Trainer())
    before, place = read(tmp_path / "lab"), Place(tmp_path / "lab")
    place.student_record(1, "tessy", 1e-4).unlink()
    place.data_record(0, "tessy").unlink()
    asked = sum(engine.requests for engine in pair.engines)
    done = run(experiment, tmp_path / "lab", Trainer())
    assert [(one.unit, one.fault) for one in done] == [
        (Unit("data", 0), ""),
        (Unit("student", 1, "tessy", 1e-4), ""),
    ]
    assert sum(engine.requests for engine in pair.engines) == asked, "traces and answers are taken as they are"
    after = read(tmp_path / "lab")
    assert (after.evaluations, after.data, after.drift) == (before.evaluations, before.data, before.drift)


def test_a_seed_again_from_its_stored_traces(finished: tuple[Experiment, Path], pair: Pair, tmp_path: Path) -> None:
    """As docs/lab.md has it: `seed-N/run` copied into a new directory."""
    experiment, directory = finished
    other = Place(tmp_path / "other")
    shutil.copytree(Place(directory).run(1), other.run(1))
    assert not [
        done.fault
        for done in run(experiment.model_copy(update={"seeds": (1,)}), other.directory, Trainer())
        if done.fault
    ]
    with Reader(Place(directory).run(1)) as before, Reader(other.run(1)) as after:
        assert [(t.key, t.finished) for t in before.traces()] == [(t.key, t.finished) for t in after.traces()]
    known, again = read(directory), read(other.directory)
    for name in ("evaluations", "data", "drift"):
        of_seed = [one for one in getattr(known, name) if one.seed == 1 or getattr(one, "arm", "") == BASE]
        assert list(getattr(again, name)) == of_seed, name
    (tmp_path / "third" / "seed-1" / "data").mkdir(parents=True)
    with pytest.raises(UsageError, match="something else"), opened(experiment, tmp_path / "third"):
        pass


def test_an_arm_that_cannot_be_trained_leaves_the_others(experiment: Experiment, pair: Pair, tmp_path: Path) -> None:
    done = run(experiment, tmp_path / "lab", Trainer("teacher_only"))
    failed = [one for one in done if one.fault]
    assert {one.unit for one in failed} == {Unit("student", seed, "teacher_only", 1e-4) for seed in (0, 1)}
    assert all("no number" in one.fault and one.code == 1 for one in failed)
    assert names(read(tmp_path / "lab")) == {one for one in EXPECTED if one[0] != "teacher_only"}
    assert len(run(experiment, tmp_path / "lab", Trainer())) == 2, "the same command tries those again"
    assert names(read(tmp_path / "lab")) == EXPECTED


def test_seeds_and_arms_may_be_added(pair: Pair, tmp_path: Path) -> None:
    first = load(configuration(tmp_path / "asked", seeds="1", arms='"base", "tessy"'))
    run(first, tmp_path / "lab", Trainer())
    more = load(configuration(tmp_path / "asked", seeds="0", arms='"base", "tessy"'))
    run(more, tmp_path / "lab", Trainer())
    results = read(tmp_path / "lab")
    assert results.config["seeds"] == [1, 0] and len(results.trainings) == 4
    assert run(load(configuration(tmp_path / "asked")), tmp_path / "lab", Trainer())[0].unit == Unit("data", 0)
    assert names(read(tmp_path / "lab")) == EXPECTED


def test_another_experiment_in_its_directory_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    with opened(experiment, tmp_path / "lab"):
        pass
    other = experiment.model_copy(update={"problems": experiment.problems.model_copy(update={"train": 6})})
    with pytest.raises(UsageError, match="differs in problems"), opened(other, tmp_path / "lab"):
        pass
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"), opened(experiment, tmp_path / "full"):
        pass


def test_two_at_once_are_refused(experiment: Experiment, tmp_path: Path) -> None:
    with opened(experiment, tmp_path / "lab"), pytest.raises(StoreBusy), opened(experiment, tmp_path / "lab"):
        pass


def test_what_is_no_experiment_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no experiment in it"):
        read(tmp_path)


def test_a_damaged_record_is_named(finished: tuple[Experiment, Path]) -> None:
    path = Place(finished[1]).student_record(0, "tessy", 1e-4)
    path.write_text('{"evaluations": [{"arm": 1}]}', "utf-8")
    with pytest.raises(UsageError, match="remove it to do it again"):
        read(finished[1])
