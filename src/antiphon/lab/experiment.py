"""The experiment: which work there is, in which order, and that none is done twice."""

from __future__ import annotations

import asyncio
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.analyse.scoring import Scorer, open_model
from antiphon.engine import models
from antiphon.errors import StoreFull, UsageError
from antiphon.lab import students, writing
from antiphon.lab.arms import arm, writings
from antiphon.lab.asked import DRAWN, evaluation
from antiphon.lab.data import Source
from antiphon.lab.place import Place
from antiphon.lab.results import BASE, load, put, save
from antiphon.lab.settings import Experiment
from antiphon.lab.stages import Stages
from antiphon.store import Reader
from antiphon.store.place import LOCK, Lock
from antiphon.synth.cast import EngineOpener
from antiphon.verify.choose import VERIFIERS, verifiers
from antiphon.verify.judge import Judges
from antiphon.verify.workers import cores
from antiphon.version import __version__

_MAY_GROW = ("name", "arms", "seeds", "jobs")
_LIBRARIES = ("torch", "transformers", "trl", "tokenizers", "numpy")


class Unit(NamedTuple):
    """A piece of work: the base's evaluation, a seed's data, or one student."""

    kind: str
    seed: int = 0
    arm: str = BASE
    rate: float = 0.0

    def __str__(self) -> str:
        match self.kind:
            case "base":
                return "the base"
            case "data":
                return f"seed {self.seed}: data"
        return f"seed {self.seed}: {self.arm} at {self.rate:g}"

    @property
    def needs(self) -> tuple[Unit, ...]:
        """What is to be done before it."""
        return (Unit("base"), Unit("data", self.seed)) if self.kind == "student" else ()

    def is_done(self, experiment: Experiment, place: Place) -> bool:
        """Whether its records stand."""
        match self.kind:
            case "base":
                return place.base_record.exists()
            case "data":
                return all(place.data_record(self.seed, name).exists() for name in experiment.trained)
        return place.student_record(self.seed, self.arm, self.rate).exists()


@dataclass(frozen=True)
class Means:
    """By what models are opened and students trained. Both are functions of a module where several processes work."""

    open_engine: EngineOpener | None = None
    train: students.Trainer | None = None

    @property
    def opener(self) -> EngineOpener:
        """Opens engines."""
        return self.open_engine or models.open_engine

    @property
    def trainer(self) -> students.Trainer:
        """Trains."""
        if self.train is not None:
            return self.train
        from antiphon.train.sft import train

        return train

    def require(self, experiment: Experiment) -> None:
        """Sees that students can be trained here.

        Raises:
            MissingDependency: the extra `train` is not installed.
        """
        if self.train is None:
            from antiphon.train.sft import require_libraries

            require_libraries(experiment.recipe(experiment.trained[0], experiment.training.rate, 0))


def units(experiment: Experiment) -> list[Unit]:
    """All work, in the order in which it is begun: a seed's data before the students of the seed before it, so that
    processes never wait for data, and seeds are finished one after the other."""
    found = [Unit("base")]
    students_before: list[Unit] = []
    for seed in experiment.seeds:
        found += [Unit("data", seed), *students_before]
        rates = {name: experiment.rates(name) for name in experiment.trained}
        students_before = [Unit("student", seed, name, rate) for name in rates for rate in rates[name]]
    return [*found, *students_before] if experiment.trained else found[:1]


def work(experiment: Experiment, directory: Path, means: Means, unit: Unit) -> None:
    """Does one unit, as far as it is not done.

    Raises:
        AntiphonError: it cannot be done.
    """
    place = Place(directory)
    if unit.is_done(experiment, place):
        return
    match unit.kind:
        case "base":
            asyncio.run(students.base(experiment, place, means.opener))
        case "data":
            asyncio.run(_data(experiment, place, unit.seed, means.opener))
        case _:
            students.student(experiment, place, unit.arm, unit.rate, unit.seed, means.opener, means.trainer)


async def _data(experiment: Experiment, place: Place, seed: int, open_engine: EngineOpener) -> None:
    stages = Stages()
    run = place.run(seed)
    run.parent.mkdir(parents=True, exist_ok=True)
    with stages("write"):
        await writing.write(experiment, seed, run, open_engine)
    model, scorer = None, None
    if experiment.likelihood:
        role = experiment.synthesis.student.model_copy(update={"model": experiment.student, "runs": "in-process"})
        model = await open_model(role, open_engine)
    try:
        if model is not None:
            scorer = Scorer(model)
            await scorer.require()
        with Reader(run) as reader:
            source = Source(experiment, seed, reader, scorer)
            folder = place.data(seed, BASE).parent
            folder.mkdir(exist_ok=True)
            for left in folder.glob(".*"):  # what a killed session has not finished
                left.unlink()
            for name in experiment.trained:
                record = place.data_record(seed, name)
                if not record.exists():
                    with stages("data"):
                        data = await source.make(arm(name), place.data(seed, name))
                    put(record, data=(data,), stages=stages.seconds)
                    stages = Stages()
    finally:
        if model is not None:
            await model.close()


@contextmanager
def opened(experiment: Experiment, directory: Path) -> Iterator[None]:
    """The directory, made and locked; it keeps the settings: those given, and the arms and seeds of earlier sessions.
    Another experiment's traces may be in it (`seed-N/run`): they are taken as they are.

    Raises:
        UsageError: it holds another experiment, or something else.
        StoreBusy: another process works in it.
        StoreFull: it cannot be written.
    """
    place, began = Place(directory), time.monotonic()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFull(f"{directory}: cannot be made: {error.strerror}") from None
    known = load(place.experiment)
    if known is None and not all(map(_may_be_there, directory.iterdir())):
        raise UsageError(f"{directory}: there is something else in it; name another folder (--to)")
    with Lock(directory):
        joined = _joined(experiment, known, directory)
        save(
            place.experiment,
            {
                "name": joined.name,
                "config": joined.model_dump(mode="json"),
                "environment": _environment() if known is None else known["environment"],
            },
        )
        try:
            yield
        finally:
            line = json.dumps({"antiphon": __version__, "ended": time.time(), "seconds": time.monotonic() - began})
            with place.sessions.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def _may_be_there(path: Path) -> bool:
    """Whether an experiment may begin where this is: what a session leaves behind that wrote nothing, or a seed's
    traces and no more."""
    if path.name == LOCK or path.name.startswith("."):
        return True
    return path.name.startswith("seed-") and path.is_dir() and {inside.name for inside in path.iterdir()} == {"run"}


def _joined(experiment: Experiment, known: Any, directory: Path) -> Experiment:
    """With what was asked before, if all else is the same."""
    if known is None:
        return experiment
    before, now = known["config"], experiment.model_dump(mode="json")
    differing = [name for name in now if name not in _MAY_GROW and now[name] != before.get(name)]
    if differing:
        raise UsageError(
            f"{directory}: holds another experiment ({before.get('name')}), which differs in {', '.join(differing)};"
            " name another folder (--to)"
        )
    grown = {name: tuple(dict.fromkeys((*before[name], *now[name]))) for name in ("arms", "seeds")}
    return experiment.model_copy(update=grown)


def require(experiment: Experiment) -> None:
    """Sees that its problems are there and can be judged here, before anything is spent.

    Raises:
        UsageError: they are not; says what is missing.
    """
    judges = Judges(verifiers(experiment.problems.verifiers or VERIFIERS))
    judges.require(list(chain.from_iterable(evaluation(experiment).values())))
    asked = {one.problems for one in writings(experiment.trained).values()}
    for seed in experiment.seeds:
        for name, drawn in DRAWN.items():
            if name in asked:
                judges.require(drawn(experiment, seed))


def _environment() -> dict[str, str]:
    found = {"antiphon": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "machine": f"{platform.system()} {platform.machine()}, {_processor()}", "cores": str(cores())}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")
