"""Runs killed at random moments, and many long traces at once: the figures of docs/performance.md, held."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import antiphon
from antiphon.trace import Status
from tests.synth.endurance import SHAPE, Counter

ROOT = Path(__file__).parents[2]
TRACES, RUNS = 200, 20


def begin(directory: Path, counter: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.synth.endurance", str(directory), str(counter), str(TRACES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow(minutes=5)
def test_killed_runs_lose_nothing_and_ask_almost_nothing_again(tmp_path: Path) -> None:
    """200 traces of 2,000 tokens in 140 turns, 3 ms a token; each run killed once with -9 and taken up."""
    began = time.monotonic()
    begin(tmp_path / "whole", tmp_path / "count").communicate()
    took = time.monotonic() - began
    needed = Counter(tmp_path / "count").value
    (response,) = {trace.response for trace in antiphon.read(tmp_path / "whole").traces()}
    chance, again = random.Random(20261125), []
    for number in range(RUNS):
        directory, count = tmp_path / f"run{number}", tmp_path / f"count{number}"
        process = begin(directory, count)
        assert process.stdout is not None
        process.stdout.readline()
        moment = chance.uniform(0.02, 0.9) * needed
        while Counter(count).value < moment and process.poll() is None:
            time.sleep(took / 500)  # the moment is counted in tokens; this only paces the look
        process.kill()
        process.communicate()
        resumed = begin(directory, count)
        resumed.communicate()
        assert resumed.returncode == 0
        traces = list(antiphon.read(directory).traces())
        assert len(traces) == len({trace.key for trace in traces}) == TRACES
        assert {trace.status for trace in traces} == {Status.COMPLETE}
        assert {trace.response for trace in traces} == {response}
        again.append(Counter(count).value / needed - 1)
    print(f"asked again: mean {sum(again) / RUNS:.2%}, most {max(again):.2%} ({SHAPE.turns} turns of thinking a trace)")
    assert sum(again) / RUNS <= 0.02


@pytest.mark.slow
def test_many_long_traces_fit_tmp_path(tmp_path: Path) -> None:
    """2,000 traces of 2,000 tokens in flight; `python -m bench.scale` measures 20,000."""
    import json

    command = [
        sys.executable,
        "-m",
        "bench.scale",
        "--traces",
        "2000",
        "--thinking",
        "2000",
        "--to",
        str(tmp_path / "run"),
    ]
    output = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    row = json.loads(output.splitlines()[-1])
    assert row["finished"] == {"complete": 2000}
    assert row["rss_peak_mb"] < 400
    assert row["cpu_ms_per_turn"] < 1.0
