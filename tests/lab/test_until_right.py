"""Samples of the embedded student until one is right: as often as its single samples say."""

from __future__ import annotations

import asyncio
from math import comb
from pathlib import Path

import pytest

from antiphon import lab
from antiphon.api import ask
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Label, Verdict

PROBLEMS, SINGLE, MOST = 40, 16, 8
FLAGS = {
    "method": "student_only",
    "student.model": "lab:student",
    "student.runs": "in-process",
    "budget.thinking": 300,
    "budget.answer": 50,
}
RECORDS = {ask(record["problem"]).id: record for record in lab.problems(PROBLEMS, seed=23)}


async def check(problem: Problem, answer: str) -> Verdict:
    right = lab.is_right(RECORDS[problem.id], answer)
    return Verdict("lab", "1", Label.RIGHT if right else Label.WRONG)


def right_ones(directory: Path, **flags: object) -> list[list[bool]]:
    """Of each problem's samples, which are right."""
    problems = [ask(record["problem"]) for record in RECORDS.values()]
    run = Run(problems, directory, load(flags={**FLAGS, **flags}, environment={}), check=check)
    asyncio.run(run.work())
    with Reader(directory) as reader:
        asked = {problem.id: problem for problem in problems}
        return [
            [asyncio.run(check(asked[one.key.problem], reader.answer(one.key))).label is Label.RIGHT for one in them]
            for them in reader.standings()
        ]


def some_right(samples: list[bool], k: int) -> float:
    """How often one of k samples is right, by these."""
    return 1 - comb(len(samples) - sum(samples), k) / comb(len(samples), k)


@pytest.mark.slow
def test_right_traces_are_found_as_often_as_single_samples_say(tmp_path: Path) -> None:
    single = right_ones(tmp_path / "single", samples=SINGLE, seed=5)
    until = right_ones(tmp_path / "until", until_right=1, max_samples=MOST, seed=77)
    assert {len(samples) for samples in single} == {SINGLE}
    share = sum(map(any, until)) / PROBLEMS
    traces = sum(map(len, until)) / PROBLEMS
    expected = sum(some_right(samples, MOST) for samples in single) / PROBLEMS
    needed = sum(1 + sum(1 - some_right(samples, k) for k in range(1, MOST)) for samples in single) / PROBLEMS
    print(f"right: {share:.3f}, expected {expected:.3f}; traces a problem: {traces:.2f}, expected {needed:.2f}")
    for samples in until:
        assert sum(samples) == any(samples) and (samples[-1] or len(samples) == MOST), "none beyond the first right one"
    assert abs(share - expected) < 0.08
    assert abs(traces - needed) < 0.6
