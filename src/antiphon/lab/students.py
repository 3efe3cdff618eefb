"""One student: trained, evaluated at fixed points, and held against the student that it was."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from antiphon.analyse.drift import drift
from antiphon.analyse.form import Form, form_of
from antiphon.analyse.report import Distance
from antiphon.analyse.text import Text, marked, problem_key, stretches
from antiphon.evaluation.results import Sample
from antiphon.evaluation.run import measured
from antiphon.lab.asked import Evaluated, evaluation
from antiphon.lab.data import predictors
from antiphon.lab.place import Place
from antiphon.lab.results import BASE, Drift, DriftFigure, Evaluation, Training, put
from antiphon.lab.settings import Experiment
from antiphon.lab.stages import Stages
from antiphon.store import Reader
from antiphon.synth.cast import EngineOpener
from antiphon.trace import Author, Status
from antiphon.verify.choose import VERIFIERS, verifiers
from antiphon.verify.result import Result

OTHERS = "others"
"""In figures of drift: all families but the target together."""

Trainer = Callable[..., Any]
"""`antiphon.train.sft.train`, or what stands for it."""


async def base(experiment: Experiment, place: Place, open_engine: EngineOpener) -> None:
    """Evaluates the student as it was."""
    stages, asked = Stages(), evaluation(experiment)
    with stages("evaluate"):
        found = await _evaluated(
            experiment, asked, place.base, BASE, experiment.student, open_engine, arm=BASE, rate=None, seed=0, step=0
        )
    put(place.base_record, evaluations=found, stages=stages.seconds)


def student(
    experiment: Experiment, place: Place, arm: str, rate: float, seed: int, open_engine: EngineOpener, train: Trainer
) -> None:
    """Trains a student, evaluates it at each point, and compares the last with the base.

    Raises:
        AntiphonError: as the training and the evaluation do.
    """
    stages, asked, points = Stages(), evaluation(experiment), experiment.training.points
    folder, answers = place.student(seed, arm, rate), place.answers(seed, arm, rate)
    recipe = experiment.recipe(arm, rate, seed)
    with stages("train"):
        trained = train(place.data(seed, arm), experiment.student, folder, recipe, save_at=points)
        if not trained.checkpoints.keys() >= set(points):  # it was evaluated before, and its record removed
            shutil.rmtree(folder)
            trained = train(place.data(seed, arm), experiment.student, folder, recipe, save_at=points)
    found: list[Evaluation] = []
    for step in points:
        with stages("evaluate"):
            found += asyncio.run(
                _evaluated(
                    experiment,
                    asked,
                    answers,
                    _variant(step),
                    trained.checkpoints[step],
                    open_engine,
                    arm=arm,
                    rate=rate,
                    seed=seed,
                    step=step,
                )
            )
    with stages("drift"):
        far = asyncio.run(_drift(experiment, asked, place, answers, arm, rate, seed))
    put(
        place.student_record(seed, arm, rate),
        evaluations=tuple(found),
        trainings=(
            Training(arm, rate, seed, place.relative(folder), place.relative(trained.curve), stages.seconds["train"]),
        ),
        drift=tuple(far),
        stages=stages.seconds,
    )
    if not experiment.training.keep:
        for step, model in trained.checkpoints.items():
            if step != points[-1]:
                shutil.rmtree(model, ignore_errors=True)


async def _evaluated(
    experiment: Experiment,
    asked: Evaluated,
    directory: Path,
    variant: str,
    model: str | Path,
    open_engine: EngineOpener,
    **point: Any,
) -> tuple[Evaluation, ...]:
    """What a model comes to, family by family."""
    problems = list(chain.from_iterable(asked.values()))
    judges = verifiers(experiment.problems.verifiers or VERIFIERS)
    settings = experiment.evaluated(model)
    directory.parent.mkdir(parents=True, exist_ok=True)
    told = await measured(problems, directory, settings, judges, variant=variant, open_engine=open_engine)
    samples = {sample.key.problem: sample for sample in told.samples}
    return tuple(_of_family(family, some, samples, **point) for family, some in asked.items())


def _of_family(family: str, problems: Sequence[Any], samples: Mapping[str, Sample], **point: Any) -> Evaluation:
    found = [samples[problem.id] for problem in problems]
    statuses = Counter("pending" if sample.status is None else sample.status.value for sample in found)
    return Evaluation(
        **point,
        family=family,
        problems=tuple(problem.id for problem in problems),
        right=tuple(sample.result is Result.RIGHT for sample in found),
        statuses=dict(statuses),
        tokens=sum(sample.thinking + sample.answer for sample in found) / len(found),
    )


async def _drift(
    experiment: Experiment, asked: Evaluated, place: Place, answers: Path, arm: str, rate: float, seed: int
) -> list[Drift]:
    """How unlike the base the student writes at its last point."""
    before = await _forms(experiment, place.base, BASE)
    after = await _forms(experiment, answers, _variant(experiment.training.points[-1]))
    target, *others = asked
    parts = {target: {problem.id for problem in asked[target]}}
    if others:
        parts[OTHERS] = {problem.id for family in others for problem in asked[family]}
    found = []
    for name, ids in parts.items():
        one, other = ([form for id, form in forms if id in ids] for forms in (before, after))
        if not (one and other):
            continue
        told = drift(one, other)
        figures = {far.name: _figure(far) for far in told.distances}
        found.append(Drift(arm, rate, seed, name, told.second, figures))
    return found


def _figure(far: Distance) -> DriftFigure:
    low, high = far.interval or (None, None)
    return DriftFigure(far.value, low, high, far.chance, far.p)


async def _forms(experiment: Experiment, directory: Path, variant: str) -> list[tuple[str, Form]]:
    """The forms of a variant's complete traces, by problem."""
    texts, ids = [], []
    with Reader(directory) as reader:
        problems = {problem.id: problem for problem in reader.problems()}
        for trace in reader.traces(variant=variant, status=[Status.COMPLETE]):
            problem = problems[trace.key.problem]
            texts.append(Text(str(trace.key), problem_key(problem), problem.messages, stretches(trace.spans)))
            ids.append(problem.id)
    told = await marked(texts, predictors(experiment.synthesis.boundary)[Author.STUDENT])
    return list(zip(ids, map(form_of, told), strict=True))


def _variant(step: int) -> str:
    return f"step-{step}"
