"""What becomes of a run when its servers misbehave: the table of docs/faults.md, held on the simulated pair.

Each kind of fault strikes both servers, always (once all traces are under way), a few times, and for one problem only.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bench.simulated import Command, faults, traces
from bench.simulator import SIMULATOR, Form, Pair, problems, settings, simulated_pairs

from antiphon.problem import Problem
from antiphon.synth.run import Run
from antiphon.synth.score import Listener
from antiphon.trace import Key, Status, Trace, Turn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs ../shared, which is not here"),
]

PROBLEMS = 32
FORMS: list[Form] = ["ids", "text"]
ONE, STATED = "7", "Problem 00007"
"""A problem's id, and what only its text says."""
PATIENCE = {"teacher.server.timeout": 2.0, "student.server.timeout": 2.0, "outage": 6.0}
FEW_TRIES = {"teacher.server.retries": 2, "student.server.retries": 2}
"""For what fails whatever is tried; where others are to survive, a slow machine needs the patience of the default."""

BROKEN = {
    "500": "HTTP 500: injected",
    "429": "HTTP 429: injected",
    "503": "HTTP 503: injected",
    "hang": "it sent nothing for 2 s",
    "badutf8": "its reply is not JSON",
    "badjson": "its reply is not JSON",
    "nochoices": "its reply has not the form of a completion",
    "html": "a web page",
    "reset": "the connection broke",
}
"""No token arrives, and what the record calls it."""

SILENT = ("empty", "space")
"""A reply without a word, which is an end of turn like any other."""

MIDWAY = {
    "mid-reset": "the connection broke",
    "mid-hang": "it sent nothing for 2 s",
    "mid-badjson": "its reply is not JSON",
    "mid-end": "the stream ended before its end",
}
"""Some tokens arrive before the stream breaks."""

KINDS = (*BROKEN, *SILENT, *MIDWAY)
AT_ONCE = 5
"""Runs: with more of them, two cores are so slow that servers which are well send nothing for 2 s."""


class Strike(Listener):
    """Lets both servers of a pair fail once so many turns are over."""

    def __init__(self, pair: Pair, turns: int, kind: str, count: int = -1):
        self._pair, self._turns, self._kind, self._count = pair, turns, kind, count

    def turned(self, turn: Turn) -> None:
        self._turns -= 1
        if self._turns == 0:
            self._pair.fault(self._kind, count=self._count)


@pytest.fixture(scope="module")
def pairs(folder: Path) -> Iterator[dict[str, Pair]]:
    """One for each kind of fault."""
    with simulated_pairs(folder, len(KINDS)) as found:
        yield dict(zip(KINDS, found, strict=True))


@pytest.fixture(scope="module")
def some(folder: Path, pairs: object) -> list[Problem]:
    """Short ones: 9 turns each."""
    return problems(folder, PROBLEMS, spans=4, answer=80)


async def gathered(runs: Iterable[Awaitable[dict[str, Trace]]]) -> list[dict[str, Trace]]:
    """A few at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(run: Awaitable[dict[str, Trace]]) -> dict[str, Trace]:
        async with room:
            return await run

    return await asyncio.gather(*map(one, runs))


async def run(
    pair: Pair, some: list[Problem], directory: Path, form: Form, listener: Listener | None = None, **more: Any
) -> dict[str, Trace]:
    """A run to its end: its traces by problem."""
    await Run(some, directory, settings(pair, form, **PATIENCE | more), listener=listener).work()
    return {trace.key.problem: trace for trace in traces(directory)}


def struck(pair: Pair, command: Command, kind: str) -> tuple[int, str]:
    """A command whose servers fail for good when all traces are under way: its exit code, and what it says."""
    process = command.start()
    while pair.requests < 2 * PROBLEMS and process.poll() is None:
        time.sleep(0.02)  # the moment is counted in requests; this only paces the look
    pair.fault(kind)
    _, errors = process.communicate()
    return process.returncode, errors


def test_servers_that_fail_for_good(pairs: dict[str, Pair], some: list[Problem], tmp_path: Path) -> None:
    commands = {
        kind: Command(tmp_path / kind, pair, some, "ids", **PATIENCE, **FEW_TRIES) for kind, pair in pairs.items()
    }
    for pair in pairs.values():
        pair.reset()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        ends = dict(zip(KINDS, threads.map(lambda kind: struck(pairs[kind], commands[kind], kind), KINDS), strict=True))
    for kind, (code, errors) in ends.items():
        left = traces(commands[kind].directory)
        statuses = {trace.status for trace in left}
        print(kind, code, statuses, {trace.cause for trace in left}, errors)
        assert len(left) == PROBLEMS, kind
        if kind in BROKEN:
            assert (code, statuses) == (3, {None}), kind
            assert BROKEN[kind] in errors
            assert "Traceback" not in errors
        elif kind in SILENT:
            assert (code, statuses) == (0, {Status.NO_ANSWER}), kind
        else:
            assert (code, statuses) == (1, {Status.FAILED}), kind
            # A server that closes after a whole reply without a word may do so under the next request.
            known = (MIDWAY[kind], "the connection broke")
            assert all(any(cause in trace.cause for cause in known) for trace in left), kind


@pytest.mark.parametrize("form", FORMS)
def test_servers_that_fail_a_few_times(pairs: dict[str, Pair], some: list[Problem], tmp_path: Path, form: Form) -> None:
    times = 5  # one trace may get all of them, and is tried once more
    for pair in pairs.values():
        pair.reset()
    ends = asyncio.run(
        gathered(
            run(pair, some, tmp_path / kind, form, Strike(pair, PROBLEMS, kind, times)) for kind, pair in pairs.items()
        )
    )
    for kind, written in zip(KINDS, ends, strict=True):
        touched = [found for problem in some if (found := faults([written[problem.id]], [problem]))]
        if kind in SILENT:
            assert len(touched) <= 2 * times
            assert {trace.status for trace in written.values()} <= {Status.COMPLETE, Status.NO_ANSWER}
        else:
            assert touched == [], kind


def test_servers_that_fail_for_one_problem(pairs: dict[str, Pair], some: list[Problem], tmp_path: Path) -> None:
    for kind, pair in pairs.items():
        pair.reset()
        pair.fault(kind, match=STATED)
    ends = asyncio.run(gathered(run(pair, some, tmp_path / kind, "ids") for kind, pair in pairs.items()))
    others = [problem for problem in some if problem.id != ONE]
    for kind, written in zip(KINDS, ends, strict=True):
        one = written.pop(ONE)
        assert faults(list(written.values()), others) == [], kind
        if kind in SILENT:
            assert one.status is Status.NO_ANSWER, kind
        else:
            assert one.status is Status.FAILED, kind
            assert (BROKEN | MIDWAY)[kind] in one.cause
            assert (kind in BROKEN) == ("while it serves others" in one.cause)


@pytest.mark.parametrize("form", FORMS)
def test_streams_that_always_break_give_the_same_text(
    pairs: dict[str, Pair], some: list[Problem], tmp_path: Path, form: Form
) -> None:
    kinds = ["mid-reset", "mid-badjson"]
    for kind in kinds:
        pairs[kind].reset()
        pairs[kind].fault(kind, match="Problem")
    ends = asyncio.run(
        gathered(run(pairs[kind], some, tmp_path / kind, form, **{"guards.breaks": 1000}) for kind in kinds)
    )
    for kind, written in zip(kinds, ends, strict=True):
        assert faults(list(written.values()), some) == [], kind


@pytest.mark.parametrize("kind", ["500", "html", "hang", "mid-reset"])
def test_one_failing_problem_holds_up_no_other(
    pairs: dict[str, Pair], some: list[Problem], tmp_path: Path, kind: str
) -> None:
    """By the servers' clocks, from their reset to the last other trace's end: the median of three pairs of runs."""
    pair = pairs[kind]

    def took(directory: Path, *, failing: bool) -> float:
        pair.reset()
        if failing:
            pair.fault(kind, match=STATED)
        clock = []

        def finished(key: Key) -> None:
            if key.problem != ONE:
                clock.append(pair.teacher.stats()["wall_s"])

        asyncio.run(Run(some, directory, settings(pair, "ids", **PATIENCE, **FEW_TRIES)).work(finished))
        assert len(clock) == PROBLEMS - 1
        return float(clock[-1])

    ratios = [
        took(tmp_path / f"failing{number}", failing=True) / took(tmp_path / f"well{number}", failing=False)
        for number in range(3)
    ]
    print(kind, *(f"{ratio:.2f}" for ratio in ratios))
    assert statistics.median(ratios) <= 1.3


@pytest.mark.parametrize("kind", ["500", "html", "hang"])
def test_servers_that_fail_from_the_start(
    pairs: dict[str, Pair], some: list[Problem], tmp_path: Path, kind: str
) -> None:
    pairs[kind].reset()
    pairs[kind].fault(kind)
    command = Command(tmp_path / kind, pairs[kind], some, "ids", **PATIENCE, **FEW_TRIES)
    ended = command.run()
    assert ended.returncode == 3
    assert BROKEN[kind] in ended.stderr
    assert not command.directory.exists()
