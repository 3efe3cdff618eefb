"""`antiphon plan`: what a run will take, from two pilots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.options import MACHINES, MAKES, WORKING, option
from antiphon.cli.progress import duration
from antiphon.cli.terminal import columned, print_json, show
from antiphon.plural import many
from antiphon.trace import Author

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from antiphon.scale.plan import Estimate, Forecast, Pool, Question, RoleForecast
    from antiphon.synth.spend import Prices


def plan(
    pilots: Annotated[
        list[Path],
        typer.Argument(metavar="PILOT...", help="Run directories of the same settings, at two concurrencies."),
    ],
    problems: Annotated[int, options.problem_count()],
    config: options.Config = None,
    assignments: options.Assignments = None,
    variant: Annotated[str | None, options.variant("the only one")] = None,
    samples: Annotated[int, options.samples(True)] = 1,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE", help="A picture of time and limits by traces in flight (.svg, .png, .pdf).", panel=MAKES
        ),
    ] = None,
    concurrency: Annotated[int | None, options.concurrency("that of the larger pilot")] = None,
    longer: Annotated[
        float, option(min=0.01, metavar="X", help="Traces of X times as many turns as the pilots'.", panel=WORKING)
    ] = 1.0,
    seed: Annotated[int, options.seed()] = 0,
    shards: Annotated[int, options.shards(panel=MACHINES)] = 1,
    teacher_replicas: Annotated[
        int | None,
        option(min=1, metavar="N", help="Servers of the teacher.", panel=MACHINES, show_default="as in the pilots"),
    ] = None,
    student_replicas: Annotated[
        int | None,
        option(min=1, metavar="N", help="Servers of the student.", panel=MACHINES, show_default="as in the pilots"),
    ] = None,
    teacher_gpus: Annotated[
        int, option(min=0, metavar="N", help="GPUs of each server of the teacher.", panel=MACHINES)
    ] = 1,
    student_gpus: Annotated[
        int, option(min=0, metavar="N", help="GPUs of each server of the student.", panel=MACHINES)
    ] = 1,
    gpu_hour: Annotated[
        float | None,
        option(min=0, metavar="COST", help="A GPU's hour, for roles without token prices.", panel=MACHINES),
    ] = None,
    json: options.Json = False,
) -> None:
    """Says what a run will take, from two pilots, with intervals of 95%.

    Example: antiphon plan pilots/16 pilots/128 --problems 80000 --gpu-hour 2.5

    It tells hours, tokens, money, disk, and what limits the run. Write the pilots with synth: the same 128 problems or
    more, in two run directories, at two values of --concurrency, the larger as near to the run's as you can. Prices by
    token come from the pilots, or from --set teacher.price_out=2.4 and the like.

    Exit codes: 0 done, 2 wrong use.
    """
    from antiphon.scale.plan import Question, forecast, pool, read

    given = pool([read(pilot, variant) for pilot in pilots])
    replicas = {Author.TEACHER: teacher_replicas, Author.STUDENT: student_replicas}
    question = Question(
        problems=problems,
        samples=samples,
        concurrency=concurrency,
        longer=longer,
        replicas={role: number for role, number in replicas.items() if number is not None},
        shards=shards,
        gpus={Author.TEACHER: teacher_gpus, Author.STUDENT: student_gpus},
        gpu_hour=gpu_hour,
        prices=_prices(config, assignments),
    )
    made = forecast(given, question, seed=seed)
    if plot is not None:
        from antiphon.scale.plan.plot import draw

        draw(given, question, plot, seed=seed)
    if json:
        print_json(_as_json(given, made))
    else:
        for part in _told(given, question, made):
            show(part)


def _prices(config: Path | None, assignments: list[str] | None) -> Mapping[Author, Prices]:
    """Those that are given here."""
    from antiphon.settings import load
    from antiphon.synth.spend import prices

    return prices(load(config, options.assigned(assignments)))


def _as_json(given: Pool, made: Forecast) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if isinstance(value, Mapping):
            return {str(name): plain(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        return value

    pilots = [
        {
            "run": str(pilot.directory),
            "traces": len(pilot.problems),
            "in_flight": pilot.in_flight,
            "process_seconds_per_turn": pilot.processing,
            "start_seconds": pilot.start,
        }
        for pilot in given.pilots
    ]
    told = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return {"pilots": pilots, **plain(told)}


# -- for people


def _told(given: Pool, question: Question, made: Forecast) -> Iterator[RenderableType]:
    from rich.text import Text

    in_flight = " and ".join(f"{pilot.in_flight:.1f}" for pilot in given.pilots)
    yield Text(
        f"From {len(given.pilots)} pilots with {many(given.problems, 'problem')},"
        f" {in_flight} traces in flight on average.\n"
        f"To write: {many(made.traces, 'trace')}, {made.concurrency:,} in flight.",
        "bold",
    )
    yield ""
    yield _whole(made)
    yield ""
    yield _roles(made)
    yield ""
    yield _stations(made)
    yield ""
    yield Text(_limit(made, question))
    if made.balance is not None:
        yield Text(
            f"Teacher and student are equally busy with {_spread(made.balance, '.2f')} replicas of the student for each"
            " of the teacher."
        )
    yield ""
    yield _choices(made)
    for note in made.notes:
        yield Text(f"Note: {note}.")


_SHARED = "teacher and student"  # the station of servers, or a process, that serve both


def _limit(made: Forecast, question: Question) -> str:
    name, station = made.bottleneck, made.stations[made.bottleneck]
    busy = f"busy for {station.busy.value:.0%} of the time"
    if name == "process":
        more = 2 * question.shards
        return f"The busiest is this process, {busy}. Where that is the limit, share the problems: --shards {more}."
    if name == _SHARED:
        return f"The busiest is what teacher and student share, {busy}. Servers of their own say which of them it is."
    return f"The busiest is the {name}, {busy}."


def _whole(made: Forecast) -> Table:
    from antiphon.synth.spend import money

    table = columned("", "forecast", "95% interval")
    rows: list[tuple[str, Estimate, Callable[[float], str]]] = [("time", made.seconds, duration)]
    if made.cost is not None:
        rows.append(("cost", made.cost, money))
    rows += [
        ("complete traces", made.complete, _count),
        ("database", made.database, _size),
        ("as Parquet, about", made.parquet, _size),
    ]
    for name, estimate, form in rows:
        table.add_row(name, form(estimate.value), f"{form(estimate.low)} to {form(estimate.high)}")
    return table


def _roles(made: Forecast) -> Table:
    from antiphon.synth.spend import money

    table = columned("", *made.roles)
    rows: list[tuple[str, Callable[[RoleForecast], str]]] = [
        ("replicas", lambda role: str(role.replicas)),
        ("turns", lambda role: _amount(role.turns)),
        ("requests", lambda role: _amount(role.requests)),
        ("tokens kept", lambda role: _amount(role.kept)),
        ("tokens written", lambda role: _amount(role.written)),
        ("of them thrown away", lambda role: _spread(role.waste, ".0%")),
        ("prompt tokens", lambda role: _amount(role.prompt)),
        ("of them from cache", lambda role: "not told" if role.cached is None else f"{role.cached:.0%}"),
        ("GPU hours", lambda role: _amount(role.gpu_hours)),
    ]
    if made.cost is not None:
        rows.append(("cost", lambda role: "no price" if role.cost is None else money(role.cost.value)))
    for name, cell in rows:
        table.add_row(name, *map(cell, made.roles.values()))
    return table


def _stations(made: Forecast) -> Table:
    table = columned("where traces are", "busy", "at each replica", "in the pilots")
    for name, station in made.stations.items():
        seen = "" if station.seen is None else f"{station.seen:.0f}"
        who = "this process" if name == "process" else name
        table.add_row(who, _spread(station.busy, ".0%"), f"{station.there.value:.0f}", seen)
    return table


def _choices(made: Forecast) -> Table:
    """Time by replicas: a row for each number of the first role's, a column for each of the other's."""
    roles = list(made.choices[0].replicas)
    if len(roles) == 1:
        table = columned(f"{roles[0]} replicas", "time", "limit")
        for choice in made.choices:
            table.add_row(str(choice.replicas[roles[0]]), _span(choice.seconds), choice.bottleneck)
        return table
    across, down = roles
    columns = list(dict.fromkeys(choice.replicas[across] for choice in made.choices))
    table = columned(f"{down} replicas", *(f"{number} {across}" for number in columns))
    rows: dict[int, list[str]] = {}
    for choice in made.choices:
        limit = "both" if choice.bottleneck == _SHARED else choice.bottleneck
        rows.setdefault(choice.replicas[down], []).append(f"{duration(choice.seconds.value)} ({limit})")
    for number, cells in rows.items():
        table.add_row(str(number), *cells)
    return table


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _spread(estimate: Estimate, form: str) -> str:
    """A value and its interval."""
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def _amount(estimate: Estimate) -> str:
    """The same, in the unit that fits the value."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e4)):
        if estimate.value >= size:
            low, value, high = (_digits(part / (1000 if unit == " k" else size)) for part in sorted(estimate))
            return f"{value}{unit} ({low} to {high})"
    low, value, high = map(_digits, sorted(estimate))
    return f"{value} ({low} to {high})"


def _digits(number: float) -> str:
    """Three that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2g}"


def _span(estimate: Estimate) -> str:
    return f"{duration(estimate.value)} ({duration(estimate.low)} to {duration(estimate.high)})"
