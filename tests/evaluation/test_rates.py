"""Pass rates in a problems file: the records as they were, with two fields more."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import ProblemError, UsageError
from antiphon.evaluation.rates import write_rates
from antiphon.evaluation.results import Evaluation
from antiphon.problem import load
from antiphon.problem.where import choose
from tests.evaluation.evaluations import evaluated, read

RECORDS: list[dict[str, Any]] = [
    {"task_id": "a", "question": "what of a?", "tests": [1, {"x": None}], "pass_rate": 0.9},
    {"task_id": "b", "question": "what of b?\u2028\ud800"},
    {"task_id": "c", "question": "what of c?", "pass_rate": 1.0, "pass_samples": 4},
]


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return read(evaluated(tmp_path / "run", {"a": ["right", "wrong", "failed"], "b": ["too_long"], "c": ["failed"]}))


def test_a_record_keeps_all_it_had(tmp_path: Path, evaluation: Evaluation) -> None:
    done = write_rates([str(written(tmp_path / "p.jsonl", RECORDS))], evaluation, tmp_path / "rated.jsonl")
    assert (done.records, done.rated, done.bad) == (3, 2, 0)
    rows = [json.loads(line) for line in (tmp_path / "rated.jsonl").read_text().split("\n") if line]
    assert rows == [
        {**RECORDS[0], "pass_rate": 0.5, "pass_samples": 2},
        {**RECORDS[1], "pass_rate": 0.0, "pass_samples": 1},
        {"task_id": "c", "question": "what of c?"},
    ]
    rated = load(tmp_path / "rated.jsonl").problems
    assert [problem.messages for problem in rated] == [p.messages for p in load(tmp_path / "p.jsonl").problems]
    assert [problem.id for problem in choose(rated, "pass_rate < 0.5").problems] == ["b"]


def test_a_file_may_be_written_over_itself(tmp_path: Path, evaluation: Evaluation) -> None:
    path = written(tmp_path / "p.jsonl", RECORDS)
    first = write_rates([str(path)], evaluation, path)
    once = path.read_bytes()
    assert write_rates([str(path)], evaluation, path) == first
    assert path.read_bytes() == once and b'"pass_rate":0.5' in once


def test_bad_records_are_counted_and_the_file_may_be_compressed(tmp_path: Path, evaluation: Evaluation) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,question\na,what of a?\n,\nb,what of b?\n")
    done = write_rates([str(path)], evaluation, tmp_path / "rated.jsonl.gz")
    assert (done.records, done.rated, done.bad) == (2, 2, 1)
    assert gzip.decompress((tmp_path / "rated.jsonl.gz").read_bytes()).count(b"\n") == 2


def test_the_problem_may_be_stated_otherwise(tmp_path: Path, evaluation: Evaluation) -> None:
    path = written(tmp_path / "p.jsonl", [{"id": "a", "statement": "what of a?"}])
    to = tmp_path / "rated.jsonl"
    assert write_rates([str(path)], evaluation, to).bad == 1
    assert write_rates([str(path)], evaluation, to, field="statement").rated == 1
    assert write_rates([str(path)], evaluation, to, template="{{ statement }}").rated == 1


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, evaluation: Evaluation) -> None:
    path = written(tmp_path / "p.jsonl", RECORDS)
    for to, said in [("rated.parquet", "must end in .jsonl"), ("no/rated.jsonl", "cannot be written")]:
        with pytest.raises(UsageError, match=said):
            write_rates([str(path)], evaluation, tmp_path / to)
    with pytest.raises(UsageError, match="standard input"):
        write_rates(["-"], evaluation, tmp_path / "rated.jsonl")
    with pytest.raises(ProblemError, match="no such file"):
        write_rates([str(path), str(tmp_path / "none.jsonl")], evaluation, path)
    assert path.read_text().count("\n") == 3 and {file.name for file in tmp_path.iterdir()} == {"p.jsonl", "run"}
