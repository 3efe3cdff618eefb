"""Real traces of many models imported, exported to every format and read back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.export import FORMATS, write
from antiphon.export.container import rows
from antiphon.imports import bring
from antiphon.store import Reader
from antiphon.trace import Status

pytestmark = pytest.mark.slow

END = "<|im_end|>"
TEXT_OF: dict[str, Callable[[dict[str, Any]], str]] = {
    "messages": lambda row: row["messages"][-1]["content"],
    "prompt_completion": lambda row: row["completion"].removesuffix(END),
    "tessy": lambda row: row["dialogs"][-1]["content"],
    "sharegpt": lambda row: row["conversations"][-1]["value"],
    "axolotl": lambda row: row["messages"][-1]["content"],
    "verl": lambda row: row["messages"][-1]["content"],
    "parquet": lambda row: row["response"],
}
LISTED = {"spells control tokens": 83}
"""What a student's vocabulary cannot hold as text."""


@pytest.fixture(scope="module")
def run(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("traces") / "run"
    done = asyncio.run(bring(f"{shared}/traces/*.jsonl", directory))
    assert (done.bad, done.changed, done.known) == ([], [], 0)
    assert done.rows == sum(sum(counts.values()) for counts in done.added.values())
    return directory


@pytest.fixture(scope="module")
def published(shared: Path) -> Counter[tuple[str, str]]:
    """All responses, by problem."""
    found: Counter[tuple[str, str]] = Counter()
    for file in sorted((shared / "traces").glob("*.jsonl")):
        for line in file.read_text("utf-8").split("\n"):
            if line:
                record = json.loads(line)
                found[record["problem_id"], record["response"]] += 1
    return found


@pytest.mark.parametrize("format", TEXT_OF)
def test_every_response_comes_back_or_is_listed(
    shared: Path, run: Path, published: Counter[tuple[str, str]], tmp_path: Path, format: str
) -> None:
    student = f"{shared}/tokenizers/qwen3" if FORMATS[format].needs else None
    path = tmp_path / "all.parquet"
    with Reader(run) as reader:
        done = write(reader, format, path, statuses=frozenset(Status), student=student)
    read = Counter((str(row.get("problem_id") or row["id_ddm"]), TEXT_OF[format](row)) for row in rows(path, path.name))
    assert not read - published
    assert dict(done.left_out) == (LISTED if student else {})
    assert (published - read).total() == sum(done.left_out.values())


def test_the_tokens_of_a_response_are_its_text(shared: Path, tmp_path: Path) -> None:
    """The export compares each row with the record by itself."""
    files = [
        shared / "traces" / f"{name}.jsonl" for name in ("sql_deepseek_v4", "code_mellum2_12b", "code_deepseek_r1")
    ]
    asyncio.run(bring(files, tmp_path / "run"))
    with Reader(tmp_path / "run") as reader:
        done = write(reader, "tokens", tmp_path / "t.parquet", student=f"{shared}/tokenizers/qwen3")
    assert (done.rows, done.left_out) == (25, {})


def test_every_format_is_tried() -> None:
    assert {*TEXT_OF, "tokens"} == set(FORMATS)


def test_markers_of_all_of_them_in_one_spelling(shared: Path, tmp_path: Path) -> None:
    asyncio.run(bring(f"{shared}/traces/*.jsonl", tmp_path / "run", markers="qwen3"))
    with Reader(tmp_path / "run") as reader:
        for trace in reader.traces():
            assert trace.response.startswith("<think>\n")
            if trace.closed_by is not None:
                assert trace.response == f"<think>\n{trace.thinking}\n</think>\n\n{trace.answer}"
