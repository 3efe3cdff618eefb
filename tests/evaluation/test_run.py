"""How a model is asked, where that is kept, and an evaluation as Python does it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.errors import ProblemError, UsageError
from antiphon.evaluation.report import report
from antiphon.evaluation.run import directory_for, measured, settled, unjudged
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.store import Reader
from antiphon.verify.result import Result
from tests.cli.judges import Lacking, Number
from tests.cli.pair import Pair


def test_what_nobody_said_is_as_in_the_paper() -> None:
    settings = settled(load(environment={}))
    assert settings.method == "student_only"
    assert (settings.student.sampling.temperature, settings.student.sampling.top_p) == (0.6, 0.95)
    assert settings.budget.thinking == 32768 and settings.budget.answer is None
    assert settings.student.sampling.top_k == load(environment={}).student.sampling.top_k


def test_what_somebody_said_stays() -> None:
    flags = {"student.sampling.temperature": 0.7, "budget.thinking": 16384, "method": "tessy", "until_right": 2}
    settings = settled(load(flags=flags, environment={"ANTIPHON_STUDENT__SAMPLING__TOP_P": "0.8"}), 5)
    assert (settings.student.sampling.temperature, settings.student.sampling.top_p) == (0.7, 0.8), "though a default"
    assert settings.budget.thinking == 16384
    assert (settings.method, settings.samples, settings.until_right) == ("student_only", 5, None)
    assert settled(load(flags={"samples": 3}, environment={})).samples == 3


@pytest.mark.parametrize(
    ("paths", "model", "name"),
    [
        (["data/aime.jsonl.gz"], "lab:student", "aime-lab-student"),
        (["-", "b.jsonl"], "/models/Qwen3 8B/", "problems-Qwen3-8B"),
        (["a.jsonl"], "http://user:secret@host:8000/v1", "a-host-8000"),
        (["*.jsonl"], "models/q.gguf", "unnamed-q.gguf"),
    ],
)
def test_the_place_is_named_after_problems_and_model(paths: list[str], model: str, name: str) -> None:
    assert directory_for(paths, model) == Path("evaluations") / name


def asked(number: int, by: int, **fields: object) -> Problem:
    messages = ({"role": "user", "content": f"What is {number} times {by}?"},)
    return Problem(f"{number}x{by}", messages, fields or {"answer": str(number * by)})


def test_who_can_be_judged_is_known_before_anything_is_spent() -> None:
    problems = [asked(347, 6), asked(12, 3, gold="36")]
    assert unjudged(problems, [Number()]) == problems[1:]
    with pytest.raises(ProblemError, match="no verifier suits it"):
        unjudged(problems[1:], [Number()])
    with pytest.raises(UsageError, match="tailor"):
        unjudged(problems, [Lacking()])


def test_measured_from_problems_to_verdicts(pair: Pair, tmp_path: Path) -> None:
    problems = [asked(347, 6), asked(123, 4), asked(588, 2)]
    settings = settled(load(flags={"student.model": "lab:student"}, environment={}), 2)
    for _ in range(2):
        found = report(asyncio.run(measured(problems, tmp_path, settings, [Number()], open_engine=pair)))
        assert found.whole.problems == 3 and found.whole.samples == 6
        with Reader(tmp_path) as reader:
            said = {trace.key.problem: trace.answer for trace in reader.traces()}
        right = [problem for problem in problems if said[problem.id] == f"I get {problem.metadata['answer']}."]
        assert found.whole.results == {Result.RIGHT: 2 * len(right), Result.WRONG: 6 - 2 * len(right)}
        assert 0 < len(right) < 3
    assert sum(engine.requests for engine in pair.engines) == 12
