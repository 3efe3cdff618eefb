"""`antiphon bench`: these servers, these problems, a minute: how fast they write, what limits them, what to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.options import WORKING, option
from antiphon.cli.reading import read
from antiphon.cli.terminal import columned, print_json, stdout, visible, warn
from antiphon.cli.voices import Voices, with_voices
from antiphon.errors import UsageError
from antiphon.plural import many
from antiphon.trace import Status

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from antiphon.operate.bench import Advice, Bench, Figures, RoleFigures, ServerFigures
    from antiphon.problem import Problem
    from antiphon.settings import Settings

_CAUSES = 3  # of failed traces that are shown


@with_voices
def bench(
    problems: Annotated[list[str], options.PROBLEMS],
    *,
    voices: Voices,
    field: options.Field = None,
    template: options.Template = None,
    skip_bad: options.SkipBad = False,
    where: options.Where = None,
    limit: options.Limit = None,
    run: Annotated[Path | None, options.run()] = None,
    samples: options.Samples = None,
    seconds: Annotated[float, option(min=1, metavar="SECONDS", help="How long it writes.", panel=WORKING)] = 60,
    concurrency: options.Concurrency = None,
    json: options.Json = False,
) -> None:
    """Writes for a minute: how fast, what limits it, what to change.

    Example: antiphon bench problems.jsonl --config antiphon.toml

    Give it what you give synth, and as many problems. What it writes is thrown away; with --run it is kept, for synth.

    Exit codes: 0 measured, 2 wrong use, 3 a service or disk gave out, 130 interrupted (measured so far).
    """
    settings = voices.settings({"samples": samples, "limit": limit, "concurrency": concurrency})
    loaded = read(problems, field=field, template=template, where=where, limit=settings.limit, skip_bad=skip_bad)
    with _directory(run) as directory:
        code = _work(loaded.problems, directory, settings, seconds=seconds, json=json)
    raise typer.Exit(code)


@contextmanager
def _directory(kept: Path | None) -> Iterator[Path]:
    """The run directory: the one that is kept, or one that is gone afterwards."""
    if kept is not None:
        yield kept
    else:
        with TemporaryDirectory(prefix="antiphon-bench-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) / "run"


def _work(problems: Sequence[Problem], directory: Path, settings: Settings, *, seconds: float, json: bool) -> int:
    """Measures and tells; gives the exit code."""
    from antiphon.cli.progress import Following
    from antiphon.cli.stopping import INTERRUPTED, Stopping
    from antiphon.engine import models
    from antiphon.operate.bench import Bench, advise, notes

    bench = Bench(problems, directory, settings, seconds=seconds, open_engine=models.open_engine)
    with (
        Following(bench.run.tally, quiet=json) as following,
        Stopping(bench.run.stop, following.say) as stopping,
    ):
        try:
            figures = asyncio.run(bench.work(on_remark=warn))
        except UsageError:
            if stopping.asked:  # too early for anything
                return INTERRUPTED
            raise
    code = INTERRUPTED if stopping.asked else 0
    advice, said = advise(figures), [*notes(figures), *_settled(bench), *_failures(bench)]
    if json:
        print_json({**_as_json(figures), "advice": [asdict(each) for each in advice], "notes": said}, code)
    else:
        _tell(stdout(), bench, figures, advice, said)
    return code


def _settled(bench: Bench) -> Iterator[str]:
    """What the run found best for these servers."""
    for (role, server), (way, reason) in bench.run.ahead.items():
        yield f"the {role}'s requests to {server} are {way}: {reason}"
    if bench.run.admitted:
        yield bench.run.admitted


def _failures(bench: Bench) -> Iterator[str]:
    tally = bench.run.tally
    if failed := tally.finished[Status.FAILED]:
        causes = "; ".join(f"{count} x {cause}" for cause, count in tally.causes.most_common(_CAUSES))
        yield f"{failed} of {tally.done} finished traces failed: {causes}"


def _as_json(figures: Figures) -> dict[str, Any]:
    told = asdict(figures)
    for role, values in figures.roles.items():
        told["roles"][role]["waste"] = values.waste
    return {**told, "elsewhere": figures.elsewhere}


# -- for people


def _tell(console: Console, bench: Bench, figures: Figures, advice: Sequence[Advice], said: Sequence[str]) -> None:
    from antiphon.operate.bench import waiting

    tally = bench.run.tally
    _print(
        console,
        f"Measured for {figures.seconds:.1f} s, the first {figures.left_out:.1f} s left out: "
        f"{many(figures.turns, 'turn')}, {figures.in_flight:.1f} traces in flight, {tally.done:,} finished.",
        style="bold",
    )
    console.print()
    console.print(_roles(figures))
    if servers := _by_address(figures):
        console.print()
        console.print(_servers(servers))
    console.print()
    _print(console, f"{waiting(figures)}.")
    _print(console, f"This process: {_process(figures)}.")
    for note in said:
        _print(console, f"Note: {note}.")
    console.print()
    console.print("What to change" if advice else "Nothing to change.", style="bold")
    for each, after in zip_longest(advice, advice[1:]):
        _print(console, f"{each.about}: {each.says}", indent=2)
        if after is None or after.change != each.change:
            _print(console, f"→ {each.change}", indent=4, style="italic")


def _print(console: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    from rich.text import Text

    for line in Text(visible(text), style).wrap(console, console.width - indent):
        line.rstrip()
        console.print(Text(" " * indent) + line, soft_wrap=True)


def _process(figures: Figures) -> str:
    turn = "" if figures.cpu_per_turn is None else f"{1000 * figures.cpu_per_turn:.2f} ms of CPU a turn, "
    coreless = "" if figures.coreless is None else f"waiting for a core {figures.coreless:.0%} of the time, "
    return (
        f"{turn}{figures.process:.0%} of a core (its event loop {figures.loop:.0%}), {coreless}"
        f"{1000 * figures.late:.1f} ms late on average; {figures.elsewhere:.0%} of the traces in flight wait for it"
    )


def _roles(figures: Figures) -> Table:
    roles = figures.roles
    table = columned("", *roles, *(["together"] if len(roles) > 1 else []))
    for name, cell, together in _ROWS:
        cells = [cell(role) for role in roles.values()]
        if any(cells):
            whole = [together(figures)] if len(roles) > 1 else []
            table.add_row(name, *(each or "-" for each in cells), *whole)
    return table


def _by_address(figures: Figures) -> list[ServerFigures]:
    """The servers, each once: one that serves both roles has the traces of both waiting."""
    found: dict[str, ServerFigures] = {}
    for role in figures.roles.values():
        for server in role.servers if role.kind is not None else ():
            before = found[server.address].waiting if server.address in found else 0.0
            found[server.address] = replace(server, waiting=server.waiting + before)
    return list(found.values())


def _servers(servers: Sequence[ServerFigures]) -> Table:
    table = columned("server", "wait", "served", "queued", "cache", "tokens/s")
    table.columns[0].overflow = "fold"
    for server in servers:
        told = (server.running, server.queued, server.filled, server.written)
        if all(figure is None for figure in told):
            cells = ["no counters", "", "", ""]
        else:
            running, queued, filled, written = told
            cells = [_number(running), _number(queued), _share(filled), _number(written)]
        table.add_row(visible(server.address), _number(server.waiting), *cells)
    return table


def _number(figure: float | None, form: str = ",.1f") -> str:
    return "not told" if figure is None else format(figure, form)


def _share(figure: float | None) -> str:
    return "not told" if figure is None else f"{figure:.0%}"


def _a_turn(figure: float | None, form: str = ",.1f") -> str:
    """Nothing where no turn ended."""
    return "" if figure is None else format(figure, form)


def _kept(role: RoleFigures) -> str:
    return f"{'about ' if role.estimated else ''}{role.kept_per_second:,.1f}"


def _written(role: RoleFigures) -> str:
    return "" if role.kept is None or role.thrown_away is None else _number(role.kept + role.thrown_away)


def _thrown(role: RoleFigures) -> str:
    return "" if role.waste is None else f"{role.thrown_away:,.1f} ({role.waste:.0%})"


def _cached(role: RoleFigures) -> str:
    if role.cached_share is None:
        return "not told"
    if role.cached_by == "counters":
        return f"{role.cached_share:.0%} (its counters)"
    return f"{role.cached_share:.0%}" + (f" (of {role.cached_told:.0%})" if role.cached_told < 0.995 else "")


def _predictor(role: RoleFigures) -> str:
    return "" if role.predictor is None else f"{1000 * role.predictor:.2f}"


def _per_second(figures: Figures) -> str:
    return f"{figures.kept_per_second:,.1f}"


def _no_sum(figures: Figures) -> str:
    return ""


def _wait(figures: Figures) -> str:
    return f"{sum(role.waiting for role in figures.roles.values()):,.1f} ({1 - figures.elsewhere:.0%})"


_Row = tuple[str, Callable[["RoleFigures"], str], Callable[["Figures"], str]]
_ROWS: tuple[_Row, ...] = (
    ("tokens kept a second", _kept, _per_second),
    ("turns", lambda role: f"{role.turns:,}", lambda figures: f"{figures.turns:,}"),
    ("tokens written a turn", _written, _no_sum),
    ("of them thrown away", _thrown, _no_sum),
    ("requests a turn", lambda role: _a_turn(role.requests, ".2f"), _no_sum),
    ("a turn takes (ms)", lambda role: "" if role.seconds is None else f"{1000 * role.seconds:,.1f}", _no_sum),
    ("its predictor, alone (ms)", _predictor, _no_sum),
    ("prompt tokens from cache", _cached, _no_sum),
    ("traces that wait for it", lambda role: f"{role.waiting:,.1f} ({role.share:.0%})", _wait),
    ("time without a request", lambda role: f"{role.idle:.0%}", _no_sum),
)
