"""The laboratory: a small world in which the whole method runs in a minute, with two tiny models of its own.

Problems of a few families with one right answer each, an exact check, and the embedded pair `lab:teacher` and
`lab:student` (`docs/lab.md`). Nothing here loads a heavy library.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import TypedDict

from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.language import result_of
from antiphon.lab.tasks import FAMILIES as _MAKERS
from antiphon.lab.tasks import draw

__all__ = ["FAMILIES", "TARGET", "Record", "is_right", "problems"]

FAMILIES = tuple(_MAKERS)
"""The names of the families, the target first."""

TARGET = "multiplication"
"""The family on which the student is weak."""

_PATIENCE = 100_000  # draws without a new problem before a family counts as exhausted


class Record(TypedDict):
    """One problem, as a line of a problem file."""

    id: str
    problem: str
    family: str
    answer: str


def problems(n: int, *, seed: int, family: str = TARGET, without: Collection[str] = ()) -> list[Record]:
    """Different problems of one family, none of which the pair has seen in pre-training.

    Args:
        n: how many.
        seed: the same seed gives the same problems; more of them begin with the same ones.
        family: one of `FAMILIES`.
        without: ids that are not to be among them (those that were trained on, for a test).

    Raises:
        ValueError: for an unknown family, or more problems than it has.
    """
    if family not in _MAKERS:
        raise ValueError(f"no family is called {family!r}; there are {', '.join(FAMILIES)}")
    found: dict[str, Record] = {}
    idle = 0
    for task in draw(family, random.Random(f"{family} {seed}"), held_out=True):
        if len(found) == n:
            break
        key = f"{family}-{task.key}"
        if key in found or key in without:
            idle += 1
            if idle > _PATIENCE:
                raise ValueError(f"{family} has no {n} different problems (found {len(found)})")
            continue
        idle = 0
        found[key] = Record(id=key, problem=task.question, family=family, answer=task.solve(Arithmetic())[1])
    return list(found.values())


def is_right(problem: Record, answer: str) -> bool:
    """Whether an answer (the text behind the thinking) gives exactly the problem's result, in the phrases of either
    author or bare."""
    return result_of(answer) == problem["answer"]
