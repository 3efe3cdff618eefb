"""A small experiment with the scripted pair, as a configuration names real models, and a trainer that copies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from antiphon import lab
from antiphon.engine.model_files import EMBEDDED, ModelFiles
from antiphon.errors import AntiphonError
from antiphon.train.recipe import Recipe

STUDENT = ModelFiles.read(EMBEDDED[0] if EMBEDDED[0].endswith("student") else EMBEDDED[1]).path


class Trained(NamedTuple):
    """As `antiphon.train.sft.Trained`."""

    model: Path
    checkpoints: dict[int, Path]
    curve: Path


class Trainer:
    """Copies the student in the place of training it.

    Attributes:
        asked: the folders in which it was to train, with their recipes.
        unfit: arms that cannot be trained.
    """

    def __init__(self, *unfit: str):
        self.asked: dict[str, Recipe] = {}
        self.unfit = unfit

    def __call__(self, data: Path, student: str, to: Path, recipe: Recipe, *, save_at: Sequence[int]) -> Trained:
        self.asked[to.name] = recipe
        if data.stem in self.unfit:
            raise AntiphonError("the loss is no number")
        assert data.is_file()
        made = Trained(to / "student", {step: to / f"{step}-student" for step in save_at}, to / "curve.json")
        for folder in (made.model, *made.checkpoints.values()):
            shutil.copytree(STUDENT, folder, dirs_exist_ok=True)
        made.curve.write_text("[]", "utf-8")
        return made


def problem_file(path: Path, number: int, seed: int) -> str:
    """Multiplications, as the scripted pair can solve them."""
    records: list[dict[str, Any]] = [dict(record) for record in lab.problems(number, seed=seed)]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return str(path)


def configuration(folder: Path, *, seeds: str = "0, 1", arms: str = '"base", "teacher_only", "tessy"') -> Path:
    """A configuration of such an experiment."""
    folder.mkdir(exist_ok=True)
    files = {
        name: problem_file(folder / f"{name}.jsonl", 12, seed) for seed, name in enumerate(("train", "one", "two"))
    }
    path = folder / "small.toml"
    path.write_text(
        f"""
arms = [{arms}]
seeds = [{seeds}]
likelihood = false
jobs = 1

[problems]
train = 5
files = [{files["train"]!r}]
target = 4
others = 3
evaluation = {{ first = [{files["one"]!r}], second = [{files["two"]!r}] }}

[synthesis.teacher]
model = "http://127.0.0.1:1/teacher"

[synthesis.student]
model = "http://127.0.0.1:2/student"

[synthesis.boundary]
teacher = "lab"
student = "lab"

[training]
student = {str(STUDENT)!r}
side_rates = [3e-5]
side_arms = ["tessy"]
points = [2, 4]
values = {{ steps = 4 }}
""",
        "utf-8",
    )
    return path
