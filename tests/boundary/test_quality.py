"""The shipped pages on marked slices, each on its domains, on the half of the problems that no phrase was chosen on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from antiphon.boundary import load
from antiphon.boundary.making.judge import judge
from antiphon.boundary.making.marked import MarkedText, read_marked
from antiphon.boundary.making.scores import Counts, compare, figures, total
from antiphon.trace import Author

PAGES = {"math": "math", "logic": "general", "argument": "general", "code": "code", "sql": "sql", "support": "support"}


def on_test_half(problem_key: str) -> bool:
    return hashlib.sha256(problem_key.encode()).digest()[0] % 2 == 0


def counted(marked: list[MarkedText]) -> Iterator[Counts]:
    for page, some in groupby(sorted(marked, key=lambda item: PAGES[item.domain]), lambda item: PAGES[item.domain]):
        texts = list(some)
        judged = asyncio.run(judge(load(page), ((item.text, Author.STUDENT) for item in texts), by_word=True))
        for item, (verdicts, due) in zip(texts, judged, strict=True):
            yield compare([verdict.style for verdict in verdicts[:due]], item.classes[:due])


def test_the_shipped_pages_are_as_good_as_the_documentation_says(shared: Path) -> None:
    marked = [item for item in read_marked(shared / "style_spans.jsonl") if on_test_half(item.problem_key)]
    found = figures(total(counted(marked)))
    assert round(found.style_f1, 3) == 0.834
    assert round(found.near_f1, 3) == 0.864
