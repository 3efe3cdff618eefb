"""Shards: every problem is in one of them, whatever stands beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import SettingsError
from antiphon.problem.shard import Shard, Share, place
from tests.store.records import texts

ids = st.lists(texts, unique=True, max_size=30)


@given(ids, st.integers(1, 50), st.randoms())
def test_shards_are_disjoint_and_together_the_whole(problems: list[str], of: int, order: object) -> None:
    shards = [Shard(index, of) for index in range(of)]
    held = [[problem for problem in problems if problem in shard] for shard in shards]
    assert sorted(problem for each in held for problem in each) == sorted(problems)
    shuffled = problems[:]
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [{problem for problem in shuffled if problem in shard} for shard in shards] == list(map(set, held))
    for shard in shards:
        assert Share.of(shard, problems).problems == tuple(map(len, held))


@given(ids, texts, st.integers(1, 50))
def test_another_problem_moves_none(problems: list[str], another: str, of: int) -> None:
    shard = Shard(0, of)
    before = [problem in shard for problem in problems]
    assert [problem in shard for problem in [*problems, another][: len(problems)]] == before


def test_shards_are_about_equal_and_stay_what_they_are() -> None:
    sizes = Share.of(Shard(0, 4), (f"q{number:06}" for number in range(80_000))).problems
    assert all(19_600 < size < 20_400 for size in sizes)
    # Run directories depend on it: the same on every machine and in every version.
    assert [place(f"q{number}", 4) for number in range(8)] == [2, 3, 1, 0, 3, 3, 2, 2]


@given(st.integers(0, 99), st.integers(1, 99))
def test_text_and_back(index: int, of: int) -> None:
    if index < of:
        assert Shard.parse(str(Shard(index, of))) == Shard(index, of)
    else:
        with pytest.raises(SettingsError, match="counted from 0"):
            Shard.parse(f"{index}/{of}")


@pytest.mark.parametrize("text", ["", "1", "1/", "/4", "a/4", "1/4/2", "-1/4", "1/-4", "1 / 4", "0/0", "١/٤", "4/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^shard"):
        Shard.parse(text)
