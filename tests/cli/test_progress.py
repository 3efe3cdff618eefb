"""What a run says of itself while it works."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from antiphon.cli import progress
from antiphon.cli.progress import Following, Sight, duration
from antiphon.synth.tally import Aim, Tally
from antiphon.trace import Author, Status, Usage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_first_it_loads_models() -> None:
    assert Sight(Tally()).state() == "loading models"


def test_rate_authors_and_time_left(clock: list[float]) -> None:
    tally = Tally()
    sight = Sight(tally)
    clock[0] += 50  # loading takes no part
    tally.planned, tally.before, tally.in_flight = 40, 2, 8
    assert sight.state() == "0/40 traces, 2 were there, 8 in flight"
    clock[0] += 10
    tally.finished[Status.COMPLETE] = 10
    tally.usage = {Author.STUDENT: Usage(kept=3_000), Author.TEACHER: Usage(kept=9_000)}
    assert sight.state() == (
        "10/40 traces, 2 were there, 1,200 tokens/s (student 25%, teacher 75%), 8 in flight, 30 s left"
    )
    tally.silent = True
    assert sight.state().endswith("an engine does not answer; waiting for it")


def test_all_was_there_already() -> None:
    tally = Tally()
    tally.before = 5
    assert Sight(tally).state() == "0/0 traces, 5 were there, 0 in flight"


def test_until_right_it_tells_of_problems(clock: list[float]) -> None:
    tally = Tally()
    sight = Sight(tally)
    tally.aim, tally.planned = Aim(40, settled=10, reached=8), 25
    clock[0] += 10
    tally.finished[Status.COMPLETE] = 20
    assert sight.state() == "10/40 problems settled (8 right), 20 traces, 0 in flight", "nobody knows what is left"
    console = Console(file=io.StringIO(), width=60, _environ={})
    console.print(sight)
    assert console.file.getvalue().splitlines()[1].startswith("10/40 problems")  # type: ignore[attr-defined]


def test_failures_by_cause() -> None:
    tally = Tally()
    tally.finished[Status.FAILED] = 3
    tally.causes.update({"refused": 2, "broken": 1})
    assert Sight(tally).failures() == ["2 x refused", "1 x broken"]


def test_a_terminal_sees_a_bar_and_the_causes() -> None:
    tally = Tally()
    tally.planned = 4
    tally.finished[Status.FAILED] = 1
    tally.causes["a [red] cause\x1b[2J"] = 1
    console = Console(file=io.StringIO(), width=60, _environ={})
    console.print(Sight(tally))
    bar, state, cause = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert set(bar.strip()) <= set("━╸╺")
    assert state.startswith("1/4 traces")
    assert cause.rstrip() == "1 x a [red] cause␛[2J"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (119, "119 s"), (187, "3.1 min"), (8100, "2.2 h"), (432_000, "5.0 days")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_nothing_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("antiphon")
    before = list(logger.handlers)
    with Following(Tally(), quiet=True) as following:
        following.say("a line\x1b")
    assert logger.handlers == before
    assert capsys.readouterr().err == "a line␛\n"
