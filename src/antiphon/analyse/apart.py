"""Can the texts of two sides be told apart by their form? A classifier two-sample test.

Each text is described by its measured form and by how often it says each of the words that are common to many problems:
manner, hardly subject. A linear classifier with a ridge penalty, trained on all folds but one, scores the texts of that
fold; folds are parted by problem. The figure is how often a text of the second side gets a higher score than one of
the first (the area under the ROC curve): 0.5 is chance, 1 always. How far chance alone goes is seen by dealing out the
same texts to both sides anew and training again; since ridge scores are linear in the labels, that is one product of
matrices for all dealings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from antiphon.analyse.contrast import Array, deal
from antiphon.analyse.form import HABITS, LENGTHS, Form
from antiphon.analyse.report import Contribution
from antiphon.statistics import Interval, ranks

_FOLDS = 5
_DEALS = 999
_WORDS = 200
_COMMON = 1 / 3  # of the problems: a word of fewer is one of subjects
_FEWEST = 4  # problems a side, to train on anything
_RIDGE = 1.0  # in units of the mean squared length of a text
_LARGEST = 3.0  # standard deviations: one odd text is not the whole scale
_TELLING = 12
_SHOWN = 20
_RESAMPLES = 500


class Apart(NamedTuple):
    """How well two sides are told apart: `value` from 0.5 (chance) to 1, an interval over problems, what chance alone
    comes to in the mean, how often it comes as far (`p`); what tells them apart, and the texts that are most like their
    own side and unlike the other (their scores)."""

    value: float
    interval: Interval | None
    chance: float
    p: float
    telling: tuple[tuple[str, float], ...]
    traces: tuple[Contribution, ...]


def told_apart(
    first: Sequence[Form], second: Sequence[Form], *, paired: bool, sides: tuple[int, int] = (0, 1), seed: int = 0
) -> Apart | None:
    """Trains, scores and tests. None: a side has fewer than four problems.

    Args:
        paired: both sides have the same problems: a dealing exchanges the two sides of a problem.
        sides: their indices, for the traces.
    """
    pool = [*first, *second]
    problems = (sorted({form.problem for form in first}), sorted({form.problem for form in second}))
    if min(map(len, problems)) < _FEWEST:
        return None
    names, features = _features(pool)
    units = [(0, problem) for problem in problems[0]] + [(1, problem) for problem in problems[1]]
    place = {unit: number for number, unit in enumerate(units)}
    unit_of = np.array([place[int(row >= len(first)), form.problem] for row, form in enumerate(pool)])
    rng = np.random.default_rng(seed)
    maps = _maps(features, _folds([form.problem for form in pool], rng))
    dealt = deal(rng, _DEALS, len(problems[0]), len(units), paired=paired)
    truth = np.zeros(len(units))
    truth[len(problems[0]) :] = 1
    labels = np.vstack([truth, 1 - dealt])[:, unit_of].T  # texts by dealings, the first as they are
    scores = sum(held @ _centred(labels, trained) for held, trained in maps)
    areas = _areas(np.asarray(scores), labels)
    value, again = float(areas[0]), areas[1:]
    own = np.asarray(scores)[:, 0]
    weights = features.T @ (labels[:, 0] - labels[:, 0].mean())
    largest = np.argsort(-np.abs(weights), kind="stable")[:_TELLING]
    return Apart(
        value,
        _spread(own, labels[:, 0], unit_of, len(problems[0]), len(units), paired, rng),
        float(again.mean()),
        float((1 + (again >= value - 1e-9).sum()) / (1 + _DEALS)),
        tuple((names[column], round(float(weights[column] / len(pool)), 3)) for column in largest),
        _extremes(own, pool, len(first), sides),
    )


def _features(pool: Sequence[Form]) -> tuple[list[str], Array]:
    """What is measured of each text, in standard deviations of all. Nothing here knows the sides."""
    among: Counter[str] = Counter()
    for problem in {form.problem for form in pool}:
        among.update({word for form in pool if form.problem == problem for word in form.words})
    least = _COMMON * len({form.problem for form in pool})
    many: Counter[str] = Counter()
    for form in pool:
        many.update(form.words)
    common = [word for word, _ in many.most_common() if among[word] >= least][:_WORDS]
    columns: list[tuple[str, list[float]]] = []
    for word in common:
        shares = [form.words[word] / max(1, form.words.total()) for form in pool]
        columns.append((f"says “{word}”", shares))
    for measure in (*LENGTHS, *HABITS):
        if any(measure.name == name for name, _ in columns):
            continue
        found = [form.measures.get(measure.name) for form in pool]
        known = [over / under for over, under in filter(None, found)]
        if known:
            middle = sum(known) / len(known)
            columns.append((measure.name, [middle if one is None else one[0] / one[1] for one in found]))
    table = np.array([values for _, values in columns]).T
    spread = table.std(axis=0)
    varied = spread > 0
    scaled = (table[:, varied] - table[:, varied].mean(axis=0)) / spread[varied]
    return [name for (name, _), one in zip(columns, varied, strict=True) if one], np.clip(scaled, -_LARGEST, _LARGEST)


def _folds(problems: Sequence[str], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """The fold of each text; all texts of a problem are in one."""
    names = sorted(set(problems))
    order = rng.permutation(len(names))
    fold = {name: int(place) % _FOLDS for name, place in zip(names, order, strict=True)}
    return np.array([fold[problem] for problem in problems])


def _maps(features: Array, folds: npt.NDArray[np.intp]) -> list[tuple[Array, npt.NDArray[np.bool_]]]:
    """For each fold the matrix that makes scores of the labels of all other texts, and which texts these are."""
    alike = features @ features.T
    alike /= max(np.trace(alike) / len(alike), 1e-12)
    maps = []
    for fold in range(_FOLDS):
        held, trained = folds == fold, folds != fold
        if not held.any() or not trained.any():
            continue
        inner = alike[np.ix_(trained, trained)] + _RIDGE * np.eye(int(trained.sum()))
        scores = np.zeros((len(folds), int(trained.sum())))
        scores[held] = np.linalg.solve(inner, alike[np.ix_(trained, held)]).T
        maps.append((scores, trained))
    return maps


def _centred(labels: Array, trained: npt.NDArray[np.bool_]) -> Array:
    known = labels[trained]
    return np.asarray(known - known.mean(axis=0))


def _areas(scores: Array, labels: Array) -> Array:
    """Areas under the ROC curve, one a column; equal scores count half."""
    ranked = np.column_stack([ranks(column) for column in np.round(scores, 9).T])
    ones = labels.sum(axis=0)
    zeros = len(labels) - ones
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = ((ranked * labels).sum(axis=0) - ones * (ones + 1) / 2) / (ones * zeros)
    return np.asarray(np.where(ones * zeros > 0, areas, 0.5))


def _spread(
    scores: Array,
    labels: Array,
    unit_of: npt.NDArray[np.intp],
    first: int,
    whole: int,
    paired: bool,
    rng: np.random.Generator,
) -> Interval:
    """An interval of the area: problems are drawn anew, with the scores that they got."""
    second = whole - first
    one = rng.multinomial(first, np.full(first, 1 / first), size=_RESAMPLES)
    other = one if paired else rng.multinomial(second, np.full(second, 1 / second), size=_RESAMPLES)
    weights = np.concatenate([one, other], axis=1).astype(np.float64)[:, unit_of]
    a, b = labels == 0, labels == 1
    above = (scores[b][:, None] > scores[a]) + 0.5 * (scores[b][:, None] == scores[a])
    drawn = ((weights[:, b] @ above) * weights[:, a]).sum(axis=1)
    areas = drawn / (weights[:, a].sum(axis=1) * weights[:, b].sum(axis=1))
    low, high = np.quantile(areas, [0.025, 0.975])
    return Interval(float(low), float(high))


def _extremes(scores: Array, pool: Sequence[Form], first: int, sides: tuple[int, int]) -> tuple[Contribution, ...]:
    """Of each side the texts that look most like it; `amount` is the score, positive on the second side's part."""
    order = scores.argsort(kind="stable")
    low = [row for row in order if row < first][: _SHOWN // 2]
    high = [row for row in order[::-1] if row >= first][: _SHOWN // 2]
    return tuple(Contribution(sides[int(row >= first)], pool[row].key, float(scores[row])) for row in (*low, *high))
