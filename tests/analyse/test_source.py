"""Where texts come from, and which of them are read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from antiphon.analyse.source import choose, find
from antiphon.errors import StoreUnfit, UsageError
from antiphon.imports import bring
from antiphon.problem import content_id
from antiphon.store import Store
from antiphon.trace import Label, Status
from antiphon.verify.result import Result
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, UNKNOWN, problem, write_run

SPANS = [(STUDENT, STYLE, "okay, "), (TEACHER, CAPABILITY, "3+4=7"), (STUDENT, ANSWER, "7")]


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return path


def test_a_run_is_a_side_for_each_variant_with_what_each_trace_came_to(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run", {("a", 0): SPANS, ("b", 0): SPANS, ("c", 0): None}, labels={("a", 0): Label.RIGHT}
    )
    write_run(run, {("a", 0): SPANS}, variant="other", status={("a", 0): Status.TOO_LONG})
    first, second = find([str(run)])
    assert (first.name, second.name) == (f"{run}:tessy", f"{run}:other")
    assert (first.method, first.models) == ("tessy", {"student": "small"})
    assert [entry.result for entry in first.entries] == [Result.RIGHT, Result.NOT_JUDGED, Result.PENDING]
    assert [entry.result for entry in second.entries] == [Result.CUT_OFF]
    ((text, trace),) = first.texts(first.entries[:1])
    assert (text.thinking, text.answer, text.key) == ("okay, 3+4=7", "7", "a/tessy/0")
    assert trace is not None and text.complete
    (alone,) = find([f"{run}:other"])
    assert alone.name == second.name


def test_a_file_and_a_run_meet_where_they_ask_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {("a", 0): SPANS})
    asked = problem("a").messages[0]["content"]
    file = lines(
        tmp_path / "data.jsonl",
        {"problem": asked, "response": "<think>\nhm, 7\n</think>\n\n7", "model": "big"},
        {"problem": asked, "response": "<think>\nhm, hm", "complete": False},
        "{broken",
        {"problem": "else", "problem_key": "k", "generations": ["<think>x</think>y", "<think>z</think>w"]},
    )
    ran, read = find([str(run), str(file)])
    assert {entry.problem for entry in ran.entries} == {content_id(problem("a").messages)}
    assert [entry.problem for entry in read.entries] == [ran.entries[0].problem] * 2 + ["k"] * 2
    assert [entry.key for entry in read.entries] == [f"{file}:1", f"{file}:2", f"{file}:4:0", f"{file}:4:1"]
    assert [entry.status for entry in read.entries] == [Status.COMPLETE, Status.TOO_LONG, *[Status.COMPLETE] * 2]
    assert len(read.faults) == 1 and f"{file}:3" in read.faults[0]
    wanted = [read.entries[0], read.entries[3]]
    told = [text for text, trace in read.texts(wanted) if trace is None]
    assert [(text.thinking, text.answer) for text in told] == [("hm, 7", "7"), ("z", "w")]
    assert [(one.author, one.kind) for one in told[0].stretches] == [(UNKNOWN, THINKING), (UNKNOWN, ANSWER)]


def test_data_are_the_same_imported_and_as_a_file(tmp_path: Path) -> None:
    rows = [
        {"problem": "a", "response": "<think>\nhm, 7\n</think>\n\n7", "model": "big"},
        {"problem": "b", "response": "<think>\nhm, hm", "complete": False, "model": "big"},
        {"problem": "c", "reasoning": "so 8", "response": "8", "model": "big"},
    ]
    file = lines(tmp_path / "data.jsonl", *rows)
    asyncio.run(bring(file, tmp_path / "run"))
    (imported,), (read,) = find([str(tmp_path / "run")]), find([str(file)])
    assert [entry[2:] for entry in imported.entries] == [entry[2:] for entry in read.entries]
    told = [[(text.stretches, text.complete) for text, _ in side.texts(side.entries)] for side in (imported, read)]
    assert told[0] == told[1]


def test_all_sides_choose_the_same_problems_the_shared_ones_first(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(20)]
    first = lines(tmp_path / "a.jsonl", *({"problem": name, "response": "x"} for name in names))
    second = lines(tmp_path / "b.jsonl", *({"problem": name, "response": "x"} for name in reversed(names[10:])))
    a, b = find([str(first), str(second)])
    both = {entry.problem for entry in b.entries}
    chosen = [{entry.problem for entry in choose(side, [Status.COMPLETE], 4, both)} for side in (a, b)]
    assert chosen[0] == chosen[1] and len(chosen[0]) == 4
    assert choose(a, [Status.TOO_LONG], 4) == []


def test_what_is_nothing_to_compare_is_told_of(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {("a", 0): SPANS})
    with pytest.raises(UsageError, match="no variant 'none'; it holds tessy"):
        find([f"{run}:none"])
    Store.open(tmp_path / "begun").close()
    with pytest.raises(UsageError, match="has no variant yet; antiphon synth begins one"):
        find([str(tmp_path / "begun")])
    with pytest.raises(UsageError, match="named twice"):
        find([str(run), f"{run}:tessy"])
    with pytest.raises(UsageError, match="DIRECTORY:VARIANT"):
        find([str(tmp_path / "missing")])
    with pytest.raises(UsageError, match="no response in it"):
        find([str(lines(tmp_path / "empty.jsonl", "{broken"))])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.sqlite").write_bytes(b"no database")
    with pytest.raises((StoreUnfit, UsageError)):
        find([str(tmp_path / "broken")])
