"""Exports of a real run directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.export import write
from antiphon.problem import load
from antiphon.store import Reader
from antiphon.trace import Status
from tests.export.fake import trace
from tests.export.record import record

AWKWARD = ["a\x00b", "\ud800", "\u2028\x85\r\n", "\udfff😀", "א\u200fב", "e\u0301 é"]


def test_every_character_of_a_run_reaches_the_file_and_comes_back(tmp_path: Path) -> None:
    ids = [f"p{number}{text}" for number, text in enumerate(AWKWARD)]
    record(
        tmp_path / "run", [trace("<think>", *AWKWARD, text, problem=id) for id, text in zip(ids, AWKWARD, strict=True)]
    )
    for format in ("messages", "tessy"):
        path = tmp_path / f"{format}.jsonl.zst"
        with Reader(tmp_path / "run") as reader:
            exported = write(reader, format, path)
        assert (exported.rows, exported.unpaired, exported.left_out) == (len(ids), len(ids), {})
        read = {p.metadata.get("problem_id", p.id): p.metadata["reference"] for p in load(path).problems}
        assert read == {id: "".join(["<think>", *AWKWARD, text]) for id, text in zip(ids, AWKWARD, strict=True)}


def test_a_later_export_takes_up_where_the_last_one_stopped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"

    def ids() -> list[str]:
        return [json.loads(line)["id"] for line in path.read_text().splitlines()]

    done = [trace("a"), trace("b", sample=1, status=Status.REPETITION), trace("c", variant="teacher_only")]
    record(tmp_path / "run", [*done, trace("d", sample=2, status=None)])
    with Reader(tmp_path / "run") as reader:
        first = write(reader, "messages", path)
        assert sorted(ids()) == ["p/teacher_only/0", "p/tessy/0"]
        assert first.left_out == {"repetition": 1, "pending": 1}
        assert first.change == reader.change()
    record(tmp_path / "run", [trace("d", sample=2)])
    with Reader(tmp_path / "run") as reader:
        second = write(reader, "messages", path, overwrite=True, since=first.change)
        assert ids() == ["p/tessy/2"]
        assert second.left_out == {}
        assert write(reader, "messages", path, overwrite=True, since=second.change).rows == 0
        assert write(reader, "messages", path, overwrite=True, variant="teacher_only").rows == 1
        with pytest.raises(UsageError):
            write(reader, "messages", path, overwrite=True, variant="none")
    assert ids() == ["p/teacher_only/0"], "an export that was refused leaves what was there"
