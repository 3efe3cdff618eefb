"""One real trace, by the same code as a run."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from antiphon.dialect import Message
from antiphon.engine.models import open_engine
from antiphon.errors import AntiphonError
from antiphon.operate.doctor.report import Finding, failure, ok, warning
from antiphon.plural import many
from antiphon.problem import Problem
from antiphon.settings import Limits, Settings
from antiphon.store import Reader
from antiphon.synth.cast import EngineOpener
from antiphon.synth.run import Run
from antiphon.trace import Author, Kind, Status, Trace

QUESTION = "What is 347 times 6?"
_THINKING, _ANSWER = 96, 48  # tokens
_SILENCE = 5.0  # seconds

_AS_HOPED = (Status.COMPLETE, Status.TOO_LONG)  # an answer at its budget is too long


async def rehearse(
    settings: Settings, *, close: bool, open_engine: EngineOpener = open_engine
) -> tuple[Finding, Problem, Trace | None]:
    """Writes one short trace into a folder of its own, which is removed.

    Args:
        close: whether the thinking may be closed at its budget, which takes models that go on from a prefix.
    """
    problem = Problem("doctor", (Message(role="user", content=QUESTION),))
    with tempfile.TemporaryDirectory(prefix="antiphon-doctor-") as folder:
        run = Run([problem], Path(folder) / "run", _small(settings, close), open_engine=open_engine)
        try:
            await run.work()
            with Reader(run.directory) as reader:
                trace = reader.trace(run.keys[0])
                turns = len(reader.turns(run.keys[0]))
                seconds = sum(session.ended - session.began for session in reader.sessions(run.variant))
        except AntiphonError as error:
            return failure(f"a trace could not be written: {error}"), problem, None
    return _judged(trace, turns, seconds), problem, trace


def _small(settings: Settings, close: bool) -> Settings:
    thinking, answer = settings.budget.thinking or _THINKING, settings.budget.answer or _ANSWER
    budget = settings.budget.model_copy(
        update={
            "thinking": min(thinking, _THINKING),
            "answer": min(answer, _ANSWER),
            "on_budget": "close" if close else "stop",
        }
    )
    return settings.model_copy(
        update={
            "budget": budget,
            "max": Limits(),
            "samples": 1,
            "until_right": None,
            "limit": None,
            "concurrency": 1,
            "outage": _SILENCE,
            "keep_rejected": False,
        }
    )


def _judged(trace: Trace, turns: int, seconds: float) -> Finding:
    shares: Counter[str] = Counter()
    for span in trace.spans:
        if span.kind is not Kind.MARKER:
            shares[f"{span.author} {span.kind}"] += len(span.text)
    by_author = ", ".join(f"{who} {characters}" for who, characters in shares.items()) or "nothing"
    if trace.status is Status.TOO_LONG:
        small = " (the budget is that small)"
    elif trace.closed_by is Author.NONE:
        small = " (its thinking was closed for it: the budget is that small)"
    else:
        small = ""
    says = f"{trace.status}{small} after {many(turns, 'turn')} and {seconds:.1f} s; characters by author: {by_author}"
    facts: dict[str, Any] = {
        "status": trace.status,
        "turns": turns,
        "seconds": round(seconds, 2),
        "characters": dict(shares),
    }
    if trace.status in _AS_HOPED:
        return ok(says, **facts)
    if trace.status is Status.FAILED:
        return failure(f"it failed: {trace.cause}", **facts)
    return warning(f"{says}{f' ({trace.cause})' if trace.cause else ''}", **facts)
