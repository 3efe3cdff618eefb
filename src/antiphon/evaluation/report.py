"""The figures of an evaluation, and of two on the same problems."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UsageError
from antiphon.evaluation.results import Evaluation, Sample
from antiphon.problem import Problem
from antiphon.statistics import Difference, Interval, difference, mean_interval, pass_at_k
from antiphon.trace import Status
from antiphon.verify.result import Result

DIFFICULTIES = ("difficulty", "level")
"""The fields by which problems are told apart unless another is named: the first that there is."""

_RANKS = ("easy", "medium", "hard")
_NONE = "(none)"


@dataclass(frozen=True, slots=True)
class Rate:
    """pass@k: its mean over problems from 0 to 1, a 95% interval, and how many problems have k samples that count."""

    k: int
    value: float
    interval: Interval
    problems: int


@dataclass(frozen=True, slots=True)
class Group:
    """Some problems: their name, how many of them have samples that count, what all of their samples came to, and the
    rates, those for which some problem has samples enough."""

    name: str
    problems: int
    results: Mapping[Result, int]
    rates: Sequence[Rate]

    @property
    def samples(self) -> int:
        """How many samples count."""
        return sum(count for result, count in self.results.items() if result.counts)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths in tokens."""

    median: float
    mean: float
    p90: float


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one evaluation.

    Attributes:
        groups: the problems by their field `by`, empty where they have none.
        cut_off: the samples that were cut off, by how.
        thinking, answer: lengths over the samples that count, None without any; `exact` False: some are estimated.
        cannot_judge, failed: why samples could not be judged or written, and how many.
        uncounted: ids of the problems none of whose samples count.
    """

    whole: Group
    by: str | None
    groups: Sequence[Group]
    cut_off: Mapping[Status, int]
    thinking: Lengths | None
    answer: Lengths | None
    exact: bool
    cannot_judge: Mapping[str, int]
    failed: Mapping[str, int]
    uncounted: Sequence[str]


def report(evaluation: Evaluation, *, ks: Sequence[int] | None = None, by: str | None = None) -> Report:
    """The figures of an evaluation.

    Args:
        ks: for which k to give pass@k; None: 1, 2, 4 ... up to the most samples of a problem.
        by: the field that parts the problems; None: the first of `DIFFICULTIES` that one has.

    Raises:
        UsageError: no problem has the field.
    """
    samples = evaluation.by_problem()
    ks = _powers(samples) if ks is None else ks
    by = parting(evaluation.problems.values(), by)
    counted = [sample for of_problem in samples.values() for sample in of_problem]
    return Report(
        whole=_group("all", evaluation.problems, evaluation, samples, ks),
        by=by,
        groups=[_group(name, ids, evaluation, samples, ks) for name, ids in _parts(evaluation.problems, by)],
        cut_off=Counter(s.status for s in counted if s.result is Result.CUT_OFF and s.status is not None),
        thinking=_lengths([sample.thinking for sample in counted]),
        answer=_lengths([sample.answer for sample in counted]),
        exact=all(sample.exact for sample in counted),
        cannot_judge=_reasons(evaluation, Result.CANNOT_JUDGE),
        failed=_reasons(evaluation, Result.FAILED),
        uncounted=[id for id in evaluation.problems if id not in samples],
    )


@dataclass(frozen=True, slots=True)
class Contrast:
    """pass@k of two models on the same problems: of how many, both means, and by how much the second is ahead."""

    name: str
    k: int
    problems: int
    first: float
    second: float
    difference: Difference


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations on the problems that both have.

    Attributes:
        whole: for each k.
        groups: pass@1 of the problems by their field `by`.
        only_first, only_second: ids of problems that count in one alone.
        changed: ids of problems that both have, with other words: left out.
    """

    whole: Sequence[Contrast]
    by: str | None
    groups: Sequence[Contrast]
    only_first: Sequence[str]
    only_second: Sequence[str]
    changed: Sequence[str]


def compare(
    first: Evaluation, second: Evaluation, *, ks: Sequence[int] | None = None, by: str | None = None
) -> Comparison:
    """How two evaluations differ, problem by problem; the arguments are `report`'s.

    Raises:
        UsageError: they share no problem that counts, or no problem has the field.
    """
    a, b = first.by_problem(), second.by_problem()
    changed = [id for id in a if id in b and first.problems[id].messages != second.problems[id].messages]
    both = {id: first.problems[id] for id in a if id in b and id not in changed}
    if not both:
        raise UsageError(
            f"{first.name} and {second.name} share no problem with answers that were judged in both; "
            "evaluate on the same problems"
        )
    ks = [k for k in _powers(a) if k in _powers(b)] if ks is None else ks
    by = parting(both.values(), by)

    def contrasts(name: str, ids: Sequence[str], ks: Sequence[int]) -> Iterator[Contrast]:
        for k in ks:
            enough = [id for id in ids if min(len(a[id]), len(b[id])) >= k]
            if enough:
                one, other = ([_pass(samples[id], k) for id in enough] for samples in (a, b))
                before, after = (sum(values) / len(values) for values in (one, other))
                yield Contrast(name, k, len(enough), before, after, difference(other, one))

    return Comparison(
        whole=list(contrasts("all", list(both), ks)),
        by=by,
        groups=[contrast for name, ids in _parts(both, by) for contrast in contrasts(name, ids, [1])],
        only_first=[id for id in a if id not in b],
        only_second=[id for id in b if id not in a],
        changed=changed,
    )


def parting(problems: Iterable[Problem], by: str | None) -> str | None:
    """The field that parts the problems; None: there is none.

    Args:
        by: its name; None: the first of `DIFFICULTIES` that a problem has.

    Raises:
        UsageError: no problem has the field that is named.
    """
    there = {name for problem in problems for name in problem.metadata}
    if by is None:
        return next((name for name in DIFFICULTIES if name in there), None)
    if by not in there:
        raise UsageError(f"--by {by}: no problem has that field; there are: {', '.join(sorted(there)) or 'none'}")
    return by


def rate_of(samples: Sequence[Sample]) -> float:
    """The share of right ones among samples that count."""
    return _pass(samples, 1)


def _reasons(evaluation: Evaluation, result: Result) -> Mapping[str, int]:
    return Counter(sample.detail for sample in evaluation.samples if sample.result is result)


def _group(
    name: str,
    ids: Sequence[str] | Mapping[str, Problem],
    whole: Evaluation,
    counted: Mapping[str, list[Sample]],
    ks: Sequence[int],
) -> Group:
    wanted = frozenset(ids)
    results = Counter(sample.result for sample in whole.samples if sample.key.problem in wanted)
    of_problems = [counted[id] for id in ids if id in counted]
    rates = []
    for k in ks:
        values = [_pass(samples, k) for samples in of_problems if len(samples) >= k]
        if values:
            rates.append(Rate(k, sum(values) / len(values), mean_interval(values), len(values)))
    return Group(name, len(of_problems), {result: results[result] for result in Result if results[result]}, rates)


def _pass(samples: Sequence[Sample], k: int) -> float:
    return pass_at_k(len(samples), sum(sample.result is Result.RIGHT for sample in samples), k)


def _powers(samples: Mapping[str, Sequence[Sample]]) -> list[int]:
    most = max(map(len, samples.values()), default=1)
    return [1 << power for power in range(most.bit_length())]


def _parts(problems: Mapping[str, Problem], by: str | None) -> Iterator[tuple[str, list[str]]]:
    """The problems' ids by their value of a field, in the order of the values."""
    if by is None:
        return
    parts: dict[str, list[str]] = {}
    for id, problem in problems.items():
        parts.setdefault(_shown(problem.metadata.get(by)), []).append(id)
    yield from sorted(parts.items(), key=lambda part: _natural(part[0]))


def _shown(value: Any) -> str:
    if value is None:
        return _NONE
    return value if isinstance(value, str) else json.dumps(value)


def _natural(name: str) -> tuple[Any, ...]:
    """Easy before hard, 9 before 10, what has no value last."""
    rank = _RANKS.index(name.lower()) if name.lower() in _RANKS else len(_RANKS)
    pieces = re.split(r"(\d+)", name)
    return (name == _NONE, rank, [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces])


def _lengths(tokens: Sequence[int]) -> Lengths | None:
    if not tokens:
        return None
    import numpy as np

    median, p90 = np.quantile(tokens, [0.5, 0.9])
    return Lengths(float(median), sum(tokens) / len(tokens), float(p90))
