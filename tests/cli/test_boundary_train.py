"""`antiphon boundary train --kind default`: what it makes, and every bad input in one clear line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.boundary import load
from tests.cli.conftest import Command, Outcome, write_lines
from tests.cli.test_bad_input import refused

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS: list[dict[str, Any]] = [
    {
        "id": f"t{number}",
        "problem_key": f"p{number // 4}",
        "marked": f"⟦Okay, so⟧ {number} + 4 = {number + 4}. ⟦Let me check⟧ the sum: {number + 4} it is.",
    }
    for number in range(24)
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "texts.jsonl", TEXTS)


def train(command: Command, data: Path, to: Path, *more: object) -> Outcome:
    return command("boundary", "train", "--data", data, "--to", to, "--epochs", 2, "--held-out", 0, *more)


def weights(folder: Path) -> bytes:
    return (folder / "weights.npz").read_bytes()


def test_the_same_seed_gives_the_same_weights_and_another_others(command: Command, texts: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        assert train(command, texts, tmp_path / name, "--seed", seed).code == 0
    assert weights(tmp_path / "one") == weights(tmp_path / "again") != weights(tmp_path / "other")
    assert load(str(tmp_path / "one")).id != load("default").id


@pytest.mark.parametrize("base", [(), ("--base", "none")], ids=["shipped", "none"])
def test_problems_that_it_was_trained_on_are_refused(
    command: Command, texts: Path, tmp_path: Path, base: tuple[str, ...]
) -> None:
    done = train(command, texts, tmp_path / "mine", *base, "--json")
    assert done.json["path"] == str(tmp_path / "mine")
    assert [epoch["held_out"] for epoch in done.json["epochs"]] == [None, None]
    judge = ("boundary", "evaluate", "--boundary", tmp_path / "mine", "--data")
    known = f"{texts}: the predictor was trained on the problems of 24 of 24 texts"
    refused(command(*judge, texts), known, "(p0, p1, p2, ...)")
    fresh = write_lines(tmp_path / "fresh.jsonl", [text | {"problem_key": "new"} for text in TEXTS])
    assert command(*judge, fresh, "--json").json["texts"] == 24


def test_what_is_held_out_is_judged_after_each_epoch(command: Command, texts: Path, tmp_path: Path) -> None:
    done = train(command, texts, tmp_path / "mine", "--held-out", 0.5, "--json")
    assert all(epoch["held_out"]["style_f1"] is not None for epoch in done.json["epochs"])
    assert json.loads((tmp_path / "mine" / "training.json").read_text())["texts"]["held_out"] == 12


BAD_DATA: dict[str, tuple[list[dict[str, Any]], str]] = {
    "empty": ([], "holds no marked text"),
    "tiny": (TEXTS[:9], "too little to train on, 9 texts of 3 problems; mark at least 10 texts"),
    "one problem": ([text | {"problem_key": "p"} for text in TEXTS], "24 texts of 1 problem;"),
    "no style": ([{"text": f"{n} and 4 make {n + 4}", "style": []} for n in range(12)], "0 of 60 words are style"),
    "nothing else": ([{"marked": f"⟦Okay, so then {n}⟧"} for n in range(12)], "0 of 48 words are capability"),
    "overlapping": (
        [*TEXTS, {"text": "abcdef", "style": [[0, 3], [2, 5]]}],
        ":25: the spans [0, 3] and",
    ),
    "outside": ([*TEXTS, {"text": "abc", "style": [[1, 4]]}], "[1, 4] lies outside the text"),
}


@pytest.mark.parametrize(("records", "said"), BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_cannot_be_trained_on(
    command: Command, tmp_path: Path, records: list[dict[str, Any]], said: str
) -> None:
    data = write_lines(tmp_path / "data.jsonl", records)
    refused(train(command, data, tmp_path / "mine"), str(data), said)
    assert not (tmp_path / "mine").exists()


def test_too_few_problems_to_hold_some_out(command: Command, texts: Path, tmp_path: Path) -> None:
    done = command("boundary", "train", "--data", texts, "--to", tmp_path / "mine")
    refused(done, "6 problems cannot be split into 10 parts")


WRONG = {
    "kind": (("--kind", "crf"), "'crf' is not a kind that is trained; give default or tagger"),
    "a tagger's device": (("--device", "cpu"), "only a tagger takes it"),
    "a tagger's numbers": (("--bfloat16",), "only a tagger takes it"),
    "base": (("--base", "nobody"), "nobody"),
    "another look-ahead than the base's": (("--lookahead", 4), "words ahead, which training does not change"),
    "a look-ahead that is none": (("--lookahead", -1, "--base", "none"), "lookahead is -1; give 0 to 8 words"),
    "rate": (("--rate", -1), "rate, soft and trust are above 0"),
}


@pytest.mark.parametrize(("flags", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(command: Command, texts: Path, tmp_path: Path, flags: tuple[object, ...], said: str) -> None:
    refused(train(command, texts, tmp_path / "mine", *flags), said)
    assert not (tmp_path / "mine").exists()


def test_what_stands_there_already_is_left_alone(command: Command, texts: Path, tmp_path: Path) -> None:
    there = tmp_path / "mine"
    there.mkdir()
    (there / "config.json").write_text("{}")
    refused(train(command, texts, there), f"{there}: a model stands there already; name another folder")
    assert [path.name for path in there.iterdir()] == ["config.json"]


def test_a_folder_that_cannot_be_written(command: Command, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(train(command, texts, tmp_path / "file" / "mine"), "cannot be written")


def test_without_torch(command: Command, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(train(command, texts, tmp_path / "mine"), "training a predictor needs torch; install it with: pip install")
