"""Splits: by problem, even over domains, the same for everybody."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.split import (
    folds,
    held_out,
    problem_digests,
    require_trainable,
    require_unseen,
    shared_problems,
)
from antiphon.errors import UsageError

from .texts import marked


def corpus(problems: list[tuple[str, int]]) -> list[MarkedText]:
    """So many texts of each problem, its domain beside it."""
    return [
        marked("a", id=f"{number}/{sample}", problem_key=f"p{number}", domain=domain)
        for number, (domain, samples) in enumerate(problems)
        for sample in range(samples)
    ]


CORPORA = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 4)), min_size=5, max_size=40).map(corpus)


@given(CORPORA, st.integers(2, 5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_folds(items: list[MarkedText], number: int, seed: int, random: Random) -> None:
    parts = folds(items, number, seed)
    assert Counter(item.id for part in parts for item in part) == Counter(item.id for item in items)
    for item in items:
        assert sum(item.problem_key in {other.problem_key for other in part} for part in parts) == 1
    for domain in "xyz":
        sizes = [sum(item.domain == domain for item in part) for part in parts]
        assert max(sizes) - min(sizes) <= 4, "more than the largest problem apart"
    shuffled = random.sample(items, len(items))
    assert [{item.id for item in part} for part in folds(shuffled, number, seed)] == [
        {item.id for item in part} for part in parts
    ]


def test_folds_differ_with_the_seed() -> None:
    items = corpus([("x", 1)] * 40)
    assert folds(items, 5, 0) != folds(items, 5, 1)


@given(CORPORA, st.sampled_from([0.2, 0.25, 0.5]))
def test_a_share_is_held_out(items: list[MarkedText], share: float) -> None:
    train, held = held_out(items, share)
    assert held and not {item.problem_key for item in train} & {item.problem_key for item in held}
    assert [item for item in items if item in train or item in held] == items
    assert len(held) <= share * len(items) + 3 * 4  # 3 domains, each at most a problem too many


def test_too_few_problems_for_a_split() -> None:
    with pytest.raises(UsageError, match="2 problems cannot be split into 5"):
        folds(corpus([("x", 9), ("y", 9)]), 5)


def test_shared_problems_are_refused() -> None:
    train, test = corpus([("x", 2)] * 4), corpus([("x", 3)] * 6)[6:]
    known = problem_digests(train)
    assert all(len(digest) == 12 for digest in known)
    assert shared_problems(known, test) == ["p2", "p3"]
    with pytest.raises(UsageError, match=r"test: .* trained on the problems of 6 of 12 texts .*p2, p3"):
        require_unseen(known, test, "test")
    require_unseen(known, test[6:], "test")


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([marked("a b", [True], id=str(n)) for n in range(9)], "too little to train on, 9 texts of 9 problems;"),
        (
            [marked("a b", [True], id=str(n), problem_key="p") for n in range(50)],
            "too little .* 50 texts of 1 problem;",
        ),
        ([marked("a b c", [], id=str(n)) for n in range(50)], "0 of 150 words are style"),
        ([marked("a b", [True, True], id=str(n)) for n in range(50)], "0 of 100 words are capability"),
    ],
)
def test_what_nothing_can_be_trained_on(items: list[MarkedText], said: str) -> None:
    with pytest.raises(UsageError, match=f"data: {said}"):
        require_trainable(items, "data")


def test_what_can_be_trained_on() -> None:
    require_trainable([marked("a b c d", [True, True], id=str(n)) for n in range(10)], "data")
