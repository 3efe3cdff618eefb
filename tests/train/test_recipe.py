"""Recipes: presets, what goes together, and how many steps there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import SettingsError
from antiphon.train.recipe import PRESETS, Lora, read_recipe, recipe


def test_the_papers_settings() -> None:
    paper = PRESETS["paper"]
    assert (paper.batch, paper.rate, paper.epochs, paper.lora, paper.loss) == (128, 5e-5, 9, None, "all")


@pytest.mark.parametrize(("rows", "batch", "epochs", "steps"), [(80, 16, 3, 15), (81, 16, 3, 18), (5, 16, 0.1, 1)])
def test_steps_of_epochs(rows: int, batch: int, epochs: float, steps: int) -> None:
    assert recipe("lab", {"epochs": epochs, "batch": batch}).steps_for(rows) == steps


def test_steps_take_the_place_of_epochs_and_lora_keeps_what_is_not_given() -> None:
    changed = recipe("gpu24", {"steps": 7, "lora": {"rank": 4}})
    assert (changed.steps, changed.epochs, changed.lora) == (7, None, Lora(rank=4, alpha=64))
    assert recipe("gpu24", {"lora": None}).lora is None


@pytest.mark.parametrize(
    ("preset", "values", "says"),
    [
        ("huge", {}, "there is no preset 'huge'; there are paper, gpu24, cpu, lab"),
        ("lab", {"loss": "style"}, "loss: Input should be 'all', 'capability', 'style_down' or 'answer'"),
        ("lab", {"speed": 1}, "speed: Extra inputs are not permitted"),
        ("lab", {"steps": 3, "epochs": 3}, "give either epochs or steps"),
        ("lab", {"batch": 16, "micro_batch": 5}, r"batch \(16\) is no multiple of micro_batch \(5\)"),
        ("lab", {"rate": -1}, "rate: Input should be greater than 0"),
        ("lab", {"lora": {"rank": 0}}, "lora.rank: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_refused(preset: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=f"^{says}"):
        recipe(preset, values)


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text('preset = "cpu"\nrate = 1e-4\n[lora]\nrank = 4\n[trainer]\nneftune_noise_alpha = 5\n')
    assert read_recipe(file) == {
        "preset": "cpu",
        "rate": 1e-4,
        "lora": {"rank": 4},
        "trainer": {"neftune_noise_alpha": 5},
    }
    file.write_text("rate =")
    with pytest.raises(SettingsError, match=r"train\.toml: Invalid value"):
        read_recipe(file)
    with pytest.raises(SettingsError, match="No such file"):
        read_recipe(tmp_path / "none.toml")
