"""`antiphon export`: training files from a run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import cleaning, completing, options
from antiphon.cli.options import MAKES, READS, flag, option
from antiphon.cli.terminal import complain, print_json, show, visible, warn
from antiphon.plural import many
from antiphon.storage import is_url
from antiphon.trace import Label, Status

if TYPE_CHECKING:
    from antiphon.export import Exported

_BAR = 40  # characters of the longest bar


def export(
    directory: options.RunDirectory,
    format: Annotated[str, options.format(completing.export_formats)],
    to: Annotated[str, options.to()],
    variant: Annotated[str | None, options.variant("the only one")] = None,
    status: Annotated[list[str] | None, options.status("complete")] = None,
    only: Annotated[
        list[str] | None,
        option(
            metavar="LABEL",
            help="Only what was judged so, as in --only right.",
            panel=READS,
            values=completing.names(lambda: Label),
        ),
    ] = None,
    per_problem: Annotated[
        int | None, option(min=1, metavar="N", help="Only the first N traces of each problem.", panel=READS)
    ] = None,
    since: Annotated[
        int, option(min=0, metavar="N", help="Only what changed after this change number.", panel=READS)
    ] = 0,
    overwrite: Annotated[
        bool, flag("--overwrite", help="Replace an earlier export of this name.", panel=MAKES)
    ] = False,
    max_length: Annotated[int | None, options.max_length(panel=MAKES)] = None,
    drop_longer: Annotated[bool, flag("--drop-longer", help="Leave out rows over --max-length.", panel=MAKES)] = False,
    licence: Annotated[
        str | None, option("--license", metavar="NAME", help="For a folder's card, as in apache-2.0.", panel=MAKES)
    ] = None,
    rows_per_file: Annotated[
        int | None, option(min=1, metavar="N", help="Part a folder into files of so many rows.", panel=MAKES)
    ] = None,
    suffix: Annotated[
        str,
        option(
            metavar="SUFFIX",
            help="What these end in: .parquet, .jsonl, .jsonl.gz or .jsonl.zst.",
            panel=MAKES,
            values=completing.names(lambda: (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")),
        ),
    ] = ".parquet",
    without: cleaning.WithoutFiles = None,
    near_duplicates: cleaning.NearDuplicates = None,
    balance: cleaning.BalanceBy = None,
    removed: cleaning.Removed = None,
    student: Annotated[str | None, options.student("the run's")] = None,
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Writes a run's traces as training data, checked against the record.

    Example: antiphon export runs/one --format messages --to train.jsonl

    Formats: {export_formats} (docs/export.md).

    --to ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet; anything else is a folder, a data set with a card. It may be
    a URL. The student's tokenizer and chat template are those that rows are made for. --max-length shows how many rows
    are longer. With --ray, a cluster's machines make the rows, which are written and checked here.

    Exit codes: 0 done, 1 every trace was left out, 2 wrong use, 3 the disk, store or cluster gave out.
    """
    from antiphon.export import write
    from antiphon.store import Reader

    wanted: dict[str, Any] = {
        "statuses": frozenset(options.statuses(status or [Status.COMPLETE], "--status")),
        "variant": variant,
        "since": since,
        "labels": options.labels(only, "--only") if only else None,
        "per_problem": per_problem,
    }
    cleaners = cleaning.cleaners(without, near_duplicates, balance)
    listing = None if removed is None else cleaning.Listing(removed, overwrite=overwrite)
    with ExitStack() as around:
        reader, elsewhere = around.enter_context(Reader(directory)), None
        if ray is not None:
            from antiphon.scale.spread import Spread

            elsewhere = around.enter_context(Spread(ray)).map
        done = write(
            reader,
            format,
            to,
            **wanted,
            select=cleaners,
            student=student,
            max_length=max_length,
            drop_longer=drop_longer,
            licence=licence,
            overwrite=overwrite,
            rows_per_file=rows_per_file,
            suffix=suffix,
            elsewhere=elsewhere,
        )
        if listing is not None:
            listing.write(reader.outcomes(**wanted), cleaners)
    reports = [cleaner.report() for cleaner in cleaners]
    code = 0 if done.rows or since else 1  # that nothing came since is as usual
    if json:
        print_json({**_for_programs(done), "clean": reports}, code)
    else:
        _show(done, str(done.path) if is_url(to) else to)
        cleaning.tell(reports)
        if code:
            why = f"left out are {_left_out(done)}" if done.left_out else "there is no trace yet"
            complain(f"{to}: no row to train on, {why}; antiphon status {directory} says how traces came out")
    raise typer.Exit(code)


def _for_programs(done: Exported) -> dict[str, Any]:
    lengths = done.lengths
    return {
        "path": str(done.path),
        "format": done.format,
        "columns": list(done.columns),
        "rows": done.rows,
        "files": [file._asdict() for file in done.files],
        "left_out": dict(done.left_out),
        "unpaired": done.unpaired,
        "change": done.change,
        "student": done.student,
        "unchecked": done.unchecked,
        "counts": dict(done.counts),
        "lengths": None
        if not lengths.rows
        else {
            "tokens": lengths.tokens,
            "longest": lengths.longest,
            "max_length": lengths.limit,
            "longer": lengths.longer,
            "histogram": [
                {"from": least, "to": most, "rows": rows} for (least, most), rows in lengths.histogram.items()
            ],
        },
    }


def _show(done: Exported, to: str) -> None:
    files = f" in {len(done.files)} files" if len(done.files) > 1 else ""
    there = f" ({done.reused} of them there already)" if done.reused else ""
    show(f"{visible(to)}: {many(done.rows, 'row')}{files}{there}, each compared with the record")
    if done.unchecked:
        show(f"not rendered with the student's template: {visible(done.unchecked)} (--student MODEL)")
    for what, count in done.counts.items():
        if count:
            show(f"{what}: {count:,}")
    _show_lengths(done)
    show(f"to write only what changes after this: --since {done.change}")
    if done.left_out:
        show(f"left out: {visible(_left_out(done))}")
    if done.unpaired:
        warn(f"half a surrogate pair, which some readers refuse, is in {many(done.unpaired, 'row')}")
    if done.lengths.longer:
        warn(
            f"longer than {done.lengths.limit:,} tokens, where a trainer cuts them off, are {done.lengths.longer:,} of"
            f" {many(done.rows, 'row')}; --drop-longer leaves them out"
        )


def _left_out(done: Exported) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in done.left_out.items())


def _show_lengths(done: Exported) -> None:
    lengths = done.lengths
    if not lengths.rows:
        return
    show(f"lengths in tokens of {visible(done.student)}: {lengths.tokens:,} in all, the longest {lengths.longest:,}")
    most_rows = max(lengths.histogram.values())
    for (least, most), rows in lengths.histogram.items():
        bar = "█" * round(rows / most_rows * _BAR) or ("▏" if rows else "")
        show(f"{f'{least:,}-{most:,}':>17} {rows:>7,} {bar}".rstrip())
