"""`antiphon lab run`, with the scripted pair and a trainer that copies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon.lab.results import read
from tests.cli.conftest import Command
from tests.cli.pair import Pair
from tests.lab.scripted import Trainer, configuration


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """In the place of `antiphon.train`."""
    trainer = Trainer()
    monkeypatch.setattr("antiphon.train.sft.train", trainer)
    monkeypatch.setattr("antiphon.train.sft.require_libraries", lambda recipe: None)
    return trainer


def test_a_configuration_is_run_to_its_report(command: Command, pair: Pair, train: Trainer, tmp_path: Path) -> None:
    config, to = configuration(tmp_path / "asked", seeds="0"), tmp_path / "lab"
    shown = command("lab", "run", "--config", config, "--to", to)
    assert shown.code == 0, shown.err
    heading, *table, last = shown.out.splitlines()
    assert heading.split()[5:] == ["0", "2", "4", "others"]
    assert table[0].index("75.0%") + 4 == heading.index(" 0 ") + 1, "the base has taken no step"
    lines = [line.split()[:3] for line in table]
    assert lines == [
        ["base", "1", "75.0%"],
        ["teacher_only", "0.0001", "1"],
        ["tessy", "0.0001", "1"],
        ["tessy", "3e-05", "1"],
    ]
    assert "5 of 5, after" in shown.err and last == f"{to}/report.md: the report"
    assert "(traces.html)" in (to / "report.md").read_text("utf-8")
    traces = (to / "traces.html").read_text("utf-8")
    assert "teacher_only" in traces and "tessy" in traces
    assert set(train.asked) == {"teacher_only-0.0001", "tessy-0.0001", "tessy-3e-05"}
    told = command("lab", "run", "--config", config, "--to", to, "--json").json
    assert told["exit_code"] == 0 and [row["arm"] for row in told["arms"]] == [line[0] for line in lines]
    assert told["arms"][0]["target"] == {"0": 0.75} and set(told["arms"][1]["target"]) == {"2", "4"}
    assert len(train.asked) == 3 and command("lab", "run", "--to", to, "--report-only").code == 0


def test_arms_and_seeds_may_be_chosen(command: Command, pair: Pair, train: Trainer, tmp_path: Path) -> None:
    config = configuration(tmp_path / "asked")
    done = command("lab", "run", "--config", config, "--to", tmp_path / "lab", "--arms", "tessy", "--seeds", "7")
    assert done.code == 0, done.err
    assert {(one.arm, one.seed) for one in read(tmp_path / "lab").trainings} == {("tessy", 7)}


def test_experiments_stand_side_by_side(command: Command, pair: Pair, train: Trainer, tmp_path: Path) -> None:
    config, one, other = configuration(tmp_path / "asked", seeds="0"), tmp_path / "one", tmp_path / "other"
    assert command("lab", "run", "--config", config, "--to", one, "--arms", "base").code == 0
    assert command("lab", "run", "--config", config, "--to", other, "--arms", "tessy").code == 0
    shown = command("lab", "compare", one, other)
    assert shown.code == 0, shown.err
    cells = [[cell.strip() for cell in row.split("|")] for row in shown.out.split("\n") if row]
    rows = {name: told for _, name, *told, _ in cells}
    assert rows[""] == [str(one), str(other)] and rows["base, target"] == ["75.0%", "75.0%"]
    assert rows["tessy, target, at the end"][0] == "-" != rows["tessy, target, at the end"][1]
    told = command("lab", "compare", one, "--json").json
    assert [row["arm"] for row in told["experiments"][str(one)]["arms"]] == ["base"]
    refused = command("lab", "compare", one, tmp_path)
    assert refused.code == 2 and f"{tmp_path}: there is no experiment in it" in refused.err


def test_what_failed_is_named_and_the_rest_is_there(
    command: Command, pair: Pair, train: Trainer, tmp_path: Path
) -> None:
    train.unfit = ("tessy",)
    config = configuration(tmp_path / "asked", seeds="0")
    shown = command("lab", "run", "--config", config, "--to", tmp_path / "lab", "--json")
    assert shown.code == 1 and "seed 0: tessy at 0.0001: the loss is no number" in shown.err
    assert [one["unit"] for one in shown.json["failed"]] == ["seed 0: tessy at 0.0001", "seed 0: tessy at 3e-05"]
    assert [row["arm"] for row in shown.json["arms"]] == ["base", "teacher_only"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--arms", "tessie"), "no arm 'tessie'"),
        (("--seeds", "one"), "list of numbers"),
        (("--config", "nowhere.toml"), "cannot be read"),
        (("--pair", "nowhere"), "no teacher in it"),
        (("--quick", "--config", "x.toml"), "--quick and --pair"),
        (("--report-only",), "no experiment in it"),
    ],
)
def test_wrong_use(command: Command, flags: tuple[str, ...], told: str, tmp_path: Path) -> None:
    refused = command("lab", "run", "--to", tmp_path / "lab", *flags)
    assert refused.code == 2 and told in " ".join(refused.err.split())
    assert not (tmp_path / "lab").exists()


def test_there_is_no_report_of_an_experiment_of_which_nothing_is_done(command: Command, tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"name": "one", "config": {}}))
    refused = command("lab", "run", "--to", tmp_path, "--report-only")
    assert refused.code == 2 and f"{tmp_path}: nothing to report, no piece of the experiment is done" in refused.err
    assert not (tmp_path / "report.md").exists()


def test_another_experiments_folder(command: Command, pair: Pair, train: Trainer, tmp_path: Path) -> None:
    config = configuration(tmp_path / "asked", seeds="0", arms='"base"')
    assert command("lab", "run", "--config", config, "--to", tmp_path / "lab").code == 0
    config.write_text(config.read_text("utf-8").replace("target = 4", "target = 3"), "utf-8")
    refused = command("lab", "run", "--config", config, "--to", tmp_path / "lab")
    assert refused.code == 2 and "differs in problems" in refused.err
    assert json.loads((tmp_path / "lab" / "experiment.json").read_text())["config"]["problems"]["target"] == 4
