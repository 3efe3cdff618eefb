"""`antiphon merge`: shards of a run, or several runs, joined into one run directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.reading import first
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.plural import many
from antiphon.trace import Status

if TYPE_CHECKING:
    from antiphon.scale.merge import Merged
    from antiphon.store.intake import Taken


def merge(
    directories: options.RunDirectories,
    to: Annotated[Path, options.to()],
    json: options.Json = False,
) -> None:
    """Joins shards of a run, or several runs, into one run directory.

    Example: antiphon merge shards/* --to runs/whole

    Run it again, and only what is new in them is taken. They may be written meanwhile.

    Exit codes: 0 done, 1 a shard is missing or texts of one trace differ, 2 wrong use, 3 the disk gave out, 130
    interrupted.
    """
    from antiphon.cli.counting import Counting
    from antiphon.scale import merge as joining

    totals: dict[Path, int] = {}
    looked_at: dict[Path, int] = {}
    with Counting("trace", "looked at", quiet=json) as counting:

        def heard(directory: Path, of: int, done: int) -> None:
            totals[directory], looked_at[directory] = of, done
            counting.at(sum(looked_at.values()), str(directory), total=sum(totals.values()))

        merged = joining.merge(directories, to, heard)
    code = 1 if merged.missing or merged.differing else 0
    if json:
        print_json(_summary(merged, to), code)
    else:
        _tell(merged, to)
    raise typer.Exit(code)


def _summary(merged: Merged, to: Path) -> dict[str, Any]:
    """What was done, as JSON has it."""
    return {
        "run": str(to),
        "problems": merged.problems,
        "traces": {status or "pending": count for status, count in merged.counts.items()},
        "taken": {
            str(directory): {**asdict(taken), "differing": [str(key) for key in taken.differing]}
            for directory, taken in merged.taken.items()
        },
        "missing": merged.missing,
        "remarks": merged.remarks,
    }


def _tell(merged: Merged, to: Path) -> None:
    """The same for people."""
    for directory, taken in merged.taken.items():
        show(f"{visible(str(directory))}: {many(taken.traces, 'trace')}, {_said(taken)}")
    counts = ", ".join(
        f"{merged.counts[status]:,} {status or 'pending'}" for status in (*Status, None) if status in merged.counts
    )
    problems, traces = many(merged.problems, "problem"), many(sum(merged.counts.values()), "trace")
    show(f"{visible(str(to))}: {problems}, {traces}{': ' if counts else ''}{counts}")
    for line in merged.remarks:
        warn(line)
    for directory, taken in merged.taken.items():
        if taken.differing:
            say(f"{directory}: finished in another directory, too, with another text (those stay):", style="bold red")
            for line in first([str(key) for key in taken.differing], "trace"):
                say(f"  {line}")
    for line in merged.missing:
        say(line, style="bold red")


def _said(taken: Taken) -> str:
    amounts = {
        "new": taken.new,
        "changed": taken.changed,
        "in another directory, too": taken.same,
        "further in another directory": taken.kept,
        "with another text elsewhere": len(taken.differing),
    }
    return ", ".join(f"{count:,} {what}" for what, count in amounts.items() if count) or "nothing new"
