"""All methods on the embedded pair side by side: `python -m bench.compare [--problems 60] [--run DIR]`.

Prints the table of docs/compare.md, each method held against the student alone, and whether the paper's prediction
holds here: that data written in turns have a lower L_Sty under the student than the teacher's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import antiphon
from antiphon import lab
from antiphon.analyse.drift import APART, STYLE
from antiphon.analyse.report import Comparison, Row
from antiphon.errors import AntiphonError
from antiphon.problem import Problem, load
from antiphon.settings import Settings
from antiphon.settings import load as load_settings
from antiphon.synth.methods import METHODS
from antiphon.synth.run import Run
from antiphon.verify.choose import verifiers
from antiphon.verify.judge import judge

STUDENT, TURNS, TEACHER = "student_only", "tessy", "teacher_only"
NEEDS = {
    "random_boundaries": {"like": TURNS},
    "fixed_boundaries": {"like": TURNS},
    "revoice": {"source": TEACHER},
}
ROWS = {
    "right": "right",
    "L": "whole response",
    "L_Sty": "style (L_Sty)",
    "L_Cap": "capability (L_Cap)",
    "L of the answer": "answer",
    "teacher's share": "teacher's share of the thinking",
    "words of thinking": "words of thinking",
    "tokens received": "tokens received",
    "thrown away": "thrown away",
}


def settings_of(method: str) -> Settings:
    return load_settings(
        flags={
            "method": method,
            "teacher.model": "lab:teacher",
            "student.model": "lab:student",
            "teacher.runs": "in-process",
            "student.runs": "in-process",
            "boundary.teacher": "lab",
            "boundary.student": "lab",
            "budget.thinking": 300,
            "budget.answer": 50,
            "seed": 1,
            **NEEDS.get(method, {}),
        },
        environment={},
    )


async def write(problems: Sequence[Problem], directory: Path) -> list[str]:
    """The traces of all methods, judged; the names of those that there are."""
    written = []
    for method in (STUDENT, TURNS, TEACHER, *(name for name in METHODS if name not in (STUDENT, TURNS, TEACHER))):
        try:
            await Run(problems, directory, settings_of(method)).work()
            await judge(directory, verifiers(), variant=method)
        except AntiphonError as error:
            print(f"{method}: left out: {error}", file=sys.stderr)
        else:
            written.append(method)
            print(method, file=sys.stderr, flush=True)
    return written


async def measured(directory: Path, methods: Sequence[str]) -> Comparison:
    places = [f"{directory}:{method}" for method in methods]
    return await antiphon.compare(places, under="lab:student", boundary="lab", scores=directory / "likelihoods")


def cell(row: Row | None, side: int) -> str:
    """A value, starred where it differs from the first side's by more than chance."""
    value = None if row is None else row.values[side]
    if row is None or value is None:
        return "-"
    change = row.changes[side]
    star = "*" if change is not None and change.star else ""
    digits = f"{value.value:.0%}" if row.unit == "share" else f"{value.value:.{3 if 'nats' in row.unit else 1}f}"
    return digits + star


def table(made: Comparison) -> Iterator[str]:
    rows = {row.name: row for part in made.tables for row in part.rows}
    yield f"| method | {' | '.join(ROWS)} | style words | told apart |"
    yield f"| --- |{' ---: |' * (len(ROWS) + 2)}"
    drifts = {drift.side: {one.name: one for one in drift.distances} for drift in made.drifts}
    for side, about in enumerate(made.sides):
        cells = [cell(rows.get(name), side) for name in ROWS.values()]
        for name in (STYLE, APART):
            one = drifts.get(side, {}).get(name)
            cells.append("-" if one is None or one.value is None else f"{one.value:.2f}{'*' if one.star else ''}")
        yield f"| `{about.variant}` | {' | '.join(cells)} |"


def prediction(made: Comparison) -> Iterator[str]:
    """The paper's claim, tested: every part of the loss of the data in turns, less that of the teacher's own."""
    (likelihood,) = (part for part in made.tables if part.name == "likelihood")
    for name in ("whole response", "style (L_Sty)", "capability (L_Cap)", "answer"):
        for row in (row for row in likelihood.rows if row.name == name):
            change = row.changes[1]
            if change is not None and change.interval is not None and change.p is not None:
                low, high = change.interval
                yield (
                    f"{name}: {change.difference:+.3f} nats a token ({low:+.3f} to {high:+.3f}), p {change.p:.4f}, "
                    f"{'more than' if change.star else 'no more than'} chance, {change.problems} problems"
                )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--run", type=Path, help="the run directory; unset: one that is thrown away")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "problems.jsonl"
        path.write_text("".join(f"{json.dumps(one)}\n" for one in lab.problems(chosen.problems, seed=0)), "utf-8")
        directory = chosen.run or Path(scratch) / "run"
        methods = await write(load([path]).problems, directory)
        print(*table(await measured(directory, methods)), sep="\n")
        print(f"\n{TURNS} less {TEACHER}:\n")
        print(*prediction(await measured(directory, [TEACHER, TURNS])), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
