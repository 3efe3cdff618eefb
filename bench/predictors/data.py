"""What the shipped predictor is made of: marked slices, more of them, and traces nobody marked.

All of it lies outside the project. `marks.jsonl` beside this file says where in the traces more slices stand and what
is style in them; their text is in the traces alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from antiphon.boundary.making.corpus import Thinking, thinkings
from antiphon.boundary.making.marked import MarkedText, read_marked
from antiphon.boundary.words import words

DATA = Path(__file__).parents[3] / "shared" / "data"
MARKS = Path(__file__).with_name("marks.jsonl")
_WINDOW, _OVERLAP = 150, 15  # words
_FAMILIES = (
    "gpt-oss",
    "R1-Distill",
    "DeepSeek-R1-0528",
    "DeepSeek-R1",
    "deepseek-v4",
    "QwQ",
    "Qwen3",
    "Phi-4",
    "Sky-T1",
    "Nemotron",
    "Mellum",
)
_DOMAINS = {"code": "code", "sql": "sql", "support": "support", "misguided": "logic", "math500": "math"}


def gold() -> list[MarkedText]:
    """The slices of the two annotators."""
    return read_marked(DATA / "style_spans.jsonl")


def more() -> list[MarkedText]:
    """The further slices."""
    found = []
    for line in MARKS.read_text("utf-8").splitlines():
        mark = json.loads(line)
        trace = _traces(mark["source"])[mark["row"]]
        found.append(
            MarkedText(
                f"{mark['source']}/{mark['row']}/{mark['start']}",
                trace["response"][mark["start"] : mark["end"]],
                tuple((start, end) for start, end in mark["style"]),
                trace["problem_key"],
                _domain(mark["source"]),
                trace["model"],
            )
        )
    return found


class Unseen(NamedTuple):
    """What a predictor must not know: problems, and families of models."""

    problems: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()

    def has(self, problem: str, model: str) -> bool:
        return problem in self.problems or family(model) in self.families


def family(model: str) -> str:
    """Models that sound alike count as one: checkpoints and sizes of one series."""
    return next((name for name in _FAMILIES if name.lower() in model.lower()), model)


def marked(unseen: Unseen) -> list[MarkedText]:
    """All marked slices but those."""
    return [item for item in (*gold(), *more()) if not unseen.has(item.problem_key, item.model)]


def unmarked(unseen: Unseen) -> Iterator[str]:
    """All other thinking, in stretches of some hundred words that overlap a little."""
    for thinking in thinkings(sorted((DATA / "traces").glob("*.jsonl"))):
        if isinstance(thinking, Thinking) and not unseen.has(thinking.problem_key, thinking.model):
            text = thinking.stretch.text
            spans = words(text)
            for begin in range(0, len(spans), _WINDOW):
                window = spans[begin : begin + _WINDOW + _OVERLAP]
                if len(window) > _OVERLAP:
                    yield text[window[0][0] : window[-1][1]]


@cache
def _traces(source: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / "traces" / f"{source}.jsonl").read_text("utf-8").splitlines()]


def _domain(source: str) -> str:
    first, _, rest = source.partition("_")
    return _DOMAINS.get(first) or ("argument" if rest.startswith("argkp") else "math")
