"""`antiphon export`: a training file from a run."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import ANY

import pytest

from antiphon.engine.scripted import Fault
from antiphon.export import FORMATS
from antiphon.export.formats import Format
from antiphon.export.messages import Messages
from tests.cli.conftest import MODELS, Command
from tests.cli.pair import Pair
from tests.export.test_formats import answered, of_lab


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
    assert command(*export[:-1], "--since", change) == (0, ANY, ""), "nothing changed since, as is usual"


def test_an_export_without_a_row_says_why_and_ends_with_1(command: Command, finished: Path, tmp_path: Path) -> None:
    export = ("export", finished, "--format", "messages", "--to", tmp_path / "t.jsonl", "--status", "too_long")
    done = command(*export)
    assert done.code == 1
    assert done.err == (
        f"error: {tmp_path / 't.jsonl'}: no row to train on, left out are 3 complete; "
        f"antiphon status {finished} says how traces came out\n"
    )
    found = command(*export, "--overwrite", "--json")
    assert (found.code, found.json["exit_code"], found.json["left_out"]) == (1, 1, {"complete": 3})


@pytest.fixture
def written(command: Command, tmp_path: Path) -> Path:
    """A run directory of the embedded student, with traces of two lengths."""
    return of_lab(tmp_path, answered("So ", "2"), answered(*["okay so "] * 40, sample=1))


def test_lengths_are_shown(command: Command, written: Path, tmp_path: Path) -> None:
    export = ("export", written, "--format", "tokens", "--to", tmp_path / "t.jsonl", "--max-length", "60")
    done = command(*export)
    assert done.code == 0
    assert "trained tokens: " in done.out and "lengths in tokens of lab:student: " in done.out
    assert "           32-63       1 " + "█" * 40 in done.out
    assert "longer than 60 tokens, where a trainer cuts them off, are 1 of 2 rows" in done.err
    told = command(*export, "--overwrite", "--drop-longer", "--json").json
    assert (told["rows"], told["left_out"]) == (1, {"longer than --max-length": 1})
    assert told["lengths"]["histogram"] == [{"from": 32, "to": 63, "rows": 1}]
    assert told["lengths"]["max_length"] == 60 and told["lengths"]["longer"] == 0


def test_what_is_there_is_replaced_only_where_asked(command: Command, written: Path, tmp_path: Path) -> None:
    export = ("export", written, "--format", "messages", "--to", tmp_path / "t.jsonl")
    assert command(*export).code == 0
    again = command(*export)
    assert again.code == 2 and "--overwrite replaces it" in again.err.replace("\n", " ")
    assert command(*export, "--overwrite").code == 0


def test_an_unknown_format_is_refused_with_those_there_are(command: Command, written: Path, tmp_path: Path) -> None:
    refused = command("export", written, "--format", "alpaca", "--to", tmp_path / "t.jsonl")
    assert refused.code == 2
    assert all(format in refused.err for format in FORMATS)
    help = command("export", "--help").out
    assert all(format in help for format in FORMATS)


def test_a_line_of_the_table_makes_a_format(
    command: Command, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "mine", Format(lambda reader, student: Messages(student)))
    assert "verl, parquet, mine (docs/export.md)" in " ".join(command("export", "--help").out.split())
    assert command("export", written, "--format", "mine", "--to", tmp_path / "mine.jsonl").code == 0


def test_a_format_that_needs_the_student_says_so(command: Command, finished: Path, tmp_path: Path) -> None:
    refused = command("export", finished, "--format", "tokens", "--to", tmp_path / "t.jsonl")
    assert refused.code == 2
    assert "tokens: the student's tokenizer is needed" in refused.err and "give --student MODEL" in refused.err
    done = command("export", finished, "--format", "messages", "--to", tmp_path / "t.jsonl")
    assert "not rendered with the student's template" in done.out
