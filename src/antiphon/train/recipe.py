"""How a student is trained: every setting that shapes the weights, and sets of them by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from antiphon.errors import SettingsError

Loss = Literal["all", "capability", "style_down", "answer"]
"""Which of a response's tokens are learned from: `all` (the paper); those of kind capability; all, those of kind style
with a smaller weight; the answer, from its first token to the one that ends the turn."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(_Settings):
    """Low-rank matrices beside frozen weights (LoRA), added to them when a model is written."""

    rank: int = Field(16, description="of the matrices", ge=1)
    alpha: int = Field(32, description="they are scaled by alpha / rank", ge=1)
    dropout: float = Field(0.0, description="before them", ge=0, lt=1)
    targets: tuple[str, ...] = Field((), description="names of layers; none: every linear layer but the output")


class Recipe(_Settings):
    """All settings of a training. Exactly one of `epochs` and `steps` is set."""

    epochs: float | None = Field(None, description="how often every row is read", gt=0)
    steps: int | None = Field(None, description="optimizer steps", ge=1)
    batch: int = Field(16, description="rows of an optimizer step, over all devices", ge=1)
    micro_batch: int | None = Field(
        None, description="rows that go through the model at once on a device; unset: all of them", ge=1
    )
    rate: float = Field(description="highest learning rate of AdamW", gt=0)
    warmup: float = Field(0.1, description="share of the steps in which the rate rises", ge=0, lt=1)
    floor: float = Field(0.0, description="what a cosine then brings the rate down to, as a share of it", ge=0, le=1)
    weight_decay: float = Field(0.0, description="AdamW's", ge=0)
    clip: float = Field(1.0, description="norm that gradients are cut to; 0: they are not", ge=0)
    loss: Loss = Field("all", description="all, capability, style_down or answer: what is learned from")
    style_weight: float = Field(0.1, description="of a style token, for style_down; others weigh 1", gt=0, le=1)
    lora: Lora | None = Field(None, description="train low-rank matrices only; unset: all weights")
    max_length: int | None = Field(None, description="tokens of a row; unset: the student's context", ge=2)
    longer: Literal["leave_out", "cut"] = Field("leave_out", description="what becomes of longer rows")
    seed: int = Field(0, description="of the order of rows, LoRA's first values and dropout", ge=0)
    precision: Literal["float32", "mixed", "bfloat16"] = Field(
        "float32",
        description="mixed: computes in bfloat16, weights in float32 (frozen ones bfloat16); bfloat16: everything",
    )
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU if there is one")
    gradient_checkpointing: bool = Field(False, description="less memory for activations, more time")
    save_every: int | None = Field(
        None, description="steps between states that an interrupted training goes on from; unset: each epoch", ge=1
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError(f"batch ({self.batch}) is no multiple of micro_batch ({self.micro_batch})")
        return self

    @property
    def rows_at_once(self) -> int:
        """Rows that go through the model at once on a device."""
        return self.micro_batch or self.batch

    def steps_for(self, rows: int) -> int:
        """Optimizer steps on so many rows. An epoch's last batch may be smaller."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * self.steps_per_epoch(rows)))

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps in which every row is read once."""
        return -(-rows // self.batch)

    def shaping(self) -> dict[str, Any]:
        """What decides about the weights, as JSON has it: not where the work is done, nor how often it is saved."""
        return self.model_dump(mode="json", exclude={"device", "gradient_checkpointing", "save_every"})


_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "epochs": 9,
        "batch": 128,
        "micro_batch": 1,
        "rate": 5e-5,
        "precision": "mixed",
        "gradient_checkpointing": True,
    },
    "gpu24": {
        "epochs": 3,
        "batch": 32,
        "micro_batch": 1,
        "rate": 2e-4,
        "lora": {"rank": 32, "alpha": 64},
        "precision": "mixed",
        "gradient_checkpointing": True,
        "save_every": 100,
    },
    "cpu": {"epochs": 3, "batch": 16, "micro_batch": 1, "rate": 2e-5, "device": "cpu", "save_every": 50},
    "lab": {"steps": 300, "batch": 16, "rate": 1e-4, "floor": 0.1, "weight_decay": 0.01, "device": "cpu"},
}

PRESETS: Mapping[str, Recipe] = MappingProxyType({name: Recipe(**preset) for name, preset in _PRESETS.items()})
"""`paper`: all weights, the paper's batch, rate and epochs (arXiv 2604.14164 says no more; the rest is ours). `gpu24`:
LoRA on one GPU of 24 GB. `cpu`: all weights of a small model. `lab`: as the experiment trains the embedded student."""


def read_recipe(file: Path) -> dict[str, Any]:
    """What a TOML file says: `preset`, settings of a recipe, a table `lora`, a table `trainer`.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from None


def recipe(preset: str, values: Mapping[str, Any], where: str = "") -> Recipe:
    """A preset with other values for some settings; `epochs` takes the place of `steps`, and the other way round, and
    some of LoRA's leave the others as they are.

    Args:
        where: what the values are called in errors.

    Raises:
        SettingsError: no such preset or setting, or a value that it cannot have.
    """
    if preset not in PRESETS:
        raise SettingsError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    kept = PRESETS[preset].model_dump()
    if {"epochs", "steps"} & values.keys():
        kept["epochs"] = kept["steps"] = None
    lora = values.get("lora")
    if isinstance(lora, Mapping):
        values = {**values, "lora": {**(kept["lora"] or {}), **lora}}
    try:
        return Recipe.model_validate({**kept, **values})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise SettingsError(": ".join(part for part in (where, name, said) if part)) from None
