"""A real small model marks slices at llama-server: that it runs to its end, and counts what it cannot use.

    LIVE_SMOLLM2=smollm2.gguf pytest -m live tests/live/test_annotate.py -s

SmolLM2-135M is far too small for the task; nearly all of its replies are refused. The figures printed say why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.boundary.making.marked import read_marked
from tests.conftest import SHARED

pytestmark = [pytest.mark.live, pytest.mark.slow]
SLICES = 4


def test_a_real_model_is_asked_for_every_slice_once(tmp_path: Path) -> None:
    model = os.environ.get("LIVE_SMOLLM2")
    if not model or not Path(model).exists():
        pytest.skip("needs a model: LIVE_SMOLLM2 names no file (scripts/models gets it)")
    traces = sorted((SHARED / "traces").glob("math500_*.jsonl"))
    if not traces:
        pytest.skip("needs ../shared, which is not here")
    folder = tmp_path / "marks"
    command = [sys.executable, "-m", "antiphon", "boundary", "annotate", *map(str, traces), "--to", str(folder)]
    command += ["--model", model, "--slices", str(SLICES), "--words", "20-30", "--domain", "math", "--yes", "--json"]
    for setting in ("teacher.runs=llama-server", "teacher.context=2048", "budget.answer=120", "concurrency=2"):
        command += ["--set", setting]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode in (0, 1), first.stderr
    summary = json.loads(first.stdout)
    refused = {cause: found["count"] for cause, found in summary["refused"].items()}
    print(f"{summary['marked']} marked", refused, summary["tokens"])
    assert summary["marked"] + sum(refused.values()) == summary["outcomes"] == SLICES
    assert summary["pending"] == 0
    assert summary["tokens"]["written"] > 0
    assert sum(len(read_marked(path)) for path in folder.glob("*.jsonl")) == summary["marked"]
    again = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert (again["outcomes"], again["tokens"]) == (0, {"read": 0, "written": 0})
