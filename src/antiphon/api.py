"""What people call from Python: the same objects as the command's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import antiphon.problem
from antiphon.dialect import Message
from antiphon.errors import SettingsError, UsageError
from antiphon.problem import Loaded, Problem, content_id
from antiphon.problem.shard import Shard
from antiphon.settings import Settings, load
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.synth.sampling import Check
from antiphon.trace import Status

if TYPE_CHECKING:
    from antiphon.analyse.report import Comparison
    from antiphon.evaluation.report import Report
    from antiphon.verify.base import Verifier


def synthesize(
    problems: str | Path | Iterable[str | Path] | Iterable[Problem],
    *,
    run: str | Path,
    teacher: str | None = None,
    student: str | None = None,
    boundary: str | None = None,
    method: str | None = None,
    variant: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    verifiers: Sequence[Verifier] | None = None,
) -> Run:
    """Prepares a run; iterating over it writes the traces.

    Args:
        problems: files (see docs/problems.md), or `Problem` objects.
        run: the run directory; an existing one is taken up where it stands.
        teacher, student: models: a server's URL, a directory, a GGUF file, `lab:teacher`, `lab:student`.
        boundary: the predictor for both roles, by its name or import path; a class of a notebook's or script's own is
            `__main__:Name`.
        method: how a trace is written (see docs/methods.md); unset: `tessy`.
        variant: the traces' name in the run directory; unset: the method's.
        config: a TOML file, as for the command.
        settings: any other settings by dotted name (`{"budget.thinking": 200}`).
        verifiers: with `until_right`, who judges the answers; unset: the verifier that each problem's fields tell.

    Raises:
        SettingsError, ProblemError: before anything is loaded or spent; with `until_right`, also of a problem that no
            verifier suits.
        UsageError: with `until_right`, what is needed to judge is missing on this machine.
    """
    chosen = load(
        None if config is None else Path(config),
        {
            "method": method,
            "teacher.model": teacher,
            "student.model": student,
            "boundary.teacher": _name(boundary),
            "boundary.student": _name(boundary),
            **(settings or {}),
        },
    )
    asked = _loaded(problems, chosen)
    check = None if chosen.until_right is None else _check(asked.problems[: chosen.limit], verifiers)
    return Run(asked.problems, run, chosen, share=asked.share, variant=variant, check=check)


def read(run: str | Path) -> Reader:
    """A reader of a run directory: its problems, variants and traces.

    Raises:
        StoreUnfit: it is none.
    """
    return Reader(Path(run))


async def evaluate(
    problems: str | Path | Iterable[str | Path] | Iterable[Problem],
    *,
    model: str,
    run: str | Path,
    samples: int = 1,
    variant: str | None = None,
    verifiers: Sequence[Verifier] | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Measures a model, as `antiphon evaluate` does: writes and judges what is missing in the run directory.

    Args:
        problems, run, variant, config, settings: as `synthesize`'s.
        model: the model to measure, named as a student.
        samples: answers to each problem.
        verifiers: who judges; unset: the verifier that each problem's fields tell. Answers to problems that none of
            them suits are not judged.

    Raises:
        SettingsError, ProblemError: before anything is loaded or spent.
        UsageError: what is needed to judge is missing on this machine.
    """
    from antiphon.evaluation.report import report
    from antiphon.evaluation.run import measured, settled

    flags = {"student.model": model, **(settings or {})}
    asked = settled(load(None if config is None else Path(config), flags), samples)
    return report(await measured(_loaded(problems).problems, Path(run), asked, _judging(verifiers), variant=variant))


async def compare(
    places: str | Path | Iterable[str | Path],
    *,
    under: str | None = None,
    boundary: str | None = "default",
    status: Iterable[Status | str] = (Status.COMPLETE,),
    most: int = 400,
    scores: str | Path = "likelihoods",
    ray: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    done: Callable[[], None] = lambda: None,
) -> Comparison:
    """Holds sets of traces against the first of them, as `antiphon compare` does.

    Args:
        places: run directories (each of their variants is a set), DIRECTORY:VARIANT, files of records.
        under: the model under which it is measured how likely all is, named as a student; None: it is not measured.
        boundary: the predictor that marks style where the record does not tell it; None: nobody does.
        status: the texts of which traces are read. How traces came out is told of all.
        most: the texts of at most so many problems of each set.
        scores: the folder in which likelihoods are kept, so that none is measured twice.
        ray: a Ray cluster on whose machines they are measured (`host:port`, auto or local), by the model there.
        config, settings: as `synthesize`'s; of them `student` counts, for the model.
        done: called for each text that was read.

    Raises:
        UsageError: a place or a status that is none, a model that cannot tell likelihoods.
        SettingsError, PredictorError, StoreUnfit: before anything is measured.
        EngineUnavailable, ClusterError, StoreFull: what was measured is kept.
    """
    import antiphon.boundary
    from antiphon.analyse.compare import compare as held
    from antiphon.analyse.scoring import Scorer, open_model
    from antiphon.analyse.source import find

    if ray is not None and under is None:
        raise UsageError("ray: a cluster measures how likely texts are; name a model (under), or leave it out")
    student = None if under is None else _measuring(under, config, settings or {}).student
    statuses = list(_statuses(status))
    sides = find([str(places)] if isinstance(places, str | Path) else map(str, places))
    name = _name(boundary)
    predictor = None if name is None else antiphon.boundary.load(name)
    async with AsyncExitStack() as around:
        if predictor is not None:
            around.push_async_callback(predictor.close)
        scorer = None
        if student is not None and ray is not None:
            from antiphon.scale.scoring import Scoring
            from antiphon.scale.spread import Spread

            scorer = Scorer(await Scoring.met(around.enter_context(Spread(ray)), student), Path(scores))
        elif student is not None:
            model = await open_model(student)
            around.push_async_callback(model.close)
            scorer = Scorer(model, Path(scores))
        return await held(sides, statuses=statuses, most=most, predictor=predictor, scorer=scorer, done=done)


def ask(question: str) -> Problem:
    """A problem of one user message."""
    messages = (Message(role="user", content=question),)
    return Problem(content_id(messages), messages)


def _check(problems: Sequence[Problem], verifiers: Sequence[Verifier] | None) -> Check:
    from antiphon.verify.judge import Judges

    judges = Judges(_judging(verifiers))
    judges.require(problems)
    return judges.check


def _judging(given: Sequence[Verifier] | None) -> Sequence[Verifier]:
    """Who judges; objects here, where the command has names."""
    from antiphon.verify.choose import is_verifier
    from antiphon.verify.choose import verifiers as chosen

    for one in given or ():
        if not is_verifier(one):
            raise UsageError(
                f"verifiers: {one!r} is no verifier, an object with name, version, suits and check; of names"
                " antiphon.verify.choose.verifiers([NAME, ...]) makes some"
            )
    return chosen() if given is None else given


def _name(boundary: object) -> str | None:
    """A predictor as settings have it: by name, so that a record, another process or machine can name it, too."""
    if boundary is None or isinstance(boundary, str):
        return boundary
    kind = boundary if isinstance(boundary, type) else type(boundary)
    raise SettingsError(
        f"boundary: {boundary!r} is no text; a predictor is given by its name or import path, this one as"
        f" {f'{kind.__module__}:{kind.__qualname__}'!r}"
    )


def _measuring(model: str, config: str | Path | None, settings: Mapping[str, Any]) -> Settings:
    """A model of this machine runs in this process: the servers that are started for one do not tell likelihoods."""
    here = {} if "://" in model else {"student.runs": "in-process"}
    return load(None if config is None else Path(config), {"student.model": model, **here, **settings})


def _statuses(given: Iterable[Status | str]) -> Iterator[Status]:
    for name in [given] if isinstance(given, str) else given:
        try:
            yield Status(name)
        except ValueError:
            raise UsageError(f"there is no status {name!r}; there are {', '.join(Status)}") from None


def _loaded(given: str | Path | Iterable[str | Path] | Iterable[Problem], settings: Settings | None = None) -> Loaded:
    """The problems; of files only those that the settings ask for, and no others' texts are held."""
    if isinstance(given, str | Path):
        paths: list[str | Path] = [given]
    else:
        items = list(given)
        if all(isinstance(item, Problem) for item in items):
            return Loaded([item for item in items if isinstance(item, Problem)])
        paths = [item for item in items if not isinstance(item, Problem)]
    limit, part = (None, None) if settings is None else (settings.limit, settings.shard)
    loaded = antiphon.problem.load(paths, limit=limit, shard=None if part is None else Shard.parse(part))
    loaded.require_good()
    return loaded
