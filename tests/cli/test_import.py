"""`antiphon import`: data made elsewhere, then what is done with any run."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.imports.record import FORMATS
from tests.cli.conftest import Command, write_lines

REPLY = "<think>\nA.\n</think>\n\nB"


def row(id: str, text: str = REPLY, **fields: object) -> dict[str, object]:
    dialogs = [{"role": "user", "content": f"What is {id}?"}, {"role": "assistant", "content": text}]
    return {"id_ddm": id, "dialogs": dialogs, **fields}


def test_what_came_in_is_exported_as_it_was(command: Command, finished: Path, tmp_path: Path) -> None:
    """The authors' shape written, read and written again: equal."""
    first, again = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    command("export", finished, "--format", "tessy", "--to", first)
    done = command("import", first, "--run", tmp_path / "other", "--variant", "published", "--json")
    assert done.json["added"] == {"published": {"complete": 3}}
    command("export", tmp_path / "other", "--format", "tessy", "--to", again)
    assert first.read_bytes() == again.read_bytes()


def test_what_was_done_is_told(command: Command, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row("a"), row("b", "A.\n</think>\n\nB"), {"dialogs": []}])
    done = command("import", file, "--run", tmp_path / "run")
    assert done.code == 1
    assert "3 rows, 2 traces added" in done.out
    assert "imported: 2 complete" in done.out
    assert "1 begin in mid-thinking" in done.out
    assert f"{file}:3: " in done.err
    write_lines(file, [row("a", "C"), row("b", "A.\n</think>\n\nB")])
    done = command("import", file, "--run", tmp_path / "run")
    assert (done.code, f"{file}:1: is not what was imported" in done.err) == (1, True)
    assert "0 traces added, 1 were there before" in done.out
    assert command("import", file, "--run", tmp_path / "run", "--json").json["changed"]


def test_imports_are_a_run_like_any_other(command: Command, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row("a", correct=True), row("b", correct=False)])
    assert command("import", file, "--run", tmp_path / "run", "--model", "R1").code == 0
    assert "R1" in command("status", tmp_path / "run").out
    shown = command("trace", tmp_path / "run", "a").out
    assert "B" in shown and "closed by" not in shown, "who closed it is not known"
    target = tmp_path / "t.jsonl"
    export = ("export", tmp_path / "run", "--format", "messages", "--to", target, "--json")
    assert command(*export, "--only", "right").json["left_out"] == {"wrong": 1}


def test_wrong_use(command: Command, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row("a")])
    for wrong in (("--format", "csv"), ("--markers", "elvish")):
        done = command("import", file, "--run", tmp_path / "run", *wrong)
        assert (done.code, wrong[1] in done.err) == (2, True)
    assert command("import", tmp_path / "none.jsonl", "--run", tmp_path / "run").code == 2


def test_a_line_of_the_table_makes_a_shape(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "mine", FORMATS["traces"])
    assert "messages, traces, mine (docs/import.md)" in " ".join(command("import", "--help").out.split())
    rows = write_lines(tmp_path / "rows.jsonl", [{"problem": "1+1?", "response": REPLY}])
    brought = command("import", rows, "--run", tmp_path / "run", "--format", "mine", "--json")
    assert brought.code == 0 and brought.json["rows"] == 1
