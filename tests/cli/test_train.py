"""`antiphon train`: from a run to a trained student, what is said before, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli import counting
from antiphon.errors import AntiphonError, StoreFull
from antiphon.train import sft
from antiphon.train.tell import Progress, Trained
from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("one_thread")

LAB = ("--student", "lab:student", "--preset", "lab", "--batch", "2")


@pytest.fixture
def data(command: Command, finished: Path, tmp_path: Path) -> Path:
    """Three traces in turns, as ids of the embedded student."""
    path = tmp_path / "train.jsonl"
    done = command("export", finished, "--format", "tokens", "--student", "lab:student", "--to", path)
    assert done.code == 0, done.err
    return path


def test_from_a_run_to_a_student(command: Command, data: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", data, "--to", tmp_path / "to", *LAB, "--steps", 2)
    done = command(*arguments)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    made = [json.loads(line) for line in data.read_text().splitlines()]
    tokens, longest = sum(len(row["input_ids"]) for row in made), max(len(row["input_ids"]) for row in made)
    learned = sum(sum(row["assistant_masks"]) for row in made)
    assert lines[0] == (
        f"{data}: 3 rows, {tokens} tokens, {learned} of them learned (loss all); the longest row has {longest}"
    )
    assert "[[<think>" in done.out
    assert "2 steps of 2 rows, 2 to an epoch" in lines
    assert lines[-1].startswith(f"{tmp_path / 'to' / 'model'}: the trained student; its curve: ")
    again = command(*arguments, "--json")
    assert again.code == 0
    assert again.json == {
        "model": str(tmp_path / "to" / "model"),
        "checkpoints": {"2": str(tmp_path / "to" / "model")},
        "curve": str(tmp_path / "to" / "curve.json"),
        "exit_code": 0,
    }
    other = command(*arguments, "--rate", "0.5")
    assert other.code == 2
    assert "a training was begun there with recipe.rate 0.0001, now 0.5; name another folder" in other.err


def test_a_dry_run_tells_and_writes_nothing(command: Command, data: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", data, *LAB, "--dry-run", "--loss", "style_down", "--style-weight", 0.25)
    done = command(*arguments)
    assert done.code == 0, done.err
    assert "in [0.25: ] with that weight" in done.out
    told = command(*arguments, "--json", "--lora", 4).json
    assert told["count"]["rows"] == 3
    assert told["recipe"]["lora"] == {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": []}
    assert 0 < told["memory"]["trained"] < told["memory"]["parameters"] / 4
    tight = command(*arguments, "--memory", 0.01)
    assert tight.code == 2
    assert "GiB of" in tight.out
    assert "What helps:" in tight.err
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["run"]


def test_a_file_of_settings_and_flags_that_win(command: Command, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "sft.toml"
    file.write_text('preset = "lab"\nrate = 0.1\nsteps = 7\nwarmup = 0.5\n[lora]\nrank = 2\n')
    arguments = ("train", "--data", data, "--student", "lab:student", "--config", file, "--dry-run", "--json")
    found = command(*arguments, "--steps", 9, "--set", "warmup=0.25", "--set", "lora.dropout=0.5").json["recipe"]
    assert (found["rate"], found["steps"], found["warmup"]) == (0.1, 9, 0.25)
    file.write_text("speed = 1\n")
    wrong = command(*arguments)
    assert wrong.code == 2
    assert f"{file}: speed: Extra inputs are not permitted" in wrong.err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--loss", "style"), "loss: Input should be 'all'"),
        (("--preset", "big"), "there is no preset 'big'"),
        (("--trainer", "speed"), "--trainer speed: write it as NAME=VALUE"),
        (("--trainer", "speed=1"), "SFTConfig has no field 'speed'"),
        (("--save-at", "soon"), "soon is no list of steps"),
        (("--save-at", "3"), "save_at 3: the training has 2 steps"),
        (("--student", "http://here"), "a server cannot be trained"),
    ],
)
def test_wrong_use(command: Command, data: Path, tmp_path: Path, given: tuple[str, ...], says: str) -> None:
    done = command("train", "--data", data, "--to", tmp_path / "to", *LAB, "--steps", 2, *given)
    assert done.code == 2
    assert says in " ".join(done.err.split())


def test_without_a_place(command: Command, data: Path) -> None:
    done = command("train", "--data", data, *LAB)
    assert done.code == 2
    assert "where to? Give a folder" in done.err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "Interrupted. The state is kept; the same command goes on."),
        (AntiphonError("the loss is no number at step 3"), 1, "error: the loss is no number at step 3"),
        (StoreFull("states/4: cannot be written"), 3, "error: states/4: cannot be written"),
    ],
)
def test_how_it_ends(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, code: int, says: str
) -> None:
    def train(*_: object, watch: Any, **__: object) -> Trained:
        watch(Progress(20, 40, 1.0, 0.5, 1e-4))
        raise error

    monkeypatch.setattr(sft, "train", train)
    monkeypatch.setattr(counting, "_EVERY", 0)
    done = command("train", "--data", "train.jsonl", "--to", tmp_path / "to", *LAB)
    assert done.code == code
    assert says in done.err
    assert "20 of 40 steps done: epoch 1.0, loss 0.500" in done.err


def test_only_the_first_process_speaks(
    command: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    done = command("train", "--data", data, *LAB, "--dry-run")
    assert (done.code, done.out, done.err) == (0, "", "")
