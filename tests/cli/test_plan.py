"""`antiphon plan`."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.scale.plan.pilots import World


@pytest.fixture(scope="module")
def pilots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pilots")
    small, large = (World().play(range(64), n).write(folder / str(n)) for n in (4, 24))
    return small, large


def test_it_tells_people(command: Command, pilots: tuple[Path, Path]) -> None:
    done = command("plan", *pilots, "--problems", 80_000, "--concurrency", 48, "--gpu-hour", 2.5, "--teacher-gpus", 4)
    assert (done.code, done.err) == (0, "")
    for what in (
        "From 2 pilots with 64 problems",
        "80,000 traces, 48 in flight",
        "95% interval",
        "cost",
        "GPU hours",
        "of them thrown away",
        "The busiest is the teacher, busy for",
        "replicas of the student for each",
        "teacher replicas 1 student 2 student 4 student",
    ):
        assert what in " ".join(done.out.split()), done.out


def test_servers_that_both_roles_share(command: Command, tmp_path: Path) -> None:
    pilots = [World().play(range(64), n).write(tmp_path / str(n)) for n in (4, 24)]
    for pilot in pilots:
        with sqlite3.connect(pilot / "run.sqlite") as connection:
            connection.execute("UPDATE turns SET server = 'one'")
        connection.close()
    told = command("plan", *pilots, "--problems", 80_000).out
    assert "The busiest is what teacher and student share, busy for" in told
    assert "(both)" in told and "(teacher" not in told


def test_it_tells_programs(command: Command, pilots: tuple[Path, Path]) -> None:
    told = command("plan", *pilots, "--problems", 200, "--samples", 2, "--set", "teacher.price_out=2", "--json").json
    assert told["traces"] == 400
    assert told["concurrency"] == 24
    assert [pilot["traces"] for pilot in told["pilots"]] == [64, 64]
    assert told["seconds"]["low"] <= told["seconds"]["value"] <= told["seconds"]["high"]
    written = told["roles"]["teacher"]["written"]["value"]
    assert told["cost"]["value"] == pytest.approx(written * 2 / 1e6, rel=0.01)
    assert told["roles"]["student"]["cost"] is None
    assert {choice["bottleneck"] for choice in told["choices"]} <= {"student", "teacher", "process"}
    assert told["stations"]["process"]["seen"] is None


def test_what_if(command: Command, pilots: tuple[Path, Path]) -> None:
    def seconds(*flags: object) -> float:
        told = command("plan", *pilots, "--problems", 1_000, "--json", *flags).json
        return float(told["seconds"]["value"])

    base = seconds()
    assert seconds("--longer", 2) == pytest.approx(2 * base, rel=0.1)
    assert seconds("--concurrency", 4) > 1.5 * base
    assert seconds("--teacher-replicas", 4, "--student-replicas", 2) < base
    assert seconds("--shards", 2) == pytest.approx(base, rel=0.1)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_plot(command: Command, pilots: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    to = tmp_path / f"plan.{suffix}"
    assert command("plan", *pilots, "--problems", 200, "--plot", to).code == 0
    assert to.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


def test_a_plot_of_no_kind_or_nowhere(command: Command, pilots: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for to in (tmp_path / "plan.doc", tmp_path / "missing" / "plan.svg"):
        done = command("plan", *pilots, "--problems", 200, "--plot", to)
        assert done.code == 2
        assert "cannot be drawn" in done.err


def test_without_matplotlib(command: Command, pilots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = command("plan", *pilots, "--problems", 200, "--plot", "plan.svg")
    assert done.code == 2
    assert done.err.strip().endswith("needs matplotlib; install it with: pip install 'antiphon[plot]'")
    assert done.out == ""


def test_wrong_use(command: Command, pilots: tuple[Path, Path], tmp_path: Path) -> None:
    small, large = pilots
    assert "two concurrencies are needed" in command("plan", small, "--problems", 10).err
    assert command("plan", small, small, "--problems", 10).code == 2
    missing = command("plan", small, tmp_path, "--problems", 10)
    assert (missing.code, "is not a run directory" in missing.err) == (2, True)
    assert command("plan", small, large).code == 2  # of how many problems?
    assert command("plan", small, large, "--problems", 10, "--set", "teacher.price_out=dear").code == 2
    assert "no variant other" in command("plan", small, large, "--problems", 10, "--variant", "other").err


def test_pilots_of_the_command_itself(command: Command, finished: Path, problems: Path) -> None:
    """A real run directory is read; of one concurrency it is not enough."""
    done = command("plan", finished, finished, "--problems", 100)
    assert done.code == 2
    assert "two concurrencies are needed" in done.err


def test_a_role_alone(command: Command, tmp_path: Path) -> None:
    pilots = [World().play(range(32), n).write(tmp_path / str(n)) for n in (2, 8)]
    for pilot in pilots:
        with sqlite3.connect(pilot / "run.sqlite") as connection:
            for table in ("turns", "usage"):
                connection.execute(f"DELETE FROM {table} WHERE role = 'student'")
        connection.close()
    done = command("plan", *pilots, "--problems", 100)
    assert (done.code, done.err) == (0, "")
    assert "teacher replicas time limit" in " ".join(done.out.split())
    assert "student" not in done.out
    assert command("plan", *pilots, "--problems", 100, "--student-replicas", 2).code == 2
