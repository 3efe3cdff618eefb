"""Limits on what a variant may cost: a run stops there, keeps everything, and goes on later."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bench.pair import Shape, engines, problems, settings
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.engine.scripted import Fault, Request, ScriptedEngine
from antiphon.errors import SettingsError
from antiphon.settings import load
from antiphon.synth.run import Run
from antiphon.synth.spend import LimitReached, Prices, Spend, money
from antiphon.trace import Author, Status, Usage

SHAPE = Shape(thinking=56, answer=5)
PRICES = {"teacher.price_in": 1.0, "teacher.price_out": 10.0, "student.price_out": 2.0}

amounts = st.integers(0, 10**9)
usages = st.builds(
    lambda fresh, cached, told, **how: Usage(cached=cached, prompt=fresh + (cached or 0), told=told, **how),
    amounts,
    st.none() | amounts,
    amounts,
    requests=amounts,
    received=amounts,
    kept=amounts,
)
prices = st.builds(Prices, *[st.floats(0, 100)] * 3)


def run(directory: Path, count: int = 4, asked: list[Request] | None = None, **flags: Any) -> Run:
    """A run of the pair; `asked` takes note of every request."""
    opener = engines(SHAPE, 3)

    def note(request: Request) -> Fault | None:
        if asked is not None:
            asked.append(request)
        return None

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = opener(reference, **how)
        engine.faults = note
        return engine

    return Run(problems(count), directory / "run", settings(**flags), open_engine=open_engine)


def written(directory: Path) -> int:
    """Tokens that the models wrote, as the record has them."""
    with antiphon.read(directory / "run") as reader:
        return sum(total.received for total in reader.totals("tessy").values())


def passing(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """So much time passes before every look at the clock."""
    looks = count(1)
    monkeypatch.setattr("antiphon.synth.spend.monotonic", lambda: time.monotonic() + seconds * next(looks))


@pytest.fixture(params=["max.tokens_total", "max.cost", "max.hours"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """One limit, reached after some turns, and what it needs."""
    passing(monkeypatch, 360)
    needed = {"max.tokens_total": {"max.tokens_total": 150}, "max.cost": {"max.cost": 0.001, **PRICES}}
    return needed.get(request.param, {"max.hours": 1.0})


def test_at_a_limit_a_run_stops_and_a_later_one_goes_on(tmp_path: Path, limit: dict[str, float]) -> None:
    (name, *_) = limit
    stopped = run(tmp_path, concurrency=2, **limit)
    assert all(trace.status is Status.COMPLETE for trace in stopped)
    spend = stopped.tally.spend
    assert spend is not None and spend.reached == name
    assert spend.stopped is not None and spend.stopped.startswith(f"{name} is reached (")
    assert 0 < written(tmp_path) == spend.tokens
    with antiphon.read(tmp_path / "run") as reader:
        assert reader.counts()[None] > 0
        assert any(trace.spans and trace.status is None for trace in reader.traces()), "one was under way, and is kept"
    later = run(tmp_path)
    whole = {trace.key: trace.response for trace in run(tmp_path / "whole")}
    assert {trace.key: trace.response for trace in later} == whole
    assert later.tally.spend is not None and later.tally.spend.reached is None
    assert written(tmp_path) == later.tally.spend.tokens


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_limit_is_passed_by_a_turn_for_each_trace_in_flight_at_most(tmp_path: Path, concurrency: int) -> None:
    list(run(tmp_path, concurrency=concurrency, **{"max.tokens_total": 100}))
    with antiphon.read(tmp_path / "run") as reader:
        turns = [turn.received for trace in reader.traces() for turn in reader.turns(trace.key)]
    assert 100 <= sum(turns) < 100 + concurrency * max(turns)


def test_a_resumed_run_does_not_spend_the_budget_again(tmp_path: Path) -> None:
    for limits in ({"max.tokens_total": 100}, {"max.cost": 1e-4, **PRICES}):
        list(run(tmp_path, **limits))
        before, asked = written(tmp_path), list[Request]()
        again = run(tmp_path, asked=asked, **limits)
        assert list(again) == []
        assert asked == [] and written(tmp_path) == before
        assert again.tally.spend is not None and again.tally.spend.reached == next(iter(limits))


def test_other_variants_have_limits_of_their_own(tmp_path: Path) -> None:
    list(run(tmp_path, **{"max.tokens_total": 100}))
    alone = run(tmp_path, 1, method="student_only", **{"max.tokens_total": 100})
    assert [trace.status for trace in alone] == [Status.COMPLETE]


def test_any_number_of_stops_changes_no_text(tmp_path: Path) -> None:
    """Stops after a refused turn, at the close of the thinking and before the answer are among them."""
    whole = {trace.key: trace.response for trace in run(tmp_path / "whole", 2)}
    for most in count(10, 10):
        session = run(tmp_path, 2, **{"max.tokens_total": most})
        traces = list(session)
        assert session.tally.spend is not None
        if session.tally.spend.reached is None:
            break
    assert {trace.key: trace.response for trace in traces} == whole
    assert most > 100


def test_a_limit_reached_with_the_last_trace_stops_nothing(tmp_path: Path) -> None:
    list(run(tmp_path / "whole", 1))
    exactly = run(tmp_path, 1, **{"max.tokens_total": written(tmp_path / "whole")})
    assert [trace.status for trace in exactly] == [Status.COMPLETE]
    assert exactly.tally.spend is not None and exactly.tally.spend.stopped is None


# -- prices


@given(prices, usages, usages)
def test_costs_add_up(price: Prices, one: Usage, other: Usage) -> None:
    assert price.cost(one + other) == pytest.approx(price.cost(one) + price.cost(other))


@given(usages, usages, usages)
def test_usages_add_up(one: Usage, two: Usage, three: Usage) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + Usage() == one


def test_what_a_price_covers() -> None:
    usage = Usage(received=1_000, kept=10, prompt=50_000, cached=40_000, told=45_000)
    assert Prices(1.0, 0.1, 8.0).cost(usage) == pytest.approx((10_000 * 1 + 40_000 * 0.1 + 1_000 * 8) / 1e6)
    assert Prices(0.0, 0.0, 8.0).cost(usage, ids=False) == pytest.approx(250 * 8 / 1e6)


def test_a_server_that_counts_more_than_was_estimated_earns_nobody_money() -> None:
    usage = Usage(prompt=90, cached=100, told=90)
    assert Prices(1.0, 0.0, 0.0).cost(usage) == 0
    assert usage.cached_share == 1


@pytest.mark.parametrize(
    ("given", "prices"),
    [
        ({}, None),
        ({"price_in": 2}, (2, 2, 0)),
        ({"price_out": 3}, (0, 0, 3)),
        ({"price_in": 2, "price_cached": 0, "price_out": 3}, (2, 0, 3)),
        ({"price_in": 0, "price_out": 0}, (0, 0, 0)),
        ({"price_cached": 1}, None),
    ],
)
def test_prices_of_a_role(given: dict[str, float], prices: tuple[float, ...] | None) -> None:
    role = load(flags={f"teacher.{name}": value for name, value in given.items()}, environment={}).teacher
    assert Prices.of(role) == prices


def test_a_limit_on_the_cost_needs_a_price(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"max\.cost: nothing has a price; set teacher\.price_in"):
        run(tmp_path, **{"max.cost": 5})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [0, -1, "nan", "much"])
@pytest.mark.parametrize("name", ["max.tokens_total", "max.hours", "max.cost"])
def test_limits_of_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"^--{name.replace('.', '-').replace('_', '-')}: {name}"):
        load(flags={name: value}, environment={})


@pytest.mark.parametrize("value", [-1, "nan", "much"])
@pytest.mark.parametrize("name", ["teacher.price_in", "teacher.price_cached", "student.price_out"])
def test_prices_below_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        load(flags={name: value}, environment={})


def test_tokens_are_estimated_where_lengths_are_characters() -> None:
    chosen = load(flags={"max.tokens_total": 110, "student.price_out": 1e6}, environment={})
    session = {Author.TEACHER: Usage(received=10)}
    spend = Spend(
        chosen,
        began=time.monotonic(),
        session=session,
        earlier={Author.STUDENT: Usage(received=399)},
        textual=["student"],
    )
    assert spend.tokens == 10 + 100
    assert spend.costs == {Author.STUDENT: 100}
    with pytest.raises(LimitReached):
        spend.check()
    assert spend.stopped == "max.tokens_total is reached (110 of 110 tokens written); raise it to go on"
    assert list(spend.amounts().values()) == ["110 of 110 tokens written", "cost 100.00"]


@pytest.mark.parametrize(
    ("amount", "said"), [(0, "0.00"), (0.00312, "0.0031"), (0.5, "0.5"), (2, "2.00"), (1234.5, "1,234.50")]
)
def test_money(amount: float, said: str) -> None:
    assert money(amount) == said
