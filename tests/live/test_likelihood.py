"""Likelihood of the lab's data under `lab:student`: vLLM's prompt log-probabilities and this process agree.

    LIVE_VLLM_PYTHON=/path/to/bin/python pytest -m live tests/live/test_likelihood.py -s

vLLM computes in float32, as models in process do.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.launch.process import Process, free_port
from antiphon.engine.model_files import ModelFiles
from antiphon.lab import problems
from tests.live.command import synth, vllm_python
from tests.live.test_embedded_pair import GREEDY, VARIABLES, vllm

pytestmark = [pytest.mark.live, pytest.mark.slow]

PAIR = [
    flag for role in ("student", "teacher") for flag in (f"--{role}", f"lab:{role}", "--set", f"{role}.runs=in-process")
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("likelihood")
    asked = folder / "problems.jsonl"
    asked.write_text("".join(f"{json.dumps(record)}\n" for record in problems(12, seed=7)), "utf-8")
    for method in ("tessy", "teacher_only"):
        assert not synth(asked, folder / "run", *GREEDY, *PAIR, "--method", method)["failed"]
    return folder / "run"


@pytest.fixture
def served() -> Iterator[str]:
    vllm_python()
    port = free_port()
    argv = vllm(ModelFiles.read("lab:student").path, port, Path())
    process = Process("vLLM for the student", argv, {**os.environ, **VARIABLES}, port)
    try:
        asyncio.run(process.ready(patience=600))
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run(process.stop())


def likelihood(run: Path, model: str, scores: Path) -> dict[str, list[float]]:
    """The rows of the table, a value for each variant."""
    command = [sys.executable, "-m", "antiphon", "compare", str(run), "--under", model, "--boundary", "lab", "--json"]
    done = subprocess.run([*command, "--scores", str(scores)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    (table,) = (table for table in told["tables"] if table["name"] == "likelihood")
    return {row["name"]: [value["value"] for value in row["values"] if value] for row in table["rows"]}


def test_vllm_tells_what_this_process_does(run: Path, served: str, tmp_path: Path) -> None:
    here, there = likelihood(run, "lab:student", tmp_path / "here"), likelihood(run, served, tmp_path / "there")
    assert here.keys() == there.keys()
    for name, values in here.items():
        print(f"{name}: {values} here, {there[name]} there")
        assert there[name] == pytest.approx(values, rel=0.01, abs=1e-4), name
