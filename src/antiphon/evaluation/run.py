"""How a model is asked in an evaluation, whether its answers can be judged, and where they are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from antiphon.engine.models import open_engine, shown
from antiphon.evaluation.results import Evaluation, read
from antiphon.problem import Problem
from antiphon.settings import Settings
from antiphon.synth.cast import EngineOpener
from antiphon.synth.run import Run
from antiphon.verify.base import Verifier
from antiphon.verify.judge import Judges, judge
from antiphon.verify.workers import cores

METHOD = "student_only"
"""The model to be measured writes alone, in the student's place."""

SAMPLING: Mapping[str, Any] = {"temperature": 0.6, "top_p": 0.95}
THINKING = 32_768
"""What holds where nothing else was said. The paper evaluates at temperature 0.6 with at most 40K tokens: with the
8,192 of an answer these are as many. It is silent on top-p; this is what Qwen3's card advises for thinking."""

_Section = TypeVar("_Section", bound=BaseModel)


def settled(settings: Settings, samples: int | None = None) -> Settings:
    """The settings of an evaluation: the student alone, the values above where nobody gave others, and always all
    samples, since a rate over samples that end with a right one says nothing."""
    student = settings.student
    return settings.model_copy(
        update={
            "method": METHOD,
            "student": student.model_copy(update={"sampling": _unless_set(student.sampling, **SAMPLING)}),
            "budget": _unless_set(settings.budget, thinking=THINKING),
            "samples": samples or settings.samples,
            "until_right": None,
        }
    )


def _unless_set(section: _Section, **values: Any) -> _Section:
    return section.model_copy(update={k: v for k, v in values.items() if k not in section.model_fields_set})


def unjudged(problems: Sequence[Problem], verifiers: Sequence[Verifier]) -> list[Problem]:
    """The problems that none of the verifiers suits, once it is sure that the others can be judged on this machine.

    Raises:
        UsageError: no problem can be judged, or not here; said before a token is spent.
    """
    judges = Judges(verifiers)
    suited, unsuited = list[Problem](), list[Problem]()
    for problem in problems:
        (unsuited if judges.of(problem) is None else suited).append(problem)
    judges.require(suited or problems[:1])
    return unsuited


async def measured(
    problems: Sequence[Problem],
    directory: Path,
    settings: Settings,
    verifiers: Sequence[Verifier],
    *,
    variant: str | None = None,
    open_engine: EngineOpener = open_engine,
) -> Evaluation:
    """An evaluation from its problems to its verdicts; what is there already is neither written nor judged again.

    Args:
        settings: as `settled` gives them.
        variant: its name in the run directory; the method's unless given.

    Raises:
        AntiphonError: as `unjudged`, `Run.work` and `judge`.
    """
    unjudged(problems, verifiers)
    run = Run(problems, directory, settings, variant=variant, open_engine=open_engine)
    await run.work()
    await judge(directory, verifiers, variant=run.variant, jobs=cores())
    return read(directory, run.variant, keys=run.keys, verifiers={verifier.name for verifier in verifiers})


def directory_for(paths: Sequence[str], model: str) -> Path:
    """Where an evaluation goes that was given no place: named after the first problem file and the model."""
    problems = "problems" if paths[0] == "-" else Path(paths[0]).name.partition(".")[0]
    reference = shown(model)
    name = reference.partition("://")[2] if "://" in reference else Path(reference).name
    return Path("evaluations") / f"{_plain(problems)}-{_plain(name)}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text.removesuffix("/").removesuffix("/v1")).strip("-.") or "unnamed"
