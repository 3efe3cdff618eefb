"""`antiphon compare`: sets of traces side by side, and how much of what differs is more than chance."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding

from antiphon.cli import options
from antiphon.cli.counting import Counting
from antiphon.cli.options import MODELS, READS, option
from antiphon.cli.reading import first
from antiphon.cli.terminal import columned, print_json, show, visible, warn
from antiphon.errors import UsageError
from antiphon.plural import many
from antiphon.trace import Status

if TYPE_CHECKING:
    from antiphon.analyse.report import Comparison
    from antiphon.analyse.telling import Grid

_MOST = 400


def compare(
    places: Annotated[
        list[str],
        typer.Argument(metavar="A B...", help="Run directories, DIR:VARIANT, or files of traces."),
    ],
    config: options.Config = None,
    assignments: options.Assignments = None,
    status: Annotated[list[str] | None, options.status("complete")] = None,
    most: Annotated[int, option(min=1, metavar="N", help="Only the texts of N problems of each.", panel=READS)] = _MOST,
    html: options.Html = None,
    scores: options.Scores = Path("likelihoods"),
    under: Annotated[
        str | None,
        option(metavar="MODEL", help="How likely all is under this model: the student.", panel=MODELS),
    ] = None,
    boundary: Annotated[str, options.boundary()] = "default",
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Compares sets of traces: lengths, habits, drift, likelihood.

    Example: antiphon compare runs/one:tessy runs/one:teacher_only

    All others are held against the first. A star marks what is more than chance, all rows of its table considered.
    Where the record does not tell style, --boundary does; none: nobody does.

    Exit codes: 0 done, 2 wrong use, 3 a service or disk gave out, 130 interrupted; likelihoods are kept.
    """
    from antiphon import api

    if ray is not None and under is None:
        raise typer.BadParameter("it is for --under; give that, too, or leave it out", param_hint="--ray")
    if html is not None and not html.absolute().parent.is_dir():  # said before anything is measured
        raise UsageError(f"{html}: cannot be written: there is no folder {html.parent}; make it first")
    with Counting("text", "read", quiet=json) as counting:
        made = asyncio.run(
            api.compare(
                places,
                under=under,
                boundary=None if boundary == "none" else boundary,
                status=options.statuses(status or [Status.COMPLETE], "--status"),
                most=most,
                scores=scores,
                ray=ray,
                config=config,
                settings=options.assigned(assignments),
                done=counting.one,
            )
        )
    written = None if html is None else _write(made, html)
    if json:
        print_json({**made.as_json(), "path": None if html is None else str(html)})
        return
    _tell(made)
    if written is not None:
        show(f"\n{written}")


def _write(made: Comparison, html: Path) -> str:
    """Writes the page; says what is in it."""
    from antiphon.view.file import write_comparison

    written = write_comparison(made, html)
    more = f"; {written.left_out} more are named only, it would grow too large" if written.left_out else ""
    return f"{visible(str(html))}: {many(written.traces, 'trace')} that contribute most to differences{more}"


def _tell(made: Comparison) -> None:
    from antiphon.analyse import telling

    for remark in made.remarks:
        warn(remark)
    for line in telling.legend(made):
        show(visible(line))
    for grid in telling.grids(made, intervals=len(made.sides) < 3):
        _tell_grid(grid)
    if lines := [f"  {visible(line)}" for line in telling.places(made)]:
        show("\nWhich traces make the difference (--json names 20 of each)")
        for line in first(lines, "difference"):
            show(line)
    if star := telling.star(made):
        show(f"\n{star}")


def _tell_grid(grid: Grid) -> None:
    table = columned("", *grid.head, tight=True)
    for row in grid.rows:
        table.add_row(*map(visible, row))
    show(f"\n{visible(grid.title)}")
    show(f"  {visible(grid.about)}")
    if grid.rows:
        show(Padding(table, (0, 0, 0, 2), expand=False))
    if grid.below:
        show(f"  {visible(grid.below)}")
