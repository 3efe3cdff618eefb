"""A run directory that the package's first version left, killed in mid-trace: today's commands read it and go on.

tests/store/old/first.tar.gz is such a directory: the scripted pair on four problems, `teacher_only` with one trace that
failed, then `tessy`, ended by SIGKILL in its fourth trace, so that most of it stands in the write-ahead log.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from antiphon.store import Reader, schema
from antiphon.store.place import DATABASE
from antiphon.trace import Key, Status
from tests.cli.conftest import MODELS, Command
from tests.cli.pair import Pair

ROOT = Path(__file__).parents[2]
HALF = Key("964x7", "tessy", 0)
FAILED = Key("588x2", "teacher_only", 0)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The run directory as it was left."""
    with tarfile.open(ROOT / "tests/store/old/first.tar.gz") as archive:
        archive.extractall(tmp_path / "old", filter="data")
    assert version(tmp_path / "old") == 1
    return tmp_path / "old"


def version(directory: Path) -> int:
    connection = sqlite3.connect(directory / DATABASE)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)
    finally:
        connection.close()


def test_every_command_that_reads_runs_reads_it(command: Command, pair: Pair, old: Path, tmp_path: Path) -> None:
    status = command("status", old)
    assert status.code == 0, status
    assert "4 traces: 3 complete, 1 failed" in status.out and "1 x lab:teacher refused the request" in status.out
    assert "4 traces: 3 complete, 1 pending" in status.out
    assert version(old) == len(schema.MIGRATIONS)
    trace = command("trace", old, "347x6/tessy/0")
    assert "[Okay, let me see] {units 7x6=42} [okay, so] {tens 4x6=24+4=28}" in " ".join(trace.out.split()), trace
    verified = command("verify", old, "--json")
    assert verified.code == 0, verified
    page = command("view", old, "--html", tmp_path / "page.html")
    assert page.code == 0 and "347x6" in (tmp_path / "page.html").read_text("utf-8")
    compared = command("compare", old)
    assert compared.code == 0 and "tokens received" in compared.out, compared
    exported = command("export", old, "--format", "messages", "--variant", "tessy", "--to", tmp_path / "rows.jsonl")
    assert exported.code == 0 and "3 rows, each compared with the record" in exported.out, exported
    rows = map(json.loads, (tmp_path / "rows.jsonl").read_text("utf-8").splitlines())
    said = {row["problem_id"]: row["messages"][-1]["content"] for row in rows}
    assert "units 7x6=42" in said["347x6"]
    merged = command("merge", old, "--to", tmp_path / "whole")
    assert merged.code == 0 and "6 complete" in merged.out, merged


def test_the_same_commands_go_on_with_it(command: Command, pair: Pair, old: Path, tmp_path: Path) -> None:
    with Reader(Path(shutil.copytree(old, tmp_path / "copy"))) as reader:
        before = reader.trace(HALF).response
    assert before
    asked = ("--run", old, "--keep-rejected", *MODELS)
    gone_on = command("synth", *asked)
    assert gone_on.code == 0 and "4 complete" in gone_on.out, gone_on
    retried = command("synth", *asked, "--method", "teacher_only", "--retry", "failed")
    assert retried.code == 0 and "4 complete" in retried.out, retried
    with Reader(old) as reader:
        assert reader.trace(HALF).response.startswith(before)
        assert reader.trace(FAILED).status is Status.COMPLETE


def test_what_shapes_the_text_is_still_compared(command: Command, pair: Pair, old: Path) -> None:
    refused = command("synth", "--run", old, *MODELS, "--set", "student.sampling.temperature=0")
    assert refused.code == 2
    changed = [line for line in refused.err.splitlines() if "->" in line]
    assert changed == ["  student.sampling.temperature: 0.7 -> 0.0"]


KILLED = """
import os, signal, sys
from pathlib import Path
from antiphon.store import Reader, schema

schema.MIGRATIONS[-1] = lambda connection: os.kill(os.getpid(), signal.SIGKILL)
Reader(Path(sys.argv[1]))
"""


def test_an_upgrade_that_is_killed_has_not_begun(command: Command, old: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, old], cwd=ROOT)
    assert killed.returncode == -9
    assert version(old) == 1
    with Reader(old) as reader:
        assert reader.counts("tessy")[Status.COMPLETE] == 3
    assert version(old) == len(schema.MIGRATIONS)


@pytest.mark.parametrize("words", ["status {}", "verify {}", "synth --run {} --student lab:student"])
def test_a_newer_one_is_refused_in_a_line_and_left_alone(command: Command, pair: Pair, old: Path, words: str) -> None:
    connection = sqlite3.connect(old / DATABASE)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    before = (old / DATABASE).read_bytes()
    refused = command(*words.format(old).split())
    assert refused.code == 2 and not refused.out
    (line,) = refused.err.splitlines()
    assert "was written by a newer version (its tables are of version 1000" in line and "upgrade to open it" in line
    assert (old / DATABASE).read_bytes() == before
