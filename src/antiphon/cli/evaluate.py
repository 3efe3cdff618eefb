"""`antiphon evaluate`: how often a model is right, and how sure that is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from antiphon.cli import completing, options
from antiphon.cli.options import ELSEWHERE, LENGTHS, MAKES, READS, SHOWS, option
from antiphon.cli.reading import first, read
from antiphon.cli.terminal import print_json, say, warn
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.evaluation.exchange import Tool
    from antiphon.evaluation.results import Evaluation
    from antiphon.problem import Problem
    from antiphon.settings import Settings
    from antiphon.synth.run import Run
    from antiphon.trace import Key
    from antiphon.verify.base import Verifier


def evaluate(
    problems: Annotated[list[str] | None, options.PROBLEMS] = None,
    config: options.Config = None,
    assignments: options.Assignments = None,
    field: options.Field = None,
    template: options.Template = None,
    skip_bad: options.SkipBad = False,
    where: options.Where = None,
    limit: options.Limit = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        option(metavar="A B", help="Two evaluations (DIR or DIR/VARIANT) instead, held together.", panel=READS),
    ] = None,
    to: Annotated[Path | None, options.to("evaluations/PROBLEMS-MODEL")] = None,
    variant: Annotated[str | None, options.variant("student_only", panel=MAKES)] = None,
    samples: options.Samples = None,
    write_rates: Annotated[
        Path | None,
        option(metavar="FILE", help="The problems again, each with its pass_rate (.jsonl, .gz, .zst).", panel=MAKES),
    ] = None,
    model: Annotated[str | None, options.model()] = None,
    temperature: Annotated[
        float | None,
        option(min=0, metavar="T", help="Of sampling; 0 is greedy.", panel=LENGTHS, show_default="0.6"),
    ] = None,
    thinking_budget: options.ThinkingBudget = None,
    answer_budget: options.AnswerBudget = None,
    verifier: options.VerifierNames = None,
    unsafe_local: options.UnsafeLocal = False,
    answers_for: Annotated[
        str | None,
        option(
            metavar="TOOL=FILE",
            help="Judge nothing; write the answers for ojbench or livecodebench-pro.",
            panel=ELSEWHERE,
            values=completing.names(completing.tools),
        ),
    ] = None,
    verdicts_from: Annotated[
        str | None,
        option(
            metavar="TOOL=FILE",
            help="Read that tool's verdicts back.",
            panel=ELSEWHERE,
            values=completing.names(completing.tools),
        ),
    ] = None,
    concurrency: options.Concurrency = None,
    seed: options.Seed = None,
    retry: options.Retry = None,
    k: Annotated[
        str | None, option("--k", metavar="K,K...", help="Which pass@k.", panel=SHOWS, show_default="1, 2, 4 ...")
    ] = None,
    by: Annotated[
        str | None,
        option(
            metavar="FIELD",
            help="Part the problems by this field.",
            panel=SHOWS,
            show_default="difficulty or level",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measures a model: how often it is right, with intervals.

    Example: antiphon evaluate problems.jsonl --model lab:student --samples 4

    It writes into a run directory. Run it again and it goes on where it stood. Without PROBLEMS it shows what is in
    --to DIR.

    Exit codes: 0 done, 1 some answers could not be written or judged, 2 wrong use, 3 a service or disk gave out, 130
    interrupted.
    """
    from antiphon.evaluation.results import locate
    from antiphon.evaluation.results import read as read_samples

    ks, judges = _ks(k), _names(verifier)
    if compare is not None:
        _compare(*compare, judges, ks=ks, by=by, json=json)
        return
    answers, verdicts = _exchange(answers_for, "--answers-for"), _exchange(verdicts_from, "--verdicts-from")
    if problems:
        from antiphon.engine import models
        from antiphon.evaluation.rates import require_place
        from antiphon.evaluation.report import parting
        from antiphon.evaluation.run import directory_for
        from antiphon.synth.run import Run

        settings = _settings(
            config,
            {
                "student.model": model,
                "student.sampling.temperature": temperature,
                "budget.thinking": thinking_budget,
                "budget.answer": answer_budget,
                "limit": limit,
                "concurrency": concurrency,
                "seed": seed,
                **options.assigned(assignments),
            },
            samples=samples,
            ks=ks,
        )
        loaded = read(problems, field=field, template=template, where=where, limit=settings.limit, skip_bad=skip_bad)
        parting(loaded.problems, by)
        if write_rates is not None:
            require_place(problems, write_rates)
        elsewhere = answers is not None or verdicts is not None
        judging = None if elsewhere else _verifiers(loaded.problems, verifier, unsafe=unsafe_local)
        run = Run(
            loaded.problems,
            to or directory_for(problems, settings.student.model or ""),
            settings,
            variant=variant,
            retry=options.statuses(retry or (), "--retry"),
            open_engine=models.open_engine,
        )
        done = _work(run, judging, quiet=json)
    elif to is None:
        raise typer.BadParameter(
            "which problems? Give a file; or --to DIR, to see what is there", param_hint="PROBLEMS"
        )
    elif write_rates is not None:
        raise typer.BadParameter("rates of which problems? Give PROBLEMS, too", param_hint="--write-rates")
    else:
        done = _Done(*locate(to, variant))
    told: dict[str, Any] = {"interrupted": done.interrupted}
    if answers is not None:
        told["answers"] = _hand_over(done, *answers)
    if verdicts is not None:
        told["verdicts"] = _take_back(done, *verdicts)
    evaluation = read_samples(done.directory, done.variant, keys=done.keys, verifiers=judges)
    if write_rates is not None:
        told["rates"] = _write_rates(problems or [], evaluation, write_rates, field, template)
    raise typer.Exit(_report(evaluation, told, ks=ks, by=by, json=json))


class _Done(NamedTuple):
    """What there is to report on: a variant in a run directory, of its traces only `keys` where these are given."""

    directory: Path
    variant: str
    keys: Sequence[Key] | None = None
    interrupted: bool = False


def _ks(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        ks = sorted({int(k) for k in given.split(",")})
    except ValueError:
        ks = [0]
    if ks[0] < 1:
        raise typer.BadParameter(f"{given} is no list of numbers from 1, as in 1,4,8", param_hint="--k")
    return ks


def _names(specs: Sequence[str] | None) -> set[str] | None:
    """The names of chosen verifiers, whose verdicts alone count; None: all do."""
    from antiphon.verify.choose import verifiers

    return None if specs is None else {made.name for made in verifiers(specs)}


def _exchange(given: str | None, flag: str) -> tuple[Tool, Path] | None:
    """A tool and a file, of TOOL=FILE."""
    from antiphon.evaluation.exchange import tool

    if given is None:
        return None
    name, equals, path = given.partition("=")
    if not equals or not path:
        raise typer.BadParameter(f"{given}: write it as TOOL=FILE, as in ojbench=answers.jsonl", param_hint=flag)
    return tool(name), Path(path)


def _settings(config: Path | None, given: Mapping[str, Any], *, samples: int | None, ks: list[int] | None) -> Settings:
    from antiphon.evaluation.run import settled
    from antiphon.settings import load

    settings = settled(load(config, given), samples)
    if settings.student.model is None:
        raise typer.BadParameter("which model? Give a URL, a folder or a GGUF file", param_hint="--model")
    if ks is not None and ks[-1] > settings.samples:
        raise typer.BadParameter(f"pass@{ks[-1]} needs --samples {ks[-1]} or more", param_hint="--k")
    return settings


def _verifiers(problems: Sequence[Problem], names: Sequence[str] | None, *, unsafe: bool) -> list[Verifier]:
    """Who judges, once it is sure that they can; says of which problems the answers will not be judged."""
    from antiphon.evaluation.run import unjudged
    from antiphon.verify.choose import VERIFIERS, verifiers

    made = verifiers(names or VERIFIERS, unsafe=unsafe)
    left_out = unjudged(problems, made)
    if left_out:
        ids = ", ".join(first([problem.id for problem in left_out], "problem"))
        so_many = f"{len(left_out):,} of {many(len(problems), 'problem')}"
        warn(f"no verifier suits {so_many}, whose answers will not be judged: {ids}")
    return made


def _work(run: Run, judging: Sequence[Verifier] | None, *, quiet: bool) -> _Done:
    """Writes and judges what is missing. Nobody judges: None."""
    from antiphon.cli.judging import judged
    from antiphon.cli.progress import Following
    from antiphon.cli.stopping import Stopping
    from antiphon.store import Reader
    from antiphon.trace import Status
    from antiphon.verify.judge import judge
    from antiphon.verify.workers import cores

    try:
        with Following(run.tally, quiet=quiet) as following, Stopping(run.stop, following.say) as stopping:
            asyncio.run(run.work(on_remark=warn))
    finally:
        if run.repaired:
            warn(run.repaired)
    interrupted = stopping.asked
    if not interrupted and run.tally.spend is not None and run.tally.spend.stopped:
        say(f"Stopped: {run.tally.spend.stopped}. Everything is kept; the figures are of what is there.")
    if judging is not None and not interrupted:
        with Reader(run.directory) as reader:
            total = reader.counts(run.variant).get(Status.COMPLETE, 0)
        work = partial(judge, run.directory, judging, variant=run.variant, jobs=cores())
        interrupted = judged(work, total, quiet=quiet) is None
    return _Done(run.directory, run.variant, run.keys, interrupted)


def _hand_over(done: _Done, tool: Tool, path: Path) -> dict[str, Any]:
    from antiphon.evaluation.exchange import write
    from antiphon.store import Reader

    with Reader(done.directory) as reader:
        rows = write(reader, done.variant, tool, path)
    say(f"{path}: {many(rows, 'answer')} for {tool.says}; its verdicts are read with --verdicts-from {tool.name}=FILE")
    return {"tool": tool.name, "path": str(path), "rows": rows}


def _take_back(done: _Done, tool: Tool, path: Path) -> dict[str, Any]:
    from antiphon.evaluation.exchange import read_back

    found = asyncio.run(read_back(done.directory, done.variant, tool, path))
    say(f"{path}: {many(sum(found.labels.values()), 'verdict')} of {tool.name}")
    if found.unjudged or found.without:
        unjudged, without = many(found.unjudged, "answer"), many(found.without, "answer")
        warn(f"{path}: not judged yet are {unjudged}, not in it {without} of the run")
    return {"tool": tool.name, "labels": dict(found.labels), "unjudged": found.unjudged, "without": found.without}


def _write_rates(
    paths: Sequence[str], evaluation: Evaluation, to: Path, field: str | None, template: str | None
) -> dict[str, Any]:
    from dataclasses import asdict

    from antiphon.evaluation.rates import write_rates

    rated = write_rates(paths, evaluation, to, field=field, template=template)
    say(f"{to}: {many(rated.records, 'problem')}, {rated.rated} of them with their pass_rate")
    return {"path": str(to), **asdict(rated)}


def _report(
    evaluation: Evaluation, told: Mapping[str, Any], *, ks: list[int] | None, by: str | None, json: bool
) -> int:
    """Shows the figures; gives the exit code."""
    from antiphon.cli.evaluation import as_json, tell
    from antiphon.cli.stopping import INTERRUPTED
    from antiphon.evaluation.report import report
    from antiphon.verify.result import Result

    figures = report(evaluation, ks=ks, by=by)
    lacking = {Result.FAILED, Result.CANNOT_JUDGE} | ({Result.NOT_JUDGED} if "answers" not in told else set())
    code = INTERRUPTED if told["interrupted"] else 1 if lacking & set(figures.whole.results) else 0
    if json:
        print_json({**as_json(evaluation, figures), **told}, code)
        return code
    tell(evaluation, figures)
    if told["interrupted"]:
        say("Interrupted. Everything is kept; the same command goes on.")
    return code


def _compare(
    a: Path, b: Path, judges: Collection[str] | None, *, ks: list[int] | None, by: str | None, json: bool
) -> None:
    from antiphon.cli.evaluation import comparison_json, tell_comparison
    from antiphon.evaluation.report import compare
    from antiphon.evaluation.results import locate
    from antiphon.evaluation.results import read as read_samples

    one, other = (read_samples(*locate(place), verifiers=judges) for place in (a, b))
    comparison = compare(one, other, ks=ks, by=by)
    if json:
        print_json(comparison_json(one, other, comparison))
    else:
        tell_comparison(one, other, comparison)
