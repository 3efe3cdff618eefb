"""`antiphon import`: data made elsewhere, as traces of an unknown author."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.counting import Counting
from antiphon.cli.options import MAKES, READS, flag, option
from antiphon.cli.reading import first
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.imports import Imported


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, globs, URLs, or - for standard input.")],
    run: Annotated[Path, options.run()],
    format: Annotated[str, options.format(completing.import_formats)] = "auto",
    by_text: Annotated[
        bool, flag("--by-text", help="The same text is the same problem, whatever its id.", panel=READS)
    ] = False,
    variant: Annotated[str | None, options.variant("each model's own", panel=MAKES)] = None,
    markers: Annotated[
        str | None,
        option(
            metavar="FAMILY",
            help="Spell think markers as this model family does.",
            panel=MAKES,
            values=completing.names(completing.dialects),
            show_default="as published",
        ),
    ] = None,
    model: Annotated[str | None, options.model("the field 'model' of each row")] = None,
    json: options.Json = False,
) -> None:
    """Brings responses made elsewhere into a run.

    Example: antiphon import tessy-80k/*.jsonl --run runs/one --variant published

    There they are compared, marked, verified and exported like any other. --model is a mere name here. Run it again and
    nothing is added twice.

    Formats: {import_formats} (docs/import.md).

    Exit codes: 0 done, 1 some rows could not be taken or have changed, 2 wrong use, 3 the disk gave out, 130
    interrupted.
    """
    import asyncio

    from antiphon.imports import bring

    counting = Counting("row", "read", quiet=json)

    def tell(so_far: Imported) -> None:
        counting.at(so_far.rows, f"{many(_added(so_far), 'trace')} added")

    try:
        with counting:
            done = asyncio.run(
                bring(
                    files,
                    run,
                    variant=variant,
                    model=model,
                    format=None if format == "auto" else format,
                    markers=markers,
                    by_text=by_text,
                    on_rows=tell,
                )
            )
    except KeyboardInterrupt:
        say("Interrupted. What came in is kept; the same command goes on.")
        raise
    code = 1 if done.bad or done.changed else 0
    if json:
        print_json({"run": str(run), **_summary(done)}, code)
    else:
        _tell(run, done)
    raise typer.Exit(code)


def _added(done: Imported) -> int:
    return sum(sum(counts.values()) for counts in done.added.values())


def _summary(done: Imported) -> dict[str, Any]:
    return {
        "rows": done.rows,
        "added": {variant: dict(counts) for variant, counts in done.added.items()},
        "known": done.known,
        "implicit": done.implicit,
        "bad": [str(error) for error in done.bad],
        "changed": done.changed,
        "repaired": done.repaired,
    }


def _tell(run: Path, done: Imported) -> None:
    if done.repaired:
        warn(done.repaired)
    before = f", {done.known:,} were there before" if done.known else ""
    show(f"{visible(str(run))}: {many(done.rows, 'row')}, {many(_added(done), 'trace')} added{before}")
    for variant, counts in done.added.items():
        show(f"  {visible(variant)}: {', '.join(f'{count:,} {status}' for status, count in counts.items())}")
    if done.implicit:
        show(f"{done.implicit:,} begin in mid-thinking, without an opening marker (--markers writes one)")
    for lines, what in ((done.changed, "changed row"), ([str(error) for error in done.bad], "bad row")):
        for line in first(lines, what):
            warn(line)
