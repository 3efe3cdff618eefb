"""The experiment on the embedded pair in processes of its own, left alone, killed, and interrupted."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.lab.results import Results, read

SMALL = """
arms = ["base", "tessy", "teacher_only_right"]
seeds = [0, 1]
jobs = 2

[problems]
train = 16
target = 10
others = 2

[training]
side_rates = []
points = [2, 4]
values = { steps = 4 }
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path: Path) -> Path:
    pytest.importorskip("trl")
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    return path


def begun(config: Path, to: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "antiphon", "lab", "run", "--config", str(config), "--to", str(to)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def told(results: Results) -> object:
    """All that does not depend on the clock."""
    trainings = [replace(one, seconds=0) for one in results.trainings]
    return results.evaluations, results.data, results.drift, trainings, results.config


def workers(of: int) -> list[int]:
    """The processes that it started, and theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == of:
            found += [int(path.parent.name), *workers(int(path.parent.name))]
    return found


def gone(processes: list[int]) -> bool:
    """Whether they end within some seconds."""
    for _ in range(200):
        if not any(Path(f"/proc/{one}").exists() for one in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow(minutes=2)
def test_killed_at_any_moment_it_comes_to_the_same(config: Path, tmp_path: Path) -> None:
    undisturbed = begun(config, tmp_path / "left-alone")
    began = time.monotonic()
    _, said = undisturbed.communicate()
    assert undisturbed.returncode == 0, said
    took = time.monotonic() - began
    chance = random.Random()
    for _ in range(5):
        process = begun(config, tmp_path / "killed")
        try:
            process.communicate(timeout=chance.uniform(0.1, 0.8) * took)  # on a quiet moment it may come to its end
        except subprocess.TimeoutExpired:
            others = workers(process.pid)
            process.kill()
            process.communicate()
            assert gone(others), "workers end with the one that started them"
    last = begun(config, tmp_path / "killed")
    _, said = last.communicate()
    assert last.returncode == 0, said
    assert told(read(tmp_path / "killed")) == told(read(tmp_path / "left-alone"))
    assert not list((tmp_path / "killed").rglob("*.part"))


def test_an_interrupt_ends_it_and_its_workers(config: Path, tmp_path: Path) -> None:
    process = begun(config, tmp_path / "lab")
    assert process.stderr is not None
    first = process.stderr.readline()  # the first piece of work is over, others are under way
    assert "of 7" in first, first
    others = workers(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on" in said and "Traceback" not in said, said
    assert gone(others)
    assert read(tmp_path / "lab").seconds > 0, "the session is noted"


@pytest.mark.slow(minutes=2)
def test_the_quick_one_is_done_in_minutes(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    command = [sys.executable, "-m", "antiphon", "lab", "run", "--quick", "--to", str(tmp_path / "lab")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stderr
    results = read(tmp_path / "lab")
    print(f"{done.stdout}\nafter {results.seconds:.0f} s: {results.stages}")
    assert {one.arm for one in results.evaluations} == {"base", "teacher_only", "tessy", "student_only"}
    assert (tmp_path / "lab" / "report.md").is_file()
