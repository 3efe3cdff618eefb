"""Runs that go on until answers are right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.pair import Shape, engines, problems, settings

import antiphon
from antiphon.engine.scripted import Fault, Request, ScriptedEngine
from antiphon.errors import ProblemError, SettingsError, UsageError
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Key, Label, Status, Verdict
from tests.cli.pair import Pair

SHAPE = Shape(thinking=28, answer=5)


class Scripted:
    """Says of each problem's answers, one after the other, what it is told to; wrong when that is over."""

    def __init__(self, **labels: list[str]):
        self._labels = {id: iter(them) for id, them in labels.items()}
        self.asked: Counter[str] = Counter()

    async def __call__(self, problem: Problem, answer: str) -> Verdict:
        assert answer == "".join(f" a{(SHAPE.thinking + 4 + n) % 89}" for n in range(SHAPE.answer))
        self.asked[problem.id] += 1
        return Verdict("v", "1", Label(next(self._labels.get(problem.id, iter(())), Label.WRONG)))


def run(directory: Path, check: Any, count: int = 3, *, faults: Callable[..., Any] | None = None, **flags: Any) -> Run:
    opener = engines(SHAPE, 3)

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = opener(reference, **how)
        if faults is not None:
            engine.faults = faults
        return engine

    flags = {"until_right": 1, "max_samples": 3, **flags}
    return Run(problems(count), directory / "run", settings(**flags), open_engine=open_engine, check=check)


def labels(directory: Path) -> dict[str, list[Label | None]]:
    with Reader(directory / "run") as reader:
        return {them[0].key.problem: [one.verdict and one.verdict.label for one in them] for them in reader.standings()}


def test_it_goes_on_until_right_and_no_further(tmp_path: Path) -> None:
    check = Scripted(p0=["right"], p1=["wrong", "crashed", "right"], p2=["timed_out"])
    going = run(tmp_path, check)
    traces = list(going)
    assert labels(tmp_path) == {
        "p0": [Label.RIGHT],
        "p1": [Label.WRONG, Label.CRASHED, Label.RIGHT],
        "p2": [Label.TIMED_OUT, Label.WRONG, Label.WRONG],
    }
    assert len(traces) == 7
    assert all(len(trace.verdicts) == 1 for trace in traces), "a trace is given when it is judged"
    tally = going.tally
    assert tally.aim is not None and (tally.aim.problems, tally.aim.settled, tally.aim.reached) == (3, 3, 2)
    assert (tally.planned, tally.done) == (7, 7)
    again = run(tmp_path, check)
    assert {trace.key for trace in again} == {trace.key for trace in traces}
    assert (again.tally.planned, again.tally.before, check.asked.total()) == (0, 7, 7)


def test_a_higher_aim_adds_to_what_is_there(tmp_path: Path) -> None:
    list(run(tmp_path, Scripted(p0=["right"], p1=["wrong", "right"]), 2))
    list(run(tmp_path, Scripted(p0=["wrong", "right"], p1=["wrong"]), 2, until_right=2, max_samples=4))
    assert labels(tmp_path) == {
        "p0": [Label.RIGHT, Label.WRONG, Label.RIGHT],
        "p1": [Label.WRONG, Label.RIGHT, Label.WRONG, Label.WRONG],
    }


def test_a_plain_run_is_taken_up(tmp_path: Path) -> None:
    list(Run(problems(2), tmp_path / "run", settings(samples=2), open_engine=engines(SHAPE, 3)))
    check = Scripted(p0=["wrong", "right"], p1=["wrong", "wrong", "right"])
    going = run(tmp_path, check, 2)
    assert len(list(going)) == 5
    assert labels(tmp_path)["p1"] == [Label.WRONG, Label.WRONG, Label.RIGHT]
    assert (going.tally.before, going.tally.planned, check.asked) == (4, 1, {"p0": 2, "p1": 3})


def test_judging_keeps_no_place_from_writing(tmp_path: Path) -> None:
    """With one place, the verdict on the first trace waits for the second to be written."""
    finished: list[Key] = []

    async def work() -> None:
        written = asyncio.Event()

        async def check(problem: Problem, answer: str) -> Verdict:
            if problem.id == "p0":
                await written.wait()
            written.set()
            return Verdict("v", "1", Label.RIGHT)

        await run(tmp_path, check, 2, concurrency=1).work(finished.append)

    asyncio.run(work())
    assert [key.problem for key in finished] == ["p1", "p0"]


def test_no_more_are_written_at_once_than_there_are_places(tmp_path: Path) -> None:
    """However many wait for their verdicts beside them."""
    seen: list[int] = []

    def faults(request: Request) -> None:
        seen.append(going.tally.in_flight)

    going = run(tmp_path, Scripted(), 4, concurrency=2, faults=faults)
    assert len(list(going)) == 12
    assert max(seen) == 2


def test_a_failed_trace_is_a_try(tmp_path: Path) -> None:
    def faults(request: Request) -> Fault | None:
        return Fault("refuse") if "Question 1" in request.situation.text else None

    going = run(tmp_path, Scripted(p0=["right"]), 2, faults=faults)
    assert Counter(trace.status for trace in going) == {Status.COMPLETE: 1, Status.FAILED: 3}
    assert labels(tmp_path) == {"p0": [Label.RIGHT], "p1": [None] * 3}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_at_a_limit_nothing_is_begun_and_all_is_judged(tmp_path: Path, concurrency: int) -> None:
    """Nor does anybody wait for more to do: with places for four, some did."""
    check = Scripted(**{f"p{n}": ["wrong"] * 3 for n in range(3)})
    stopped = run(tmp_path, check, **{"max.tokens_total": 40, "concurrency": concurrency})
    list(stopped)
    assert stopped.tally.spend is not None and stopped.tally.spend.reached == "max.tokens_total"
    with Reader(tmp_path / "run") as reader:
        complete = reader.counts().get(Status.COMPLETE, 0)
        assert complete < 3
        assert reader.standing_counts().get((Status.COMPLETE, Label.WRONG), 0) == complete
    list(run(tmp_path, check))
    assert labels(tmp_path) == {f"p{n}": [Label.WRONG] * 3 for n in range(3)}


def test_what_is_missing_for_judging_ends_the_run_with_all_kept(tmp_path: Path) -> None:
    async def unequipped(problem: Problem, answer: str) -> Verdict:
        raise UsageError("there is no compiler")

    with pytest.raises(UsageError, match="no compiler"):
        list(run(tmp_path, unequipped, concurrency=1))
    check = Scripted(p0=["right"], p1=["right"], p2=["right"])
    list(run(tmp_path, check))
    assert labels(tmp_path) == {f"p{n}": [Label.RIGHT] for n in range(3)}


def test_from_python_verifiers_are_handed_in_as_they_are(tmp_path: Path, pair: Pair) -> None:
    class Never:
        name, version = "never", "1"

        def suits(self, problem: Problem) -> bool:
            return True

        async def check(self, problem: Problem, answer: str) -> Verdict:
            return Verdict(self.name, self.version, Label.WRONG)

    task = antiphon.synthesize(
        [Problem("one", ({"role": "user", "content": "What is 347 times 6?"},))],
        run=tmp_path / "run",
        student="lab:student",
        method="student_only",
        settings={"until_right": 1, "max_samples": 2},
        verifiers=[Never()],
    )
    assert [trace.verdicts[-1].verifier for trace in task] == ["never", "never"]


def test_without_a_check_it_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="until_right: nothing was given that tells which answers are right"):
        run(tmp_path, None)


def test_from_python_problems_that_cannot_be_judged_are_refused_at_once(tmp_path: Path) -> None:
    how = {"student": "lab:student", "method": "student_only", "settings": {"until_right": 1}}
    with pytest.raises(ProblemError, match="problem 'p0': no verifier suits it"):
        antiphon.synthesize(problems(2), run=tmp_path / "run", **how)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
