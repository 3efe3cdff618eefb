"""Drawing a token from logits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.settings import Sampling

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")

from antiphon.engine.draw import draw  # noqa: E402

ROWS = [[0.0, 3.0, 2.0, 1.0, -1.0], [5.0, 0.0, 0.0, 0.0, 4.0]]


def once(row: list[float], chance: float, history: tuple[int, ...] = (), **sampling: Any) -> int:
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0} | sampling
    return int(draw(torch.tensor([row]), Sampling(**plain), [history], [chance]))


def reachable(row: list[float], **sampling: Any) -> set[int]:
    return {once(row, chance / 1000, **sampling) for chance in range(1000)}


def test_temperature_nought_is_greedy() -> None:
    assert draw(torch.tensor(ROWS), Sampling(temperature=0), [(), ()], [0.9, 0.9]).tolist() == [1, 0]


def test_a_tiny_temperature_is_nearly_greedy_and_stays_a_number() -> None:
    assert reachable(ROWS[0], temperature=1e-30) == {1}


def test_shares_are_those_of_the_softmax() -> None:
    drawn = [once(ROWS[0], chance / 1000) for chance in range(1000)]
    shares = torch.softmax(torch.tensor(ROWS[0]), dim=-1)
    for token, share in enumerate(shares.tolist()):
        assert drawn.count(token) / 1000 == pytest.approx(share, abs=0.002)


def test_top_k_keeps_the_k_likeliest() -> None:
    assert reachable(ROWS[0], top_k=2) == {1, 2}
    assert reachable(ROWS[0], top_k=50) == {0, 1, 2, 3, 4}


def test_top_p_keeps_the_fewest_that_reach_it_and_at_least_one() -> None:
    assert reachable(ROWS[0], top_p=0.6) == {1}
    assert reachable(ROWS[0], top_p=0.7) == {1, 2}
    assert reachable(ROWS[0], top_p=1e-9) == {1}


def test_min_p_keeps_a_share_of_the_likeliest() -> None:
    assert reachable(ROWS[0], min_p=0.3) == {1, 2}
    assert reachable(ROWS[0], min_p=1.0) == {1}


def test_a_penalty_moves_seen_tokens_away_from_both_signs() -> None:
    assert once([2.0, 1.5], 0.0, (0,), temperature=0, repetition_penalty=2.0) == 1
    assert once([-1.0, -1.5], 0.0, (0,), temperature=0, repetition_penalty=2.0) == 1


def test_barred_tokens_are_never_drawn() -> None:
    assert reachable([1.0, -torch.inf, 0.0]) == {0, 2}


@given(
    chance=st.floats(0, 1, exclude_max=True),
    temperature=st.floats(0.01, 5),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 7),
    min_p=st.floats(0, 1),
)
def test_a_row_draws_the_same_alone_and_in_a_batch(
    chance: float, temperature: float, top_p: float, top_k: int, min_p: float
) -> None:
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p)
    both = draw(torch.tensor(ROWS), sampling, [(), ()], [chance, 0.5]).tolist()
    assert both[0] == draw(torch.tensor(ROWS[:1]), sampling, [()], [chance]).tolist()[0]
    assert all(0 <= token < 5 for token in both)
