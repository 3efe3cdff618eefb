"""Trainings that are killed, and trainings by several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from safetensors.torch import load_file
from torch import equal

from tests.train.data import rows, write

pytestmark = pytest.mark.slow

STEPS = 30
TRAINING = """
import os, signal, sys
from pathlib import Path
import torch
from antiphon.train.recipe import recipe
from antiphon.train.sft import train

torch.set_num_threads(1)
data, to, dies = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
lora = {"rank": 4, "dropout": 0.1} if sys.argv[4] == "lora" else None
how = recipe("lab", {"steps": 30, "batch": 4, "micro_batch": 2, "rate": 1e-3, "save_every": 3, "lora": lora})

def watch(now):
    if now.step == dies:
        os.kill(os.getpid(), signal.SIGKILL)

train(data, "lab:student", to, how, save_at=[7, 20, 30], watch=watch)
"""


def trained(data: Path, to: Path, dies: int, kind: str) -> int:
    command = [sys.executable, "-W", "error", "-c", TRAINING, str(data), str(to), str(dies), kind]
    return subprocess.run(command, check=False).returncode


@pytest.mark.slow(minutes=1)
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_killed_at_five_random_moments_it_ends_with_the_same_weights(tmp_path: Path, kind: str) -> None:
    data = write(tmp_path / "data.jsonl", rows(25))
    assert trained(data, tmp_path / "undisturbed", 0, kind) == 0
    moments = sorted(Random().sample(range(1, STEPS), 5))
    for moment in moments:
        assert trained(data, tmp_path / "killed", moment, kind) == -signal.SIGKILL, moments
    assert trained(data, tmp_path / "killed", 0, kind) == 0
    for place in ("model", "checkpoints/7", "checkpoints/20"):
        one, other = (load_file(tmp_path / name / place / "model.safetensors") for name in ("undisturbed", "killed"))
        assert all(equal(one[name], other[name]) for name in one), moments
    curves = [(tmp_path / name / "curve.json").read_text() for name in ("undisturbed", "killed")]
    assert curves[0] == curves[1], moments


def test_two_processes_of_accelerate_train_as_one_does(tmp_path: Path) -> None:
    data = write(tmp_path / "data.jsonl", rows(16))
    flags = ["train", "--data", str(data), "--student", "lab:student", "--preset", "lab", "--steps", "4"]
    flags += ["--batch", "4", "--rate", "1e-3", "--set", "warmup=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    two += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "antiphon"]
    said = {}
    for name, launch in {"one": ["antiphon"], "two": two}.items():
        command = [sys.executable, "-m", *launch, *flags, "--to", str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    assert said["two"].count("the trained student") == 1
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    far = max((one[name] - other[name]).abs().max().item() for name in one)
    assert far < 1e-4  # sums in another order; a step changes weights by 1e-3
