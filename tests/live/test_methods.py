"""Every method comes to its end with two real models at two llama-servers.

    LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf pytest -m live tests/live/test_methods.py -s

`LIVE_PROBLEMS=8` takes as many problems and not the first two. Such small models answer next to nothing right, and the
teacher's grades cannot be read: what is looked at is that every trace ends, and what it is made of.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import antiphon
from antiphon.errors import SettingsError
from antiphon.synth.cutter import lengths
from antiphon.synth.methods import METHODS
from antiphon.trace import Status, Trace
from tests.conftest import SHARED
from tests.live.test_small_pair import model

pytestmark = [pytest.mark.live, pytest.mark.slow]

PROBLEMS = int(os.environ.get("LIVE_PROBLEMS", "2"))
BUDGETS = {"budget.thinking": 100, "budget.answer": 200, "budget.on_budget": "close", "limit": PROBLEMS}
LOCAL = {
    f"{role}.{name}": value
    for role in ("student", "teacher")
    for name, value in {"context": 4096, "runs": "llama-server"}.items()
}
LIKE = {"like": "tessy", "source": "teacher_only", "candidates": 2, "guards.repetition": False}
GOES_BY = {"random_boundaries": "tessy", "fixed_boundaries": "tessy", "revoice": "teacher_only"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("methods") / "run"


@cache
def written(method: str, directory: Path) -> list[Trace]:
    path = SHARED / "problems" / "humaneval.jsonl"
    if not path.exists():
        pytest.skip("needs ../shared, which is not here")
    run = antiphon.synthesize(
        path,
        run=directory,
        student=model("LIVE_SMOLLM2"),
        teacher=model("LIVE_GEMMA3"),
        boundary="code",
        method=method,
        settings={**BUDGETS, **LOCAL, **LIKE},
    )
    traces = list(run)
    paid = {role.value: usage.received for role, usage in run.tally.usage.items()}
    print(method, dict(Counter(trace.status for trace in traces)), paid, *run.tally.causes.items(), sep="\n  ")
    return traces


def suits(source: str, directory: Path) -> bool:
    """Whether others can go by what was written: so small models may end none of two problems, or one of them may not
    think at all."""
    complete = [trace for trace in written(source, directory) if trace.status is Status.COMPLETE]
    return bool(complete) and (source != "tessy" or all(lengths(complete).values()))


@pytest.mark.parametrize("method", METHODS)
def test_every_trace_ends(method: str, directory: Path) -> None:
    source = GOES_BY.get(method)
    if source is not None and not suits(source, directory):
        with pytest.raises(SettingsError, match=f"{source}: it has no complete trace"):
            written(method, directory)
        return
    traces = written(method, directory)
    if method != "revoice":  # which rewrites what is complete
        assert len(traces) == PROBLEMS
    for trace in traces:
        failed = trace.status is Status.FAILED
        assert trace.status is not None and (not failed or "no grade could be read" in trace.cause), trace.cause
        if trace.status is Status.COMPLETE:
            assert trace.closed_by is not None and trace.answer.strip()
