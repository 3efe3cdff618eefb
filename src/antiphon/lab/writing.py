"""The traces of one seed: every variant that the arms need, in one run directory, judged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.arms import BY_RULE, Writing, writings
from antiphon.lab.asked import DRAWN
from antiphon.lab.language import CLOSE, OPEN, STUDENT, told
from antiphon.lab.settings import Experiment
from antiphon.lab.tasks import Task, draw
from antiphon.problem import Problem
from antiphon.settings import Settings
from antiphon.store import Recorder, Store
from antiphon.synth.cast import EngineOpener
from antiphon.synth.run import Run
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status
from antiphon.verify.choose import VERIFIERS, verifiers
from antiphon.verify.judge import judge
from antiphon.verify.workers import cores
from antiphon.version import __version__

_RULE = "by rule, the student's manner, revision 1"


async def write(experiment: Experiment, seed: int, directory: Path, open_engine: EngineOpener) -> None:
    """Writes and judges what is missing.

    Raises:
        AntiphonError: as `Run.work` and `judge`.
    """
    for name, writing in writings(experiment.trained).items():
        asked = DRAWN[writing.problems](experiment, seed)
        if name == BY_RULE:
            await _by_rule(asked, seed, directory)
        else:
            settings = settings_for(experiment, writing, seed)
            await Run(asked, directory, settings, variant=name, open_engine=open_engine).work()
    await judge(directory, verifiers(experiment.problems.verifiers or VERIFIERS), jobs=cores())


def settings_for(experiment: Experiment, writing: Writing, seed: int) -> Settings:
    """How a variant is written with this seed."""
    return experiment.synthesis.model_copy(
        update={"method": writing.method, "like": writing.like, "source": writing.source, "seed": seed}
    )


async def _by_rule(problems: list[Problem], seed: int, directory: Path) -> None:
    """Right traces in the student's manner: what no student could do better."""
    tasks = _tasks({problem.id for problem in problems}, seed)
    with Store.open(directory) as store:
        store.add_problems(problems)
        store.add_variant(BY_RULE, {"method": _RULE}, {"antiphon": __version__})
        keys = [Key(problem.id, BY_RULE, 0) for problem in problems]
        store.plan(keys)
        pending = store.pending(BY_RULE)
        await asyncio.gather(*(_record(store.recorder(key), tasks[key.problem], seed) for key in pending))


def _tasks(ids: set[str], seed: int) -> Mapping[str, Task]:
    """The tasks of these problems, which `antiphon.lab.problems` drew with this seed."""
    found: dict[str, Task] = {}
    for task in draw("multiplication", random.Random(f"multiplication {seed}"), held_out=True):
        key = f"{task.family}-{task.key}"
        if key in ids:
            found[key] = task
        if len(found) == len(ids):
            break
    return found


async def _record(recorder: Recorder, task: Task, seed: int) -> None:
    spans = [Span(Author.NONE, Kind.MARKER, OPEN, end=SpanEnd.SEAM)]
    for text, kind in told(*task.solve(Arithmetic()), STUDENT, random.Random(f"{task.question} {seed}")):
        match kind:
            case "close":
                spans.append(Span(Author.NONE, Kind.MARKER, CLOSE, end=SpanEnd.SEAM))
            case "answer":
                spans.append(Span(Author.UNKNOWN, Kind.ANSWER, text, end=SpanEnd.END_OF_TURN))
            case _:
                of = Kind.STYLE if kind == "style" else Kind.CAPABILITY
                spans.append(Span(Author.UNKNOWN, of, text, end=SpanEnd.BOUNDARY))
    recorder.begin(anew=True)
    for index, span in enumerate(spans):
        recorder.close_span(index, span)
    await recorder.finish(Status.COMPLETE, closed_by=Author.UNKNOWN)
