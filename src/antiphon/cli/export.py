"""`antiphon export`: training files from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import cleaning, options
from antiphon.cli.terminal import print_json, show, visible, warn
from antiphon.storage import is_url
from antiphon.trace import Status

if TYPE_CHECKING:
    from antiphon.export import Exported

_BAR = 40  # characters of the longest bar


def export(
    directory: options.RunDirectory,
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="messages, prompt_completion, tokens, tessy, sharegpt, axolotl, verl or parquet (docs/export.md).",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet; else a folder, a data set with a card. Or a URL.",
            show_default=False,
        ),
    ],
    student: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Whose tokenizer and chat template: a folder, a GGUF file or lab:student; else the run's student.",
        ),
    ] = None,
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
    without: cleaning.WithoutFiles = None,
    near_duplicates: cleaning.NearDuplicates = None,
    balance: cleaning.BalanceBy = None,
    removed: cleaning.Removed = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="What your trainer cuts rows at: shows their lengths.")
    ] = None,
    drop_longer: Annotated[
        bool, typer.Option("--drop-longer", metavar=options.NO_VALUE, help="Leave out rows over --max-length.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="NAME", help="For a folder's card, as in apache-2.0.")
    ] = None,
    rows_per_file: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of a folder: in several files of so many rows.")
    ] = None,
    suffix: Annotated[
        str, typer.Option(metavar="SUFFIX", help="What these end in: .parquet, .jsonl, .jsonl.gz, .jsonl.zst.")
    ] = ".parquet",
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

    wanted: dict[str, Any] = {
        "statuses": frozenset(options.statuses(status or [Status.COMPLETE], "--status")),
        "variant": variant,
        "since": since,
        "labels": options.labels(only, "--only") if only else None,
        "per_problem": per_problem,
    }
    cleaners = cleaning.cleaners(without, near_duplicates, balance)
    listing = None if removed is None else cleaning.Listing(removed, overwrite=overwrite)
    with Reader(directory) as reader:
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
        )
        if listing is not None:
            listing.write(reader.outcomes(**wanted), cleaners)
    reports = [cleaner.report() for cleaner in cleaners]
    if json:
        print_json({**_for_programs(done), "clean": reports})
    else:
        _show(done, str(done.path) if is_url(to) else to)
        cleaning.tell(reports)


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
    show(f"{visible(to)}: {done.rows} rows{files}{there}, each compared with the record")
    if done.unchecked:
        show(f"not rendered with the student's template: {visible(done.unchecked)} (--student MODEL)")
    for what, count in done.counts.items():
        if count:
            show(f"{what}: {count:,}")
    _show_lengths(done)
    show(f"what changes later: --since {done.change}")
    if done.left_out:
        show(f"left out: {', '.join(f'{count} {visible(name)}' for name, count in done.left_out.items())}")
    if done.unpaired:
        warn(f"{done.unpaired} rows hold half a surrogate pair, which some readers refuse")
    if done.lengths.longer:
        warn(
            f"{done.lengths.longer} of {done.rows} rows are longer than {done.lengths.limit} tokens, where a trainer"
            " cuts them off; --drop-longer leaves them out"
        )


def _show_lengths(done: Exported) -> None:
    lengths = done.lengths
    if not lengths.rows:
        return
    show(f"lengths in tokens of {visible(done.student)}: {lengths.tokens:,} in all, the longest {lengths.longest:,}")
    most_rows = max(lengths.histogram.values())
    for (least, most), rows in lengths.histogram.items():
        bar = "█" * round(rows / most_rows * _BAR) or ("▏" if rows else "")
        show(f"{f'{least:,}-{most:,}':>17} {rows:>7,} {bar}".rstrip())
