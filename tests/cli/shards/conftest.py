"""Twelve problems in three shards, and all that run directories hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.store import Reader
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Pair

TELLING = ("--verifier", "tests.verify.scripted:Telling")
SCRIPTED = ("--verifier", "tests.verify.scripted:ScriptedVerifier")
COUNT = 12


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "problems.jsonl", [asked(300 + 7 * number, 4) for number in range(COUNT)])


@pytest.fixture
def synth(command: Command, pair: Pair, problems: Path) -> Callable[..., Any]:
    """Writes traces of all problems into a directory."""

    def run(directory: Path, *more: object, code: int = 0) -> Any:
        done = command("synth", problems, "--run", directory, *MODELS, *more)
        assert done.code == code, done.err
        return done

    return run


@pytest.fixture
def shards(synth: Callable[..., Any], tmp_path: Path) -> list[Path]:
    """Three shards of the problems."""
    directories = [tmp_path / "shards" / str(index) for index in range(3)]
    for index, directory in enumerate(directories):
        synth(directory, "--shard", f"{index}/3")
    return directories


def records(*directories: Path, timed: bool = True) -> dict[str, Any]:
    """All that is recorded of each trace, change numbers apart; `timed`: with what a clock told."""
    found: dict[str, Any] = {}
    for directory in directories:
        with Reader(directory) as reader:
            for trace in reader.traces():
                turns, calls = reader.turns(trace.key), reader.calls(trace.key)
                facts: tuple[Any, ...] = (trace.spans, trace.status, trace.cause, trace.closed_by, trace.made_from)
                if timed:
                    facts += (trace.usage, trace.verdicts, trace.started, trace.finished, turns, calls)
                else:
                    facts += ([(verdict.verifier, verdict.label) for verdict in trace.verdicts],)
                    facts += ([(turn.role, turn.kept, turn.span) for turn in turns], [call.text for call in calls])
                assert str(trace.key) not in found
                found[str(trace.key)] = facts
    return found


def tables(directory: Path) -> dict[str, list[Any]]:
    """All rows of the database."""
    connection = sqlite3.connect(directory / "run.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    connection.close()
    return rows


def change(directory: Path, statement: str) -> None:
    connection = sqlite3.connect(directory / "run.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()
