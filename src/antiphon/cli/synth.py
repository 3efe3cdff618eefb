"""`antiphon synth`: traces of many problems, on a run directory that survives anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.options import JUDGING, MORE, NO_VALUE, SPENDING
from antiphon.cli.reading import read, read_run
from antiphon.cli.terminal import print_json, say, show, warn
from antiphon.errors import SettingsError
from antiphon.events import written_to
from antiphon.trace import Label, Status

if TYPE_CHECKING:
    from antiphon.operate.metrics import Metrics
    from antiphon.problem import Loaded, Problem
    from antiphon.settings import Settings
    from antiphon.synth.run import Run
    from antiphon.synth.sampling import Check

_CONFIGURATION = "antiphon.toml"
_CLUSTER = "On a Ray cluster"


def synth(
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROBLEMS...",
            help="Files, folders, globs, or - (docs/problems.md); without any, those of the run.",
            show_default=False,
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
    like: Annotated[
        str | None,
        typer.Option(
            metavar="VARIANT",
            help="random_boundaries, fixed_boundaries: the variant whose spans are as long as theirs.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="VARIANT", help="revoice: the variant that is rewritten.")
    ] = None,
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
    shard: options.Shard = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Write shards on its machines (docs/scale.md): auto, local, host:port, ray://host:port.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many; one a machine unless given.", rich_help_panel=_CLUSTER),
    ] = None,
    snapshot: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="What is lost with a machine at most; 60 unless given.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
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
    retry: options.Retry = None,
    field: options.Field = None,
    template: options.Template = None,
    skip_bad: options.SkipBad = False,
    keep_rejected: Annotated[
        bool,
        typer.Option("--keep-rejected", metavar=NO_VALUE, help="Keep what is rolled back, too.", rich_help_panel=MORE),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT", help="Show Prometheus how the run is doing (docs/scale.md).", rich_help_panel=MORE
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Add outages, retries, failures to it, one JSON a line.", rich_help_panel=MORE
        ),
    ] = None,
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
    if run is None:
        raise typer.BadParameter("where to? Give --run DIR", param_hint="--run")
    if not problems and not run.exists():
        raise typer.BadParameter("which problems? Give a file", param_hint="PROBLEMS")
    from antiphon.problem.shard import Shard
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
            "like": like,
            "source": source,
            "samples": samples,
            "until_right": until_right,
            "max_samples": max_samples,
            "limit": limit,
            "shard": shard,
            "max.tokens_total": max_tokens_total,
            "max.hours": max_hours,
            "max.cost": max_cost,
            "concurrency": concurrency,
            "keep_rejected": keep_rejected or None,
            "metrics": metrics,
            "log": log,
            **options.assigned(assignments),
        },
    )
    _refuse_in_vain(settings, samples, until_right, max_samples, verifier, unsafe_local)
    if ray is None and (shards or snapshot):
        flag = "--shards" if shards else "--snapshot"
        raise typer.BadParameter("it says something with --ray only", param_hint=flag)
    part = None if settings.shard is None else Shard.parse(settings.shard)
    if problems:
        loaded = read(
            problems,
            field=field,
            template=template,
            where=where,
            limit=settings.limit,
            skip_bad=skip_bad,
            shard=part,
        )
    else:
        loaded = read_run(run, where=where, limit=settings.limit, shard=part)
    raise typer.Exit(
        _work(
            loaded,
            run,
            settings,
            make_check=None if settings.until_right is None else partial(_check, specs=verifier, unsafe=unsafe_local),
            variant=variant,
            retry=options.statuses(retry or (), "--retry"),
            cluster=None if ray is None else {"address": ray, "shards": shards, "snapshot": snapshot or 60.0},
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


def _check(problems: Sequence[Problem], *, specs: Sequence[str] | None, unsafe: bool) -> Check:
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
    make_check: Callable[[Sequence[Problem]], Check] | None,
    variant: str | None,
    retry: Sequence[Status],
    cluster: Mapping[str, Any] | None,
    json: bool,
) -> int:
    """Runs, here or on a cluster; gives the exit code."""
    from antiphon.cli.progress import Following
    from antiphon.cli.stopping import INTERRUPTED, Stopping
    from antiphon.cli.summary import summary, tell
    from antiphon.engine import models
    from antiphon.operate.metrics import Metrics
    from antiphon.synth.run import Run

    run: Run
    metrics = None
    if cluster is None:
        metrics = None if settings.metrics is None else Metrics()
        run = Run(
            loaded.problems,
            directory,
            settings,
            share=loaded.share,
            variant=variant,
            retry=retry,
            listener=metrics,
            open_engine=models.open_engine,
            check=None if make_check is None else make_check(loaded.problems),
        )
    else:
        from antiphon.scale.ray import ClusterRun

        run = ClusterRun(
            loaded.problems,
            directory,
            settings,
            variant=variant,
            retry=retry,
            open_engine=models.open_engine,
            make_check=make_check,
            **cluster,
        )
    asked = loaded.count
    loaded.problems.clear()  # they are the run's now, and soon in its directory alone
    if cluster is None:
        _require_ours(run)
    try:
        with (
            _watched(run, metrics),
            Following(run.tally, quiet=json) as following,
            Stopping(run.stop, following.say) as stopping,
        ):
            asyncio.run(run.work(on_remark=warn))
    finally:
        if run.repaired:
            warn(run.repaired)
    said = summary(run, loaded, problems=asked, interrupted=stopping.asked)
    is_left = said["failed"] or run.tally.labels[Label.CANNOT_JUDGE]
    code = INTERRUPTED if stopping.asked else 1 if is_left else 0
    if json:
        print_json({**said, "exit_code": code})
    else:
        tell(run, said)
    return code


def _require_ours(run: Run) -> None:
    """Refuses a directory of another shard, or one that is being written, before models are loaded.

    Raises:
        StoreError: it is one, or cannot be written.
    """
    from antiphon.store import Store
    from antiphon.store.place import DATABASE

    if (run.directory / DATABASE).exists():
        with Store.open(run.directory) as store:
            if store.repaired:
                warn(store.repaired)
            store.set_share(run.share)


@contextmanager
def _watched(run: Run, metrics: Metrics | None) -> Iterator[None]:
    """Lets look on who was asked to: Prometheus, and those who read the log."""
    settings = run.settings
    with ExitStack() as around:
        if settings.log is not None:
            around.enter_context(written_to(Path(settings.log), warn))
        if metrics is not None:
            say(f"metrics: {around.enter_context(metrics.served(run, str(settings.metrics)))}")
        yield
