"""The command as its users call it, with the scripted pair behind the models' names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from tests.cli.pair import Pair


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def command() -> Command:
    """Runs `antiphon` with these arguments."""

    def run(*arguments: object, stdin: str | bytes | None = None) -> Outcome:
        from antiphon.cli.app import app

        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """Three problems."""
    return write_lines(tmp_path / "problems.jsonl", [asked(347, 6), asked(123, 4), asked(588, 2)])


def asked(number: int, by: int, **fields: object) -> dict[str, object]:
    return {"id": f"{number}x{by}", "question": f"What is {number} times {by}?", "answer": str(number * by), **fields}


def write_lines(path: Path, records: Iterable[object]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


MODELS = ("--teacher", "lab:teacher", "--student", "lab:student", "--boundary", "lab")


@pytest.fixture
def finished(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> Path:
    """A run directory with three traces in turns."""
    directory = tmp_path / "run"
    assert command("synth", problems, "--run", directory, *MODELS).code == 0
    return directory
