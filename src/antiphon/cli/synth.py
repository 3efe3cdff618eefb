"""`antiphon synth`: traces of many problems, on a run directory that survives anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.options import JUDGING, MORE, NO_VALUE, SPENDING
from antiphon.cli.reading import first, read
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.errors import SettingsError
from antiphon.trace import Label, Status

if TYPE_CHECKING:
    from antiphon.problem import Loaded, Problem
    from antiphon.settings import Settings
    from antiphon.synth.run import Run
    from antiphon.synth.sampling import Check

_CONFIGURATION = "antiphon.toml"


def synth(
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROBLEMS...", help="Files, folders, globs, or - (docs/problems.md).", show_default=False
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run directory; an existing one is taken up.")
    ] = None,
    config: options.Config = None,
    teacher: options.Teacher = None,
    student: options.Student = None,
    boundary: options.Boundary = None,
    boundary_teacher: options.BoundaryTeacher = None,
    boundary_student: options.BoundaryStudent = None,
    method: options.MethodName = None,
    samples: options.Samples = None,
    until_right: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Instead: until N traces of a problem are right.", rich_help_panel=JUDGING
        ),
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="M", help="Most traces of a problem then; 8 unless given.", rich_help_panel=JUDGING
        ),
    ] = None,
    verifier: options.VerifierNames = None,
    unsafe_local: options.UnsafeLocal = False,
    where: options.Where = None,
    limit: options.Limit = None,
    thinking_budget: options.ThinkingBudget = None,
    answer_budget: options.AnswerBudget = None,
    on_budget: options.OnBudget = None,
    max_tokens_total: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Stop when so many tokens are written.", rich_help_panel=SPENDING),
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(metavar="H", help="Stop after so many hours.", rich_help_panel=SPENDING)
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            metavar="C", help="Stop when it has cost so much (prices: docs/settings.md).", rich_help_panel=SPENDING
        ),
    ] = None,
    concurrency: options.Concurrency = None,
    seed: options.Seed = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="This configuration's name in the run; the method's unless given."),
    ] = None,
    retry: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Write such traces anew: --retry failed.")
    ] = None,
    field: options.Field = None,
    template: options.Template = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", metavar=NO_VALUE, help="Report bad records and go on.", rich_help_panel=MORE)
    ] = False,
    keep_rejected: Annotated[
        bool,
        typer.Option("--keep-rejected", metavar=NO_VALUE, help="Keep what is rolled back, too.", rich_help_panel=MORE),
    ] = False,
    assignments: options.Assignments = None,
    init: Annotated[
        bool,
        typer.Option(
            "--init",
            metavar=NO_VALUE,
            help=f"Write a configuration to PATH ({_CONFIGURATION}; - for the screen) and end.",
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Writes traces of problems, teacher and student in turns.

    Example: antiphon synth problems.jsonl --run runs/one --teacher DIR --student DIR --boundary math

    Run it again and it goes on where it stood. Ctrl-C and the limits on spending keep everything.
    Exit codes: 0 done, 1 some traces failed, 2 wrong use, 3 a service or disk gave out, 130 interrupted.
    """
    if init:
        _write_configuration(problems or [])
        return
    if not problems:
        raise typer.BadParameter("which problems? Give a file", param_hint="PROBLEMS")
    if run is None:
        raise typer.BadParameter("where to? Give --run DIR", param_hint="--run")
    from antiphon.settings import load

    settings = load(
        config,
        {
            **options.voices(
                teacher=teacher,
                student=student,
                boundary=boundary,
                boundary_teacher=boundary_teacher,
                boundary_student=boundary_student,
                method=method,
                thinking_budget=thinking_budget,
                answer_budget=answer_budget,
                on_budget=on_budget,
                seed=seed,
            ),
            "samples": samples,
            "until_right": until_right,
            "max_samples": max_samples,
            "limit": limit,
            "max.tokens_total": max_tokens_total,
            "max.hours": max_hours,
            "max.cost": max_cost,
            "concurrency": concurrency,
            "keep_rejected": keep_rejected or None,
            **options.assigned(assignments),
        },
    )
    _refuse_in_vain(settings, samples, until_right, max_samples, verifier, unsafe_local)
    loaded = read(problems, field=field, template=template, where=where, limit=settings.limit, skip_bad=skip_bad)
    raise typer.Exit(
        _work(
            loaded,
            run,
            settings,
            check=None if settings.until_right is None else _check(loaded.problems, verifier, unsafe=unsafe_local),
            variant=variant,
            retry=options.statuses(retry or (), "--retry"),
            json=json,
        )
    )


def _write_configuration(paths: Sequence[str]) -> None:
    from antiphon.cli.configuration import written

    if len(paths) > 1:
        raise typer.BadParameter("--init writes one file", param_hint="PATH")
    path = Path(paths[0] if paths else _CONFIGURATION)
    if str(path) == "-":
        typer.echo(written(), nl=False)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(written())
    except FileExistsError:
        raise SettingsError(f"{path} is there already; give another name: antiphon synth --init PATH") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    show(f"wrote {path}; edit it, then: antiphon synth problems.jsonl --run runs/one --config {path}")


def _refuse_in_vain(
    settings: Settings,
    samples: int | None,
    until_right: int | None,
    max_samples: int | None,
    verifier: Sequence[str] | None,
    unsafe: bool,
) -> None:
    """Refuses flags that would say nothing beside the others."""
    if samples is not None and until_right is not None:
        raise typer.BadParameter(
            "traces are written until they are right, or so many: not both", param_hint="--samples"
        )
    if settings.until_right is None:
        given = (("--max-samples", max_samples), ("--verifier", verifier), ("--unsafe-local", unsafe))
        for flag, value in given:
            if value:
                raise typer.BadParameter("it says something with --until-right only", param_hint=flag)


def _check(problems: Sequence[Problem], specs: Sequence[str] | None, *, unsafe: bool) -> Check:
    """What judges the answers to these problems.

    Raises:
        UsageError: some of them cannot be judged, or not here.
    """
    from antiphon.verify.choose import NAMES, verifiers
    from antiphon.verify.judge import Judges

    judges = Judges(verifiers(specs or NAMES, unsafe=unsafe))
    judges.require(problems)
    return judges.check


def _work(
    loaded: Loaded,
    directory: Path,
    settings: Settings,
    *,
    check: Check | None,
    variant: str | None,
    retry: Sequence[Status],
    json: bool,
) -> int:
    """Runs; gives the exit code."""
    from antiphon.cli.progress import Following
    from antiphon.cli.stopping import INTERRUPTED, Stopping
    from antiphon.engine import models
    from antiphon.synth.run import Run

    run = Run(
        loaded.problems,
        directory,
        settings,
        variant=variant,
        retry=retry,
        open_engine=models.open_engine,
        check=check,
    )
    try:
        with Following(run.tally, quiet=json) as following, Stopping(run.stop, following.say) as stopping:
            asyncio.run(run.work(on_remark=warn))
    finally:
        if run.repaired:
            warn(run.repaired)
    summary = _summary(run, loaded, interrupted=stopping.asked)
    is_left = summary["failed"] or run.tally.labels[Label.CANNOT_JUDGE]
    code = INTERRUPTED if stopping.asked else 1 if is_left else 0
    if json:
        print_json({**summary, "exit_code": code})
    else:
        _tell(run, summary)
    return code


def _summary(run: Run, loaded: Loaded, *, interrupted: bool) -> dict[str, Any]:
    """What the run came to, as JSON has it."""
    from antiphon.store import Reader

    wanted = set(run.keys)
    with Reader(run.directory) as reader:
        names = [variant.name for variant in reader.variants()]
        counts = reader.counts(run.variant) if run.variant in names else {}
        failed = {
            str(trace.key): trace.cause
            for trace in (reader.traces(variant=run.variant, status=[Status.FAILED]) if counts else ())
            if trace.key in wanted
        }
    tally = run.tally
    spend = tally.spend
    assert spend is not None, "it has run"
    return {
        "run": str(run.directory),
        "variant": run.variant,
        "problems": len(loaded.problems),
        "duplicates": loaded.duplicates,
        "skipped": [str(error) for error in loaded.bad],
        "interrupted": interrupted,
        "repaired": run.repaired,
        "planned": tally.planned,
        "before": tally.before,
        "finished": dict(tally.finished),
        "traces": {status or "pending": count for status, count in counts.items()},
        "failed": failed,
        "judged": dict(tally.labels),
        "until_right": None if tally.aim is None else asdict(tally.aim),
        "tokens": {
            role: {
                "received": usage.received,
                "kept": usage.kept,
                "prompt": usage.prompt,
                "cached": usage.cached,
                "cached_share": usage.cached_share,
            }
            for role, usage in tally.usage.items()
            if usage.requests
        },
        "run_ahead": {f"{role} at {server}": way._asdict() for (role, server), way in run.ahead.items()},
        "spent": {"tokens": spend.tokens, "hours": spend.hours, "cost": spend.costs},
        "reached": spend.reached,
    }


def _tell(run: Run, summary: dict[str, Any]) -> None:
    """The same for people."""
    from antiphon.cli.progress import authors

    counts = ", ".join(f"{count} {status}" for status, count in summary["traces"].items())
    show(f"{visible(str(run.directory))}: variant {visible(run.variant)}: {counts or 'nothing yet'}")
    tally = run.tally
    if tally.aim is not None:
        aim, wanted = tally.aim, run.settings.until_right
        rest = {"given up": aim.settled - aim.reached, "not finished": aim.problems - aim.settled}
        said = "".join(f", {count} {what}" for what, count in rest.items() if count)
        show(f"problems with {wanted} right: {aim.reached} of {aim.problems}{said}")
    if any(usage.kept for usage in tally.usage.values()):
        show(f"tokens kept in this session: {authors({role: usage.kept for role, usage in tally.usage.items()})}")
    shares = {role: share for role, usage in tally.usage.items() if (share := usage.cached_share) is not None}
    if shares:
        show(f"prompt tokens from cache: {', '.join(f'{role} {share:.0%}' for role, share in shares.items())}")
    for (role, server), (way, reason) in run.ahead.items():
        show(f"{role} at {visible(server)}: {way} ({reason})")
    spend = tally.spend
    stopped = None if spend is None else spend.stopped
    if spend is not None and stopped is None and spend.amounts():
        show(f"spent: {', '.join(spend.amounts().values())}")
    failed = summary["failed"]
    if failed:
        say(f"{len(failed)} {'trace' if len(failed) == 1 else 'traces'} failed:", style="bold red")
        for line in first([f"{key}: {cause}" for key, cause in failed.items()], "failed traces"):
            say(f"  {line}")
        say("Write them anew with the same command and --retry failed.")
    if unfit := tally.labels[Label.CANNOT_JUDGE]:
        say(f"{unfit} answers could not be judged; why: antiphon verify {run.directory}", style="bold red")
    if summary["interrupted"]:
        say("Interrupted. Everything is kept; the same command goes on.")
    elif stopped is not None:
        say(f"Stopped: {stopped}. Everything is kept.")
