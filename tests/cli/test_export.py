"""`antiphon export`: a training file from a run."""

from __future__ import annotations

import json
from pathlib import Path

from antiphon.engine.scripted import Fault
from tests.cli.conftest import MODELS, Command
from tests.cli.pair import Pair


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_writes_conversations(command: Command, finished: Path, tmp_path: Path) -> None:
    done = command("export", finished, "--format", "messages", "--to", tmp_path / "t.jsonl")
    assert (done.code, done.err) == (0, "")
    assert "3 rows" in done.out
    by_id = {row["problem_id"]: row["messages"] for row in rows(tmp_path / "t.jsonl")}
    assert by_id["347x6"][0] == {"role": "user", "content": "What is 347 times 6?"}
    assert by_id["347x6"][1]["content"].endswith("</think>\n\nI get 2082.")


def test_writes_the_authors_shape(command: Command, finished: Path, tmp_path: Path) -> None:
    command("export", finished, "--format", "tessy", "--to", tmp_path / "t.jsonl")
    assert {row["id_ddm"] for row in rows(tmp_path / "t.jsonl")} == {"347x6", "123x4", "588x2"}


def test_only_what_is_asked_for(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    pair.faults = lambda request: Fault("refuse") if "588" in request.situation.text else None
    run = tmp_path / "run"
    command("synth", problems, "--run", run, *MODELS)
    command("synth", problems, "--run", run, *MODELS, "--method", "student_only")
    export = ("export", run, "--format", "messages", "--to", tmp_path / "t.jsonl", "--overwrite", "--json")
    assert command(*export, "--variant", "tessy").json["rows"] == 2
    assert command(*export, "--variant", "tessy").json["left_out"] == {"failed": 1}
    assert command(*export, "--status", "failed").json["rows"] == 1
    assert command(*export, "--status", "failed", "--status", "complete").json["rows"] == 6
    change = command(*export).json["change"]
    assert command(*export, "--since", change).json["rows"] == 0
    assert "left out: 1 failed" in command(*export[:-1]).out
