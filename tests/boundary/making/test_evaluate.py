"""Evaluations: figures by domain and model, the toll, the curve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.boundary import load
from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.evaluate import THRESHOLDS, Evaluation, evaluate, summary
from antiphon.boundary.making.judge import judge_marked
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import Counts, compare, total
from antiphon.trace import Author

from .texts import Told, marked

TEXTS = [
    marked("Okay, let me see x y z ", [True] * 4, id="1", domain="math", model="A", problem_key="p"),
    marked("x y so z w ", [False, False, True], id="2", domain="math", model="B", problem_key="p"),
    marked("Wait, x y z ", [True], id="3", domain="code", model="A", problem_key="q"),
    marked("x y z w ", [], id="4", model="", problem_key="r"),
]


def evaluated(predictor: BoundaryPredictor, marked: Sequence[MarkedText] = TEXTS, **how: bool) -> Evaluation:
    return asyncio.run(evaluate(predictor, marked, **how))[0]


def test_parts_are_counted_apart_and_together() -> None:
    told = Told([(True, 0.9), (True, 0.6)])
    found = evaluated(told)
    by_hand = [compare([True, True] + [False] * (len(item.classes) - 2), item.classes) for item in TEXTS]
    assert found.together.online.counts == found.together.whole.counts == total(by_hand)
    assert (found.together.texts, found.together.problems) == (4, 3)
    assert {name: part.online.counts for name, part in found.by_domain.items()} == {
        "": by_hand[3],
        "code": by_hand[2],
        "math": total(by_hand[:2]),
    }
    assert {name: part.texts for name, part in found.by_model.items()} == {"": 1, "A": 2, "B": 1}
    assert set(found.together.online.intervals) >= {"precision", "recall", "style_f1"}
    assert found.by_domain["math"].online.intervals == {}, "of one problem there is no interval"
    assert found.speed is not None and found.curve == ()


def test_word_by_word_only_words_with_their_lookahead_count() -> None:
    found = evaluated(Told(lookahead=2))
    assert found.together.whole.counts.words == 7 + 5 + 4 + 4
    assert found.together.online.counts.words == 5 + 3 + 2 + 2
    assert found.toll.kept == found.together.online.counts.words


def test_the_writers_session_is_judged() -> None:
    told = Told({Author.STUDENT: [(True, 0.9)], Author.TEACHER: [(False, 0.9)]})
    texts = [marked("So x ", [True], id="s"), marked("So x ", [True], id="t", author=Author.TEACHER)]
    found = evaluated(told, texts)
    assert (found.together.online.counts.right, found.together.whole.counts.right) == (1, 1)
    assert found.toll.forced == 0


def test_the_curve_moves_from_everything_style_to_nothing() -> None:
    told = Told([(True, 0.95), (True, 0.6), (False, 0.55), (False, 0.8)])
    curve = evaluated(told, curve=True).curve
    assert [point.threshold for point in curve] == list(THRESHOLDS)
    recalls = [point.figures.recall for point in curve]
    assert recalls == sorted(recalls, reverse=True) and recalls[0] > recalls[-1]
    (half,) = [point for point in curve if point.threshold == 0.5]
    found = evaluated(told)
    assert (half.figures, half.toll) == (found.together.online.figures, found.toll)
    assert len({point.toll.thrown for point in curve}) > 1


def test_judgements_of_several_predictors_are_summed_up_together() -> None:
    first, second = load("general"), Told([(True, 0.9)])
    judgements = asyncio.run(judge_marked(first, TEXTS[:2])) + asyncio.run(judge_marked(second, TEXTS[2:]))
    parts = [evaluated(first, TEXTS[:2]), evaluated(second, TEXTS[2:])]
    found = summary(judgements)
    assert found.together.online.counts == total(part.together.online.counts for part in parts)
    assert found.toll == tuple(map(sum, zip(*(part.toll for part in parts), strict=True)))
    assert found.speed is None


def test_nothing_judged_is_no_evaluation_of_nothing() -> None:
    found = summary([])
    assert found.together.online.counts == Counts()
    assert found.toll.per_100(found.toll.wrong) != found.toll.per_100(found.toll.wrong), "not a number"
    with pytest.raises(ValueError, match="2 is longer"):
        compare([True], [True, False])
