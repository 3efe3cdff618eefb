"""Makes the findings of an experiment from its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from statistics import fmean

from antiphon.lab.arms import MAIN
from antiphon.lab.report.findings import (
    BOUNDARIES,
    CEILING,
    GAPS,
    LEVEL,
    LIKELIHOODS,
    OTHERS,
    STUDENT,
    TEACHER,
    TESSY,
    WHO_WROTE,
    Contrast,
    Correlation,
    Data,
    Dip,
    Findings,
    Form,
    Gap,
    Score,
)
from antiphon.lab.report.tables import Answers, Table, minus
from antiphon.lab.report.telling import rated
from antiphon.lab.results import BASE, ArmData, Drift, Results
from antiphon.statistics import crossed, holm, rank_correlation

_FAR = 50.0  # shares of a gap beyond which there is no bound
_NEAR = 1e-4


def find(results: Results) -> Findings:
    """All figures; what is not there for want of results is left out and said."""
    answers = Answers(results)
    measured = _Measured(answers)
    dips = tuple(measured.dips())
    data = tuple(_data(results.data, answers.arms))
    gap, gaps = measured.gaps()
    return Findings(
        name=results.name,
        target=answers.target,
        problems={family: len(answers.problems[family]) for family in sorted(answers.problems, key=answers.is_other)},
        rate=answers.rate,
        rates=answers.rates,
        points=answers.points,
        seeds=answers.seeds,
        arms=answers.arms,
        scores=tuple(measured.scores()),
        primary=_family(measured.primary()),
        side=_family(measured.side()),
        every=_family(measured.every()),
        forgetting=_family(measured.forgetting()),
        by_family=_family(measured.by_family()),
        gap=gap,
        gaps=gaps,
        boundaries=_family(measured.boundaries()),
        dips=dips,
        style=_style(data, {dip.arm: dip for dip in dips if dip.rate == answers.rate}),
        data=data,
        form=tuple(_form(results.drift, answers)),
        missing=tuple(_missing(results, answers)),
    )


class _Measured:
    """The tables of the plan, made of what there is."""

    def __init__(self, answers: Answers):
        self._answers = answers
        self._trained = [(arm, rate) for rate, arm in product(answers.rates, answers.arms)]

    def _families(self, of: str) -> tuple[str, ...]:
        return self._answers.others if of == OTHERS else (of,)

    def scores(self) -> Iterator[Score]:
        answers = self._answers
        for of in (answers.target, OTHERS, *answers.others):
            places: list[tuple[str, float | None, int]] = [(BASE, None, 0)]
            places += [(arm, rate, step) for arm, rate in self._trained for step in answers.points]
            for arm, rate, step in places:
                table = answers.table(arm, rate or answers.rate, (step,), self._families(of))
                if not any(table.values()):
                    continue
                found = crossed([*table.values()], least=0.0)
                yield Score(arm, rate, step, of, found.mean, *found.interval, _means(table))

    def _contrast(
        self, first: str, second: str, rate: float, step: int | None = None, of: str | None = None
    ) -> Iterator[Contrast]:
        """One, or none where there is nothing to compare."""
        answers, of = self._answers, of or self._answers.target
        steps = answers.points if step is None else (step,)
        table = answers.less(first, second, rate, steps, self._families(of))
        if any(table.values()):
            yield _contrast(table, first, second, rate, step, of)

    def primary(self) -> Iterator[Contrast]:
        answers = self._answers
        for first, second in ((TEACHER, BASE), (TESSY, BASE), (TESSY, TEACHER)):
            for step in answers.points:
                yield from self._contrast(first, second, answers.rate, step)

    def side(self) -> Iterator[Contrast]:
        for rate, arm, step in product(self._answers.rates[1:], MAIN, self._answers.points):
            yield from self._contrast(arm, BASE, rate, step)

    def every(self) -> Iterator[Contrast]:
        answers = self._answers
        for arm, step in product(answers.arms, (None, answers.last)):
            yield from self._contrast(arm, BASE, answers.rate, step)

    def forgetting(self) -> Iterator[Contrast]:
        answers = self._answers
        for arm, rate in self._trained:
            yield from self._contrast(arm, BASE, rate, answers.last, OTHERS)
        for rate, other in product(answers.rates, (TEACHER, STUDENT)):
            yield from self._contrast(TESSY, other, rate, answers.last, OTHERS)

    def by_family(self) -> Iterator[Contrast]:
        answers = self._answers
        for arm, family in product(answers.arms, answers.others):
            yield from self._contrast(arm, BASE, answers.rate, answers.last, family)

    def boundaries(self) -> Iterator[Contrast]:
        pairs = (*((arm, TESSY) for arm in BOUNDARIES), (TESSY, CEILING))
        for pair, step in product(pairs, (None, self._answers.last)):
            yield from self._contrast(*pair, self._answers.rate, step)

    def dips(self) -> Iterator[Dip]:
        answers = self._answers
        base = _means(answers.table(BASE, answers.rate, (), (answers.target,)))
        for arm, rate in self._trained:
            points = {step: answers.table(arm, rate, (step,), (answers.target,)) for step in answers.points}
            if not base or not all(points.values()):
                continue
            means = {step: fmean(_means(table).values()) for step, table in points.items()}
            step = min(means, key=means.__getitem__)
            table = answers.less(arm, BASE, rate, (step,), (answers.target,))
            found = crossed([*table.values()], level=1 - LEVEL / len(points))
            yield Dip(arm, rate, step, means[step], base[0], found.mean, *found.interval)

    def gaps(self) -> tuple[Contrast | None, tuple[Gap, ...]]:
        answers = self._answers

        def table(first: str, second: str) -> Table:
            return answers.less(first, second, answers.rate, answers.points, (answers.target,))

        def contrast(values: Table, first: str, second: str) -> Contrast:
            return _contrast(values, first, second, answers.rate, None, answers.target)

        gap = table(TESSY, TEACHER)
        if not any(gap.values()):
            return None, ()
        lefts = {by: table(*pair) for by, pair in GAPS.items()}
        lefts = {by: left for by, left in lefts.items() if any(minus(gap, left).values())}
        tests = [contrast(gap, TESSY, TEACHER)]
        for by, left in lefts.items():
            tests += [contrast(left, *GAPS[by]), contrast(minus(gap, left), TESSY, TEACHER)]
        whole, *rest = _family(tests)
        found = []
        for (by, left), (of_left, of_gone) in zip(lefts.items(), zip(rest[::2], rest[1::2], strict=True), strict=True):
            share = (None, None, None) if whole.verdict < 1 else _share(gap, left)
            found.append(Gap(by, of_left, of_gone, *share))
        return whole, tuple(found)


def _share(gap: Table, left: Table) -> tuple[float | None, float | None, float | None]:
    """The share of a gap that is gone, with the interval of Fieller: all shares that the test does not refuse. None
    for a bound that there is not."""
    gone = minus(gap, left)
    seeds = list(gone)

    def refused(share: float) -> bool:
        rest = [[a - share * b for a, b in zip(gone[seed], gap[seed], strict=True)] for seed in seeds]
        return crossed(rest).p < LEVEL

    whole = fmean(_means({seed: gap[seed] for seed in seeds}).values())
    if not whole:
        return None, None, None
    value = fmean(_means(gone).values()) / whole

    def bound(sign: int) -> float | None:
        held, out = 0.0, 1.0
        while not refused(value + sign * out):
            held, out = out, 2 * out
            if out > _FAR:
                return None
        while out - held > _NEAR:
            middle = (held + out) / 2
            held, out = (held, middle) if refused(value + sign * middle) else (middle, out)
        return value + sign * held

    return value, bound(-1), bound(1)


def _contrast(table: Table, first: str, second: str, rate: float, step: int | None, of: str) -> Contrast:
    found = crossed([*table.values()])
    problems = len(next(iter(table.values())))
    return Contrast(first, second, rate, step, of, found.mean, *found.interval, found.p, _means(table), problems)


def _means(table: Table) -> dict[int, float]:
    return {seed: fmean(row) for seed, row in table.items() if row}


def _family(contrasts: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """With each p as it is among all of them."""
    made = list(contrasts)
    adjusted = holm([one.p for one in made])
    return tuple(replace(one, adjusted=p) for one, p in zip(made, adjusted, strict=True) if p is not None)


def _style(data: Sequence[Data], dips: Mapping[str, Dip]) -> tuple[Correlation, ...]:
    found = []
    for measure in LIKELIHOODS:
        among = [one for one in data if one.arm in WHO_WROTE and one.arm in dips and measure in one.likelihood]
        made = rank_correlation([one.likelihood[measure] for one in among], [-dips[one.arm].mean for one in among])
        if made is not None:
            found.append(Correlation(measure, tuple(one.arm for one in among), *made))
    adjusted = holm([one.p for one in found])
    return tuple(replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True) if p is not None)


def _data(data: Sequence[ArmData], arms: Sequence[str]) -> Iterator[Data]:
    for arm in dict.fromkeys((*arms, *(one.arm for one in data))):
        of_arm = [one for one in data if one.arm == arm]
        if not of_arm:
            continue
        right = [(one.right, one.statuses.get("complete", 0)) for one in of_arm if one.right is not None]
        right_rows = [(one.right_rows, one.rows) for one in of_arm if one.right_rows is not None]
        excluded: Counter[str] = Counter()
        for one in of_arm:
            excluded.update(one.excluded)
        yield Data(
            arm,
            len(of_arm),
            fmean(one.traces for one in of_arm),
            fmean(one.rows for one in of_arm),
            fmean(one.tokens_trained for one in of_arm),
            fmean(one.thinking for one in of_arm),
            fmean(one.answer for one in of_arm),
            _ratio(right),
            _ratio(right_rows),
            dict(excluded),
            _mean([one.shares for one in of_arm], missing=0.0),
            _mean([one.likelihood for one in of_arm]),
        )


def _ratio(parts: Sequence[tuple[int, int]]) -> float | None:
    whole = sum(number for _, number in parts)
    return sum(part for part, _ in parts) / whole if whole else None


def _mean(found: Sequence[Mapping[str, float]], missing: float | None = None) -> dict[str, float]:
    """By name the mean of those that have it; of all that have any name, if one that is missing is worth something."""
    some = [one for one in found if one]
    values = {
        name: [one.get(name, missing) for one in some] for name in dict.fromkeys(name for one in some for name in one)
    }
    return {name: fmean(value for value in given if value is not None) for name, given in values.items()}


def _form(drift: Sequence[Drift], answers: Answers) -> Iterator[Form]:
    places = dict.fromkeys((one.arm, one.rate, one.family) for one in drift)
    order = sorted(places, key=lambda place: answers.rates.index(place[1]) if place[1] in answers.rates else 99)
    for arm, rate, family in order:
        of_arm = [one for one in drift if (one.arm, one.rate, one.family) == (arm, rate, family)]
        for name in dict.fromkeys(name for one in of_arm for name in one.figures):
            figures = [one.figures[name] for one in of_arm if name in one.figures]
            values = [figure.value for figure in figures if figure.value is not None]
            chances = [figure.chance for figure in figures if figure.chance is not None]
            if values:
                by_chance = fmean(chances) if chances else None
                yield Form(arm, rate, family, name, fmean(values), min(values), max(values), by_chance, len(values))


def _missing(results: Results, answers: Answers) -> Iterator[str]:
    training, seeds = results.config["training"], results.config["seeds"]
    families = (answers.target, *answers.others)
    if not any(one.arm == BASE for one in results.evaluations):
        yield "The base is not evaluated yet: nothing is held against it."
    absent = [arm for arm in results.config["arms"] if arm != BASE and arm not in answers.arms]
    if absent:
        yield f"Not evaluated yet: {', '.join(absent)}."
    for arm in answers.arms:
        for rate in (answers.rate, *(training["side_rates"] if arm in training["side_arms"] else ())):
            done = [answers.table(arm, rate, (step,), families) for step in answers.points]
            lacking = sum(seed not in table for seed in seeds for table in done)
            if lacking:
                whole = len(seeds) * len(done)
                yield f"{arm} at {rated(rate)}: {lacking} of {whole} evaluations (seeds times points) are not done yet."
    if len(answers.seeds) == 1:
        yield "There is one seed: intervals and tests are over problems alone, and speak of these trainings only."
