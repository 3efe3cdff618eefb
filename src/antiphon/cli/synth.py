"""`antiphon synth`: traces of many problems, on a run directory that survives anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.options import CLUSTER, JUDGING, MAKES, MODELS, SHOWS, SPENDING, flag, option
from antiphon.cli.reading import read, read_run
from antiphon.cli.terminal import print_json, say, show, warn
from antiphon.cli.voices import Voices, with_voices
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


@with_voices
def synth(
    problems: Annotated[list[str] | None, options.PROBLEMS] = None,
    *,
    voices: Voices,
    field: options.Field = None,
    template: options.Template = None,
    skip_bad: options.SkipBad = False,
    where: options.Where = None,
    limit: options.Limit = None,
    shard: options.Shard = None,
    run: Annotated[Path | None, options.run()] = None,
    variant: Annotated[str | None, options.variant("the method's name", panel=MAKES)] = None,
    samples: options.Samples = None,
    keep_rejected: Annotated[bool, flag("--keep-rejected", help="Keep what is rolled back, too.", panel=MAKES)] = False,
    init: Annotated[bool, flag("--init", help="Write a file for --config instead, and end.", panel=MAKES)] = False,
    like: Annotated[
        str | None,
        option(
            metavar="VARIANT",
            help="random_boundaries, fixed_boundaries: whose spans set the lengths.",
            panel=MODELS,
            values=completing.variants,
        ),
    ] = None,
    source: Annotated[
        str | None,
        option(
            "--from",
            metavar="VARIANT",
            help="revoice: the variant that is rewritten.",
            panel=MODELS,
            values=completing.variants,
        ),
    ] = None,
    until_right: Annotated[
        int | None,
        option(min=1, metavar="N", help="Instead of --samples: until N traces are right.", panel=JUDGING),
    ] = None,
    max_samples: Annotated[
        int | None,
        option(min=1, metavar="N", help="Most traces of a problem then.", panel=JUDGING, show_default="8"),
    ] = None,
    verifier: options.VerifierNames = None,
    unsafe_local: options.UnsafeLocal = False,
    concurrency: options.Concurrency = None,
    retry: options.Retry = None,
    max_tokens_total: Annotated[
        int | None, option(min=1, metavar="N", help="Stop when so many tokens are written.", panel=SPENDING)
    ] = None,
    max_hours: Annotated[float | None, option(metavar="HOURS", help="Stop after this time.", panel=SPENDING)] = None,
    max_cost: Annotated[
        float | None,
        option(metavar="COST", help="Stop when it has cost so much (prices: docs/settings.md).", panel=SPENDING),
    ] = None,
    ray: options.Ray = None,
    shards: Annotated[int | None, options.shards("one a machine", panel=CLUSTER)] = None,
    snapshot: Annotated[
        float | None,
        option(
            min=1,
            metavar="SECONDS",
            help="Most work that is lost with a machine.",
            panel=CLUSTER,
            show_default="60",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        option(metavar="[HOST:]PORT", help="Show Prometheus how the run is doing (docs/scale.md).", panel=SHOWS),
    ] = None,
    log: Annotated[
        str | None,
        option(metavar="FILE", help="Log outages, retries and failures, one JSON object a line.", panel=SHOWS),
    ] = None,
    json: options.Json = False,
) -> None:
    """Writes traces of problems, teacher and student in turns.

    Example: antiphon synth problems.jsonl --run runs/one --config antiphon.toml

    Without PROBLEMS it takes those that the run directory holds. With --init it writes a configuration to PROBLEMS
    (antiphon.toml unless given; - for the screen).

    Run it again and it goes on where it stood. Ctrl-C and the limits on spending keep everything.

    Exit codes: 0 done, 1 some traces failed, 2 wrong use, 3 a service or disk gave out, 130 interrupted.
    """
    if init:
        _write_configuration(problems or [])
        return
    if run is None:
        raise typer.BadParameter("where to? Give --run DIR, and PROBLEMS where that holds none yet", param_hint="--run")
    if not problems and not run.exists():
        raise typer.BadParameter(
            "which problems? There is no such run directory yet to take them from", param_hint="PROBLEMS"
        )
    from antiphon.problem.shard import Shard

    settings = voices.settings(
        {
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
        },
    )
    _refuse_in_vain(settings, samples, until_right, max_samples, verifier, unsafe_local)
    if ray is None and (shards or snapshot):
        flag = "--shards" if shards else "--snapshot"
        raise typer.BadParameter("it is for --ray; give that, too, or leave it out", param_hint=flag)
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
        raise typer.BadParameter("--init writes one file; name one", param_hint="PROBLEMS")
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
        raise SettingsError(f"{path} cannot be written: {error.strerror}; give another name") from None
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
        raise typer.BadParameter("it cannot be with --until-right; leave out one of them", param_hint="--samples")
    if settings.until_right is None:
        given = (("--max-samples", max_samples), ("--verifier", verifier), ("--unsafe-local", unsafe))
        for flag, value in given:
            if value:
                raise typer.BadParameter("it is for --until-right; give that, too, or leave it out", param_hint=flag)


def _check(problems: Sequence[Problem], *, specs: Sequence[str] | None, unsafe: bool) -> Check:
    """What judges the answers to these problems.

    Raises:
        UsageError: some of them cannot be judged, or not here.
    """
    from antiphon.verify.choose import VERIFIERS, verifiers
    from antiphon.verify.judge import Judges

    judges = Judges(verifiers(specs or VERIFIERS, unsafe=unsafe))
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
        print_json(said, code)
    else:
        tell(run, said)
    return code


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
