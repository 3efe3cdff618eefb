"""Decontamination on real problems: planted near-copies of HumanEval and MATH among GSM8K and MBPP."""

from __future__ import annotations

import asyncio
import json
import random
import re
from pathlib import Path
from typing import Any

from antiphon.export import write
from antiphon.export.clean import Without, listed
from antiphon.imports import bring
from antiphon.store import Reader
from antiphon.trace import Status
from tests.cli.conftest import write_lines

_ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def near_copy(text: str, draw: random.Random) -> str:
    """Numbers spelled or other ones, another case, text before, behind and between two sentences."""

    def reworded(found: re.Match[str]) -> str:
        value = int(found[0])
        return _ONES[value] if value < len(_ONES) and draw.random() < 0.5 else str(draw.randrange(2, 999))

    text = draw.choice((str.upper, str.lower, str.title, str))(re.sub(r"\b\d+\b", reworded, text))
    first, dot, rest = text.partition(". ")
    if dot:
        text = f"{first}. Take your time with this. {rest}"
    return f"Here is a task for you, read it with care.\n\n{text}\n\nShow all your work."


def test_near_copies_are_found_and_no_other_problem_is(shared: Path, tmp_path: Path) -> None:
    problems = shared / "problems"
    sets = [problems / "humaneval.jsonl", problems / "math500.jsonl"]
    draw = random.Random(8)
    items = [item for file in sets for item in draw.sample(rows(file), 25)]
    planted = [
        {"id": f"planted-{item['problem_id']}", "problem": near_copy(item["problem"], draw), "response": "42"}
        for item in items
    ]
    others = [*rows(problems / "gsm8k_test.jsonl")[:300], *rows(problems / "mbpp.jsonl")[:200]]
    clean = [{"id": item["problem_id"], "problem": item["problem"], "response": "42"} for item in others]
    file = write_lines(tmp_path / "rows.jsonl", [*planted, *clean])
    asyncio.run(bring(file, tmp_path / "run"))

    filters = [Without(sets)]
    with Reader(tmp_path / "run") as reader:
        done = write(reader, "messages", tmp_path / "train.jsonl", select=filters)
        found = list(listed(reader.outcomes([Status.COMPLETE]), filters))
    assert (done.rows, done.left_out) == (500, {"in humaneval.jsonl": 25, "in math500.jsonl": 25})
    assert {row["problem"] for row in found} == {row["id"] for row in planted}
    named = [row["problem"].removeprefix("planted-") == row["id"] for row in found]
    assert sum(named) >= 48  # some items are alike
