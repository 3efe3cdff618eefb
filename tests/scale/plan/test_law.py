"""The law of a closed network of stations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.scale.plan.law import Station, paces, rates, straight

seconds = st.floats(1e-4, 10)
more = st.floats(1e-5, 1)


@st.composite
def stations(draw: st.DrawFn) -> list[Station]:
    share, slope, other = draw(st.floats(0.1, 0.9)), draw(more), draw(more)
    flatter = slope * draw(st.floats(0.1, 1))
    return [
        Station("student", share, draw(seconds), slope, draw(st.floats(1, 100)), flatter, draw(st.integers(1, 4))),
        Station("teacher", 1 - share, draw(seconds), other, 0.0, other, draw(st.integers(1, 4))),
    ]


@given(stations(), st.lists(st.floats(1, 5_000), min_size=1, max_size=5))
def test_the_traces_at_all_stations_are_those_in_flight(network: list[Station], in_flight: list[float]) -> None:
    found = rates(network, np.array(in_flight))
    there = sum(station.there(found) * station.replicas for station in network)
    limit = min(station.capacity for station in network)
    for rate, at, asked in zip(found, there, in_flight, strict=True):
        assert rate <= limit
        # Next to the limit a rate's last digits are many traces.
        assert at == pytest.approx(asked, rel=1e-3) or rate > limit * (1 - 1e-6)


@given(stations(), st.integers(1, 3))
def test_more_traces_and_more_replicas_never_slow_it_down(network: list[Station], role: int) -> None:
    in_flight = np.array([1.0, 10.0, 100.0, 1000.0])
    before = rates(network, in_flight)
    assert (np.diff(before) >= -1e-9 * before[:-1]).all()
    place = role % 2
    grown = [each._replace(replicas=each.replicas * 2) if n == place else each for n, each in enumerate(network)]
    assert (rates(grown, in_flight) >= before * (1 - 1e-9)).all()


def test_one_station_alone_is_its_own_line() -> None:
    one = Station("teacher", 1.0, 0.1, 0.01, 0.0, 0.01)
    found = rates([one], np.array([1.0, 10.0, 90.0]))
    assert found == pytest.approx([1 / 0.11, 10 / 0.2, 90 / 1.0], rel=1e-6)
    assert paces([one], 90)[[0, 9, 89]] == pytest.approx([1 / 0.11, 1 / 0.2, 1 / 1.0], rel=0.02)


@given(seconds, more, st.lists(st.floats(1, 500), min_size=2, max_size=4, unique_by=round))
def test_a_line_is_found_again(alone: float, slope: float, there: list[float]) -> None:
    found = straight([(n, alone + slope * n) for n in sorted(there)])
    assert found == pytest.approx((alone, slope), rel=1e-3, abs=1e-3)


def test_a_line_is_never_below_0() -> None:
    assert straight([(10, 0.1), (100, 2.0)]) == (0.0, 0.02)
    assert straight([(10, 0.2), (100, 0.1)]) == (0.1, 0.0)
