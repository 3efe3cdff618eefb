"""What a training tells while it goes on, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Progress(NamedTuple):
    """Where a training is: optimizer steps done and in all, epochs done, the last step's loss (per token, natural
    logarithm) and its rate."""

    step: int
    steps: int
    epoch: float
    loss: float
    rate: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left.

    Attributes:
        model: the student at the end, a Hugging Face folder with its tokenizer and chat template.
        checkpoints: such folders by the optimizer step after which they were written.
        curve: loss and rate by step, as JSON; a picture of it stands beside it.
    """

    model: Path
    checkpoints: Mapping[int, Path]
    curve: Path
