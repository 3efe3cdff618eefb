"""Filters: each sees what those before it keep; what they leave out is counted by their words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from antiphon.export import write
from antiphon.export.base import Pair
from antiphon.problem import Problem
from antiphon.store import Outcome
from antiphon.trace import Status
from tests.export.fake import run, trace


class Unless:
    """Keeps answers that do not hold a word."""

    def __init__(self, word: str):
        self._word = word

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """Needs none."""

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        return f"holds {self._word}" if self._word in (outcome.response or "") else None


class Longest:
    """Keeps the longest of all answers it is shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def prepare(self, pairs: Iterable[Pair]) -> None:
        self.seen = [outcome.response or "" for _, outcome in pairs]

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        return None if outcome.response == max(self.seen, key=len) else "shorter"


def test_each_filter_sees_what_those_before_it_keep(tmp_path: Path) -> None:
    texts = ["bad but long", "good", "better", "bad"]
    traces = [trace(text, sample=n) for n, text in enumerate(texts)]
    longest = Longest()
    path = tmp_path / "x.jsonl"
    done = write(
        run(*traces, trace("failed and long", sample=9, status=Status.FAILED)),
        "messages",
        path,
        select=[Unless("bad"), longest],
    )
    assert longest.seen == ["good", "better"]
    assert done.left_out == {"holds bad": 2, "shorter": 1, "failed": 1}
    assert [json.loads(line)["sample"] for line in path.read_text().splitlines()] == [2]
