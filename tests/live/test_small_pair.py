"""HumanEval problems, end to end, by two real models with two vocabularies and no think markers of their own:
SmolLM2-135M as student, Gemma-3-270M (base) as teacher; in this process, and at two llama-servers.

    LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf pytest -m live tests/live/test_small_pair.py -s

`scripts/models` gets both files, `LIVE_PROBLEMS=164` takes all problems and not the first few. Such small models loop
often; the figures printed say how often.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

import antiphon
from antiphon.engine.model_files import ModelFiles
from antiphon.trace import Author, Status, Trace
from tests.conftest import SHARED
from tests.live.records import check

pytestmark = [pytest.mark.live, pytest.mark.slow]
PROBLEMS = int(os.environ.get("LIVE_PROBLEMS", "4"))
BUDGETS = {"budget.thinking": 150, "budget.answer": 400, "budget.on_budget": "close", "limit": PROBLEMS}


def model(variable: str) -> str:
    path = os.environ.get(variable)
    if not path or not Path(path).exists():
        pytest.skip(f"needs a model: {variable} names no file (scripts/models gets it)")
    return path


@pytest.fixture(scope="module")
def problems() -> Path:
    path = SHARED / "problems" / "humaneval.jsonl"
    if not path.exists():
        pytest.skip("needs ../shared, which is not here")
    return path


@pytest.fixture(scope="module", params=["in-process", "llama-server"])
def traces(
    request: pytest.FixtureRequest, problems: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Trace]]:
    runs = request.param
    directory = tmp_path_factory.mktemp("pair") / "run"
    written = {}
    for method in ("student_only", "tessy"):
        run = antiphon.synthesize(
            problems,
            run=directory,
            student=model("LIVE_SMOLLM2"),
            teacher=model("LIVE_GEMMA3"),
            boundary="code",
            method=method,
            settings={
                **BUDGETS,
                "student.runs": runs,
                "teacher.runs": runs,
                "student.context": 2048,
                "teacher.context": 2048,
            },
        )
        written[method] = list(run)
        print(
            runs,
            method,
            dict(Counter(trace.status for trace in written[method])),
            *run.tally.causes.items(),
            sep="\n  ",
        )
    return written


def test_every_trace_ends_and_none_fails(traces: dict[str, list[Trace]]) -> None:
    for written in traces.values():
        assert len(written) == PROBLEMS
        assert all(trace.status not in (None, Status.FAILED) for trace in written)


@pytest.mark.skipif(PROBLEMS < 100, reason="the share of so few traces says nothing; needs LIVE_PROBLEMS=164")
def test_as_many_are_complete_as_by_the_student_alone(traces: dict[str, list[Trace]]) -> None:
    complete = {
        method: sum(trace.status is Status.COMPLETE for trace in written) / PROBLEMS
        for method, written in traces.items()
    }
    print(f"complete: {complete} of {PROBLEMS}")
    assert complete["tessy"] >= complete["student_only"] - 0.10


def test_the_invariants_hold_on_every_record(traces: dict[str, list[Trace]]) -> None:
    vocabularies = {
        Author.STUDENT: ModelFiles.read(model("LIVE_SMOLLM2")).vocabulary,
        Author.TEACHER: ModelFiles.read(model("LIVE_GEMMA3")).vocabulary,
    }
    written = [trace for method in traces.values() for trace in method]
    for trace in written:
        check(trace, vocabularies)
    spans = [span for trace in written for span in trace.spans]
    print(f"{len(spans)} spans, {sum(span.forced for span in spans)} forced words")
