"""`antiphon lab`: the experiment, on the embedded pair or on real models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.counting import Counting
from antiphon.cli.manual import Command, Group
from antiphon.cli.options import MAKES, READS, flag, option
from antiphon.cli.progress import duration
from antiphon.cli.stopping import interruptible
from antiphon.cli.terminal import columned, print_json, say, show, visible, warn
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.lab.processes import Done
    from antiphon.lab.results import Results
    from antiphon.lab.settings import Experiment

app = typer.Typer(cls=Group, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Does it work? Students trained on each method's data, side by side."""


@app.command("run", cls=Command)
def run(
    config: options.Config = None,
    pair: Annotated[
        Path | None,
        option(metavar="DIR", help="Another pair: the folders teacher and student in it.", panel=READS),
    ] = None,
    to: Annotated[Path, options.to()] = Path("antiphon-lab"),
    quick: Annotated[bool, flag("--quick", help="One seed, three arms, in a few minutes.", panel=MAKES)] = False,
    seeds: Annotated[str | None, option(metavar="N,N...", help="Only these seeds, as in 0,1,2.", panel=MAKES)] = None,
    arms: Annotated[
        str | None,
        option(
            metavar="NAME,NAME...",
            help="Only these arms (docs/lab.md).",
            panel=MAKES,
            values=completing.several(completing.arms),
        ),
    ] = None,
    report_only: Annotated[bool, flag("--report-only", help="Only the report, of what is there.", panel=MAKES)] = False,
    jobs: Annotated[int | None, options.jobs("2")] = None,
    json: options.Json = False,
) -> None:
    """Trains a student on each arm's data, evaluates all, and reports.

    Example: antiphon lab run --quick

    Without --config it is the experiment on the two embedded models; docs/lab.md says how it is run on others. Run it
    again and it goes on where it stood.

    Exit codes: 0 done, 1 some students could not be trained, 2 wrong use, 3 a service or disk gave out, 130
    interrupted.
    """
    from antiphon.lab import report
    from antiphon.lab.results import read

    failed: list[Done] = []
    if not report_only:
        failed = _work(_experiment(config, quick=quick, pair=pair, seeds=seeds, arms=arms, jobs=jobs), to, quiet=json)
    results = read(to)
    if report_only and not (results.evaluations or results.data):
        raise UsageError(
            f"{to}: nothing to report, no piece of the experiment is done (no base.json, no seed-N); "
            f"antiphon lab run --to {to} goes on with it"
        )
    page = report.write(results, to)
    code = max((done.code for done in failed), default=0) and (3 if any(d.code == 3 for d in failed) else 1)
    if json:
        print_json({**_as_json(results, failed), "path": str(page)}, code)
    else:
        _tell(results)
        show(f"{visible(str(page))}: the report")
    raise typer.Exit(code)


@app.command("compare", cls=Command)
def compare(
    experiments: Annotated[
        list[Path], typer.Argument(metavar="LAB...", help="Directories of antiphon lab run.", show_default=False)
    ],
    json: options.Json = False,
) -> None:
    """Shows experiments beside each other, as a Markdown table.

    Example: antiphon lab compare lab-pair-0 lab-pair-1 lab-pair-2

    Each stands by itself: nothing is pooled over pairs of models.

    Exit codes: 0 done, 2 wrong use.
    """
    from antiphon.lab import report
    from antiphon.lab.results import read

    several = {str(directory): read(directory) for directory in experiments}
    if json:
        print_json({"experiments": {name: {"name": one.name, "arms": _rows(one)} for name, one in several.items()}})
    else:
        show(visible(report.beside(several)))


def _experiment(
    config: Path | None,
    *,
    quick: bool,
    pair: Path | None,
    seeds: str | None,
    arms: str | None,
    jobs: int | None,
) -> Experiment:
    from antiphon.lab import settings
    from antiphon.lab.results import BASE

    if config is not None and (quick or pair is not None):
        raise typer.BadParameter("it says all that --quick and --pair would; leave out these", param_hint="--config")
    given: dict[str, Any] = settings.quick() if quick else {}
    if pair is not None:
        given["synthesis"] = settings.of_pair(pair)
    if seeds is not None:
        given["seeds"] = _numbers(seeds)
    if arms is not None:
        given["arms"] = tuple(dict.fromkeys((BASE, *(name.strip() for name in arms.split(",")))))
    return settings.load(config, **given, jobs=jobs)


def _numbers(given: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError:
        raise typer.BadParameter(f"{given} is no list of numbers, as in 0,1,2", param_hint="--seeds") from None


def _work(experiment: Experiment, directory: Path, *, quiet: bool) -> list[Done]:
    """Does what is missing; gives what failed."""
    from antiphon.lab.experiment import Means, opened, require, units
    from antiphon.lab.place import Place
    from antiphon.lab.processes import performed

    means = Means()
    require(experiment)
    failed = []
    with opened(experiment, directory), interruptible():
        place = Place(directory)
        asked = units(experiment)
        missing = [unit for unit in asked if not unit.is_done(experiment, place)]
        if any(unit.kind == "student" for unit in missing):
            means.require(experiment)
        with (
            _Following(len(asked), len(asked) - len(missing), quiet=quiet) as following,
            closing(performed(experiment, directory, missing, means, experiment.jobs)) as work,
        ):
            try:
                for done in work:
                    following.heard(done)
                    if done.fault:
                        failed.append(done)
            except KeyboardInterrupt:
                following.say("Interrupted. Everything is kept; the same command goes on.")
                raise
    left_out = len(missing) - following.finished - len(failed)
    if failed:
        for done in failed:
            warn(f"{done.unit}: {done.fault}")
        if left_out:
            warn(f"{left_out} more were not begun, as they need those or would have failed alike")
    return failed


class _Following(Counting):
    """Shows what is over: a line each, and on a terminal a bar.

    Attributes:
        finished: how many ended well.
    """

    def __init__(self, total: int, before: int, *, quiet: bool):
        super().__init__("piece", "of work", total, lines=False, quiet=quiet)
        self._quiet, self._pieces, self._over = quiet, total, before
        self._began = time.monotonic()
        self.finished = 0
        self.at(before)
        if before and not quiet:
            self.say(f"{before} of {many(total, 'piece')} of work done before")

    def heard(self, done: Done) -> None:
        """A piece of work is over."""
        self._over += 1
        self.finished += not done.fault
        self.at(self._over)
        if not self._quiet:
            said = f"failed: {done.fault}" if done.fault else duration(done.seconds)
            since = duration(time.monotonic() - self._began)
            self.say(f"{self._over} of {self._pieces}, after {since}: {done.unit}, {said}")


def _tell(results: Results) -> None:
    """Right answers of the target and of the others, by arm and rate, at each point; the mean over seeds."""
    rows = _rows(results)
    steps = sorted({step for row in rows for step in row["target"]})
    table = columned("right after steps", "rate", "seeds", *map(str, steps), "others", tight=True)
    for row in rows:
        values = map(row["target"].get, steps)
        rate = "" if row["rate"] is None else f"{row['rate']:g}"
        table.add_row(row["arm"], rate, str(row["seeds"]), *map(_share, values), _share(row["others"]))
    show(table)
    say("others: right answers on the other families, at the end")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rows(results: Results) -> list[dict[str, Any]]:
    """One for each arm and rate."""
    if not results.evaluations:
        return []
    target = results.evaluations[0].family
    found: dict[tuple[str, float | None], dict[str, dict[int, list[float]]]] = {}
    seeds: dict[tuple[str, float | None], set[int]] = {}
    for one in results.evaluations:
        key = (one.arm, one.rate)
        family = "target" if one.family == target else "others"
        by_step = found.setdefault(key, {"target": {}, "others": {}})[family]
        by_step.setdefault(one.step, []).append(sum(one.right) / len(one.right))
        seeds.setdefault(key, set()).add(one.seed)
    return [
        {
            "arm": arm,
            "rate": rate,
            "seeds": len(seeds[arm, rate]),
            "target": {step: _mean(values) for step, values in families["target"].items()},
            "others": _mean(families["others"][max(families["others"])]) if families["others"] else None,
        }
        for (arm, rate), families in sorted(found.items(), key=lambda item: _order(results, *item[0]))
    ]


def _order(results: Results, arm: str, rate: float | None) -> tuple[int, bool, float]:
    main = results.config["training"]["rate"]
    return results.config["arms"].index(arm), rate not in (None, main), rate or 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _as_json(results: Results, failed: Sequence[Done]) -> dict[str, Any]:
    return {
        "name": results.name,
        "arms": _rows(results),
        "seconds": round(results.seconds, 1),
        "stages": {stage: round(seconds, 1) for stage, seconds in results.stages.items()},
        "failed": [{"unit": str(done.unit), "fault": done.fault} for done in failed],
    }
