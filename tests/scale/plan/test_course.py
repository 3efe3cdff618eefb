"""The course of a run, beside one that is played step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.scale.plan.course import course

lengths = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)


def played(lengths: list[float], places: int, pace: list[float]) -> tuple[float, float]:
    """Seconds, and traces in flight on average over the work."""
    waiting, flying = list(reversed(lengths)), list[float]()
    now = seen = 0.0
    while waiting or flying:
        while waiting and len(flying) < places:
            flying.append(waiting.pop())
        step = min(flying)
        now += step / pace[len(flying) - 1]
        seen += step * len(flying) ** 2
        flying = [left - step for left in flying if left - step > 1e-12]
    return now, seen / sum(lengths)


@given(lengths, st.integers(1, 50), st.floats(0.1, 5), st.floats(0, 2))
def test_it_is_what_a_step_by_step_play_is(given: list[float], places: int, alone: float, more: float) -> None:
    pace = [1 / (alone + more * m) for m in range(1, places + 1)]
    found = course(np.array(given), places)
    seconds, in_flight = played(given, places, pace)
    assert found.seconds(np.array(pace)) == pytest.approx(seconds, rel=1e-6)
    assert found.in_flight == pytest.approx(in_flight, rel=1e-6)


def test_traces_that_are_not_played_go_by_at_full_places() -> None:
    pace = np.array([1.0, 0.75])
    few = course(np.array([5.0, 5.0]), 2)
    many = course(np.array([5.0, 5.0]), 2, more=100.0)
    assert many.seconds(pace) == pytest.approx(few.seconds(pace) + 50 / 0.75)
    assert many.work == 110.0
