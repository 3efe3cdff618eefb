"""Distances of two sets of texts, and the test that tells them apart."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from antiphon.analyse.apart import _areas, _centred, _features, _folds, _maps, told_apart
from antiphon.analyse.drift import APART, OPENERS, SAME, STYLE, TFIDF, drift, matched
from antiphon.analyse.form import Form, form_of
from antiphon.analyse.text import Stretch, Text
from tests.analyse.runs import CAPABILITY, STUDENT
from tests.analyse.runs import STYLE as STYLE_KIND

SUBJECT = [f"w{n}" for n in range(20)]


def text(problem: str, fillers: str, seed: object, key: str = "") -> Form:
    rng = random.Random(f"{problem} {seed}")
    about = random.Random(problem).sample(SUBJECT, 8)
    parts = []
    for _ in range(12):
        parts.append(Stretch(STUDENT, STYLE_KIND, f"{rng.choice(fillers.split())}, "))
        parts.append(Stretch(STUDENT, CAPABILITY, f"{' '.join(rng.choices(about, k=5))}. "))
    return form_of(Text(key or f"{problem}:{seed}", problem, (), tuple(parts)))


def side(fillers: str, names: range, seed: object) -> list[Form]:
    return [text(f"p{n}", fillers, seed) for n in names]


PLAIN, LOUD = "okay so now then", "wait hmm but okay"


@pytest.mark.parametrize("other", [range(20), range(20, 40)], ids=["same problems", "other problems"])
def test_another_manner_is_told_and_the_same_is_not(other: range) -> None:
    far = drift(side(PLAIN, range(20), 1), side(LOUD, other, 2))
    near = drift(side(PLAIN, range(20), 1), side(PLAIN, other, 2))
    assert far.paired is near.paired is (other.start == 0)
    of_far = {one.name: one for one in far.distances}
    assert all(of_far[name].star for name in (STYLE, OPENERS, APART))
    assert not any(one.star for one in near.distances)
    assert of_far[APART].value == pytest.approx(1)
    for one in (*far.distances, *near.distances):
        assert one.value is None or one.interval is None or one.interval.low <= one.value <= one.interval.high
    assert any("wait" in name and weight > 0 for name, weight in far.telling)
    assert (SAME in of_far) is far.paired


def test_the_same_texts_are_no_distance_apart_and_others_all() -> None:
    forms = side(PLAIN, range(6), 1)
    same = {one.name: one for one in drift(forms, forms).distances}
    assert same[STYLE].value == pytest.approx(0)
    assert same[APART].value == pytest.approx(0.5)
    assert not any(one.star for one in same.values())
    assert [same[TFIDF].value, same[SAME].value] == pytest.approx([1, 1])
    apart = {one.name: one.value for one in drift(forms, side("wait hmm", range(6), 1)).distances}
    assert apart[STYLE] == pytest.approx(1)


def test_sides_are_of_equal_size() -> None:
    first = [text(f"p{n}", PLAIN, seed) for n in range(8) for seed in range(3)]
    second = [text(f"p{n}", PLAIN, seed) for n in range(6) for seed in range(2)] + side(PLAIN, range(20, 22), 1)
    a, b, paired = matched(first, second)
    assert paired
    assert Counter(form.problem for form in a) == Counter(form.problem for form in b)
    assert len(a) == 12
    a, b, paired = matched(first, side(PLAIN, range(40, 45), 1))
    assert not paired
    assert len({form.problem for form in a}) == len({form.problem for form in b}) == 5


def test_random_halves_of_one_manner_are_told_apart_as_often_as_chance_lets_them() -> None:
    forms = side(PLAIN, range(40), 1)
    ps = []
    for split in range(30):
        half = set(random.Random(split).sample(range(40), 20))
        halves = [[form for n, form in enumerate(forms) if (n in half) is first] for first in (True, False)]
        made = told_apart(*halves, paired=False)
        assert made is not None
        ps.append(made.p)
    assert sum(p < 0.05 for p in ps) <= 5  # of 30; more has a chance of 1 in 300
    assert 0.3 < np.mean(ps) < 0.7


def test_a_dealing_is_a_training_of_its_own() -> None:
    pool = [*side(PLAIN, range(10), 1), *side(LOUD, range(10), 2)]
    _, features = _features(pool)
    folds = _folds([form.problem for form in pool], np.random.default_rng(0))
    labels = np.random.default_rng(1).integers(0, 2, (len(pool), 3)).astype(float)
    scores = sum(held @ _centred(labels, trained) for held, trained in _maps(features, folds))
    size = np.mean((features**2).sum(axis=1))
    for column in range(3):
        for row in range(len(pool)):  # ridge regression in its primal form, on all other folds
            others = folds != folds[row]
            known, target = features[others], labels[others, column] - labels[others, column].mean()
            weights = np.linalg.solve(known.T @ known + size * np.eye(known.shape[1]), known.T @ target)
            assert scores[row, column] == pytest.approx(features[row] @ weights)


def test_the_area_is_how_often_one_of_the_second_is_above_one_of_the_first() -> None:
    rng = np.random.default_rng(2)
    scores, labels = rng.integers(0, 6, (9, 4)).astype(float), rng.integers(0, 2, (9, 4)).astype(float)
    labels[:2] = [[0] * 4, [1] * 4]
    for column, area in enumerate(_areas(scores, labels)):
        ones, zeros = (scores[labels[:, column] == value, column] for value in (1, 0))
        above, equal = ones[:, None] > zeros, ones[:, None] == zeros
        assert area == pytest.approx((above + equal / 2).mean())


def test_too_few_texts_have_values_and_no_tests() -> None:
    made = {one.name: one for one in drift(side(PLAIN, range(1), 1), side(LOUD, range(1), 2)).distances}
    assert made[STYLE].value is not None and made[STYLE].p is None
    assert made[APART].value is None
    empty = form_of(Text("k", "p", (), ()))
    assert all(one.p is None or one.p > 0.05 for one in drift([empty], [empty]).distances)
