"""`antiphon export`: a training file from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from antiphon.cli import options
from antiphon.cli.terminal import print_json, show, visible, warn
from antiphon.trace import Status


def export(
    directory: options.RunDirectory,
    format: Annotated[str, typer.Option(metavar="FORMAT", help="messages or tessy.", show_default=False)],
    to: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="Ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet, or is a folder.",
            show_default=False,
        ),
    ],
    variant: Annotated[str | None, typer.Option(metavar="NAME", help="Only this variant.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Which traces; complete unless given. Repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Only what was judged so: --only right (antiphon verify). Repeatable."),
    ] = None,
    per_problem: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many of each problem, the first by sample.")
    ] = None,
    since: Annotated[
        int, typer.Option(min=0, metavar="N", help="Only what changed after this change number.", show_default=False)
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=options.NO_VALUE, help="Replace an earlier export of this name.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Writes a run's traces as training data, checked against the record.

    Example: antiphon export runs/one --format messages --to train.jsonl
    """
    from antiphon.export import write
    from antiphon.store import Reader

    statuses = options.statuses(status or [Status.COMPLETE], "--status")
    with Reader(directory) as reader:
        done = write(
            reader,
            format,
            to,
            variant=variant,
            statuses=statuses,
            since=since,
            labels=options.labels(only, "--only") if only else None,
            per_problem=per_problem,
            overwrite=overwrite,
        )
    if json:
        print_json(
            {
                "path": str(done.path),
                "rows": done.rows,
                "left_out": dict(done.left_out),
                "unpaired": done.unpaired,
                "change": done.change,
            }
        )
        return
    show(f"{visible(str(to))}: {done.rows} rows, each compared with the record")
    show(f"what changes later: --since {done.change}")
    if done.left_out:
        show(f"left out: {', '.join(f'{count} {name}' for name, count in done.left_out.items())}")
    if done.unpaired:
        warn(f"{done.unpaired} rows hold half a surrogate pair, which some readers refuse")
