"""Right answers as tables of seeds and problems, which is what every figure and test of a report is made of."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon import lab
from antiphon.lab.arms import ARMS
from antiphon.lab.results import BASE, Evaluation, Results

Table = dict[int, list[float]]
"""By seed, a value for each problem, in the same order for all seeds."""


class Answers:
    """What the students of an experiment answered.

    Attributes:
        target, others: the family that is trained on, and all other ones.
        rate: the main learning rate.
        rates: all that something was trained at, the main one first.
        points: the steps after which students are evaluated.
        arms: those of which anything was evaluated, in the order of the experiment, without the base.
        seeds: of which anything was evaluated.
        problems: by family, those that all students were asked.
    """

    def __init__(self, results: Results):
        training, asked = results.config["training"], results.config["problems"]
        trained = [one for one in results.evaluations if one.arm != BASE]
        families = dict.fromkeys(one.family for one in results.evaluations)
        self.target: str = next(iter(asked.get("evaluation") or ()), lab.TARGET)
        self.others = tuple(filter(self.is_other, families))
        self.rate: float = training["rate"]
        side = sorted({one.rate for one in trained if one.rate is not None} - {self.rate})
        self.rates: tuple[float, ...] = (self.rate, *side)
        self.points: tuple[int, ...] = tuple(training["points"])
        there = {one.arm for one in trained}
        order = dict.fromkeys((*results.config["arms"], *ARMS, *sorted(there)))
        self.arms = tuple(arm for arm in order if arm in there)
        self.seeds = tuple(sorted({one.seed for one in trained}))
        self.problems = {family: _shared([e for e in results.evaluations if e.family == family]) for family in families}
        self._right = {
            (one.arm, one.rate, one.seed, one.step, one.family): dict(zip(one.problems, one.right, strict=True))
            for one in results.evaluations
        }

    @property
    def last(self) -> int:
        """The last point."""
        return self.points[-1]

    def is_other(self, family: str) -> bool:
        """Whether it is not the target."""
        return family != self.target

    def table(self, arm: str, rate: float, steps: Sequence[int], families: Sequence[str]) -> Table:
        """What an arm's students came to: by problem the share of these steps after which the answer was right. A seed
        of which anything of it is missing is left out; the base has one, 0, and no steps."""
        if arm == BASE:
            found = {0: [self._row(BASE, None, 0, 0, families)]}
        else:
            found = {seed: [self._row(arm, rate, seed, step, families) for step in steps] for seed in self.seeds}
        return {
            seed: [sum(marks) / len(marks) for marks in zip(*rows, strict=True)]
            for seed, rows in found.items()
            if all(rows)
        }

    def less(self, first: str, second: str, rate: float, steps: Sequence[int], families: Sequence[str]) -> Table:
        """What a first arm's students came to less what a second one's did, seed by seed and problem by problem; the
        base is the same for all seeds."""
        one, other = (self.table(arm, rate, steps, families) for arm in (first, second))
        if second == BASE and other:
            other = dict.fromkeys(one, other[0])
        return minus(one, other)

    def _row(self, arm: str, rate: float | None, seed: int, step: int, families: Sequence[str]) -> list[float]:
        """1 for each problem that was right, else 0; empty if anything is missing."""
        marks: list[float] = []
        for family in families:
            right = self._right.get((arm, rate, seed, step, family))
            if right is None:
                return []
            marks += (float(right[problem]) for problem in self.problems[family])
        return marks


def minus(first: Table, second: Table) -> Table:
    """The difference, of the seeds that both have."""
    return {
        seed: [a - b for a, b in zip(row, second[seed], strict=True)] for seed, row in first.items() if seed in second
    }


def _shared(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    in_all = set.intersection(*(set(one.problems) for one in evaluations))
    return tuple(problem for problem in evaluations[0].problems if problem in in_all)
