"""`antiphon boundary agree`: how far two annotators agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from antiphon.cli import options
from antiphon.cli.boundary.tables import figures_json, share, table
from antiphon.cli.terminal import print_json, show, stdout, visible, warn
from antiphon.plural import many

_SHOWN = 5


def agree(
    first: Annotated[Path, typer.Argument(metavar="A", help="Texts that one annotator marked.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same texts by another.")],
    json: options.Json = False,
) -> None:
    """Says how far two annotators agree on the texts that both marked.

    Example: antiphon boundary agree anna.jsonl ben.txt

    Exit codes: 0 done, 2 wrong use.
    """
    from antiphon.boundary.making.agree import agreement
    from antiphon.boundary.making.marked import read_marked

    found = agreement(read_marked(first), read_marked(second))
    if found.differing:
        named = ", ".join(found.differing[:_SHOWN]) + (", ..." if len(found.differing) > _SHOWN else "")
        warn(f"left out, since their texts differ in the two files: {named} ({len(found.differing)} in all)")
    if json:
        print_json(
            {
                "texts": found.texts,
                "only_first": found.only_first,
                "only_second": found.only_second,
                "differing": list(found.differing),
                "counts": found.counts._asdict(),
                **figures_json(found.figures, found.intervals),
                "by_domain": {
                    name: {"texts": texts, **figures_json(figures, {})}
                    for name, (texts, figures) in found.by_domain.items()
                },
                "disputed": [word._asdict() for word in found.disputed],
            }
        )
        return
    marked_alone = f"; {found.only_first} only in {first}, {found.only_second} only in {second}"
    show(f"{many(found.texts, 'text')} in common{marked_alone if found.only_first or found.only_second else ''}")
    figures = table("", "texts", "style F1", "kappa", "boundary", "within one word")
    rows = {"all": (found.texts, found.figures, found.intervals)}
    if len(found.by_domain) > 1:
        rows |= {domain or "(none)": (texts, some, {}) for domain, (texts, some) in found.by_domain.items()}
    for name, (texts, some, sure) in rows.items():
        figures.add_row(
            visible(name),
            str(texts),
            share(some.style_f1, sure.get("style_f1")),
            share(some.kappa),
            share(some.exact_f1),
            share(some.near_f1, sure.get("near_f1")),
        )
    console = stdout()
    console.print(figures)
    if found.disputed:
        words = table("they differ most in", "style to A alone", "to B alone", "occurs")
        for word in found.disputed:
            words.add_row(visible(word.word), str(word.first), str(word.second), str(word.occurs))
        console.print()
        console.print(words)
