"""Training and its device: none, one that is full, and one too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import AntiphonError, SettingsError
from antiphon.train.recipe import recipe
from antiphon.train.sft import train
from tests.full_device import FULL, ROOM
from tests.train.data import rows, write

pytestmark = pytest.mark.usefixtures("one_thread")

LAB = ModelFiles.read("lab:student").path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "data.jsonl", rows(12))


def test_mixed_precision_needs_no_gpu(data: Path, tmp_path: Path) -> None:
    """`auto` is a GPU if there is one; libraries refuse mixed precision unless they are told that there is none."""
    how = recipe("gpu24", {"steps": 2, "batch": 2, "rate": 1e-2, "lora": {"rank": 4}})
    trained = train(data, "lab:student", tmp_path / "to", how)
    ours, before = (load_file(folder / "model.safetensors") for folder in (trained.model, LAB))
    assert any(not torch.equal(ours[name], weight.float()) for name, weight in before.items())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_device_that_is_full_leaves_the_state_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    """It raises what a GPU raises, at the third step."""
    from trl import SFTTrainer

    compute_loss = SFTTrainer.compute_loss

    def full(self: Any, *given: Any) -> torch.Tensor:
        if self.state.global_step == 2:
            raise FULL
        return compute_loss(self, *given)

    monkeypatch.setattr(SFTTrainer, "compute_loss", full)
    how = recipe("lab", {"steps": 6, "batch": 4, "save_every": 2, "gradient_checkpointing": checkpointing})
    with pytest.raises(AntiphonError) as error:
        train(data, "lab:student", tmp_path / "to", how)
    said = str(error.value)
    assert said.startswith(f"{ROOM}; the state of step 2 is kept")
    assert ("the same command with --checkpointing" in said) is not checkpointing


def test_one_process_that_sees_several_gpus(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(SettingsError, match="one process sees 4 GPUs: to train on all of them, accelerate launch"):
        train(data, "lab:student", tmp_path / "to", recipe("gpu24", {}))
