"""`antiphon boundary show`: a text with its marks and a predictor's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.boundary.tables import figures_json, share
from antiphon.cli.terminal import in_colour, print_json, stdout, visible
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from antiphon.boundary.making.marked import MarkedText
    from antiphon.boundary.making.show import Sheet

_LOOKS = {
    "style": ("cyan", "⟦", "⟧"),
    "missed": ("bold yellow underline", "{-", "-}"),
    "too much": ("bold red", "{+", "+}"),
}


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Marked texts.")],
    id: Annotated[str, typer.Argument(metavar="ID", help="An id, or as much of its beginning as is enough.")] = "",
    html: options.Html = None,
    boundary: Annotated[str | None, options.boundary()] = None,
    json: options.Json = False,
) -> None:
    """Shows marked texts, and where a predictor differs from the marks.

    Example: antiphon boundary show slices.jsonl w0042 --boundary general

    Without an id it shows all texts, and with --html a page of them instead.

    Exit codes: 0 done, 2 wrong use.
    """
    from antiphon.boundary.making.marked import read_marked
    from antiphon.boundary.making.show import Sheet, write_page

    marked = _chosen(read_marked(file), id, file)
    name = None
    sheets: Sequence[Sheet] = [Sheet(item) for item in marked]
    if boundary is not None:
        name, sheets = asyncio.run(_judged(marked, boundary))
    if html is not None:
        try:
            write_page(html, sheets, name)
        except OSError as error:
            raise UsageError(f"{html}: cannot be written: {error.strerror}; name another file") from None
    if json:
        path = None if html is None else str(html)
        print_json({"boundary": name, "path": path, "texts": [_as_json(sheet) for sheet in sheets]})
        return
    console = stdout()
    if html is not None:
        console.print(f"{visible(str(html))}: {many(len(sheets), 'text')}", soft_wrap=True)
        return
    for sheet in sheets:
        _write(console, sheet)
    _write_legend(console, asked=boundary is not None)


def _as_json(sheet: Sheet) -> dict[str, Any]:
    """A text, what was marked in it and what the predictor gave, as [start, end]."""
    marked, figures = sheet.marked, sheet.figures
    return {
        "id": marked.id,
        "domain": marked.domain,
        "model": marked.model,
        "text": marked.text,
        "marked": marked.style,
        "given": sheet.given,
        "figures": None if figures is None else figures_json(figures, {}),
    }


def _chosen(marked: Sequence[MarkedText], id: str, file: str) -> Sequence[MarkedText]:
    exact = [item for item in marked if item.id == id]
    found = exact or [item for item in marked if item.id.startswith(id)]
    if not found:
        raise UsageError(f"{file}: no text's id is {id!r} or begins so; the first is {marked[0].id!r}")
    return found


async def _judged(marked: Sequence[MarkedText], boundary: str) -> tuple[str, Sequence[Sheet]]:
    from antiphon.boundary import load
    from antiphon.boundary.making.forms import spans_of
    from antiphon.boundary.making.judge import judge
    from antiphon.boundary.making.scores import compare
    from antiphon.boundary.making.show import Sheet
    from antiphon.trace import Author

    predictor = load(boundary)
    try:
        texts = [(item.text, item.author or Author.STUDENT) for item in marked]
        judged = await judge(predictor, texts, by_word=True)
    finally:
        await predictor.close()
    sheets = []
    for item, (verdicts, _) in zip(marked, judged, strict=True):
        classes = [verdict.style for verdict in verdicts]
        sheets.append(Sheet(item, spans_of(item.text, classes), compare(classes, item.classes)))
    return predictor.id, sheets


def _write(console: Console, sheet: Sheet) -> None:
    from rich.text import Text

    head = Text.assemble((visible(sheet.marked.id), "bold"), f"  {visible(sheet.about)}")
    if sheet.figures is not None:
        head.append(f"  style F1 {share(sheet.figures.style_f1)}", "dim")
    console.print(head, soft_wrap=True)
    colour = in_colour(console)
    line = Text()
    for text, mark in sheet.stretches:
        style, opening, closing = _LOOKS.get(mark, ("", "", ""))
        if colour:
            line.append(visible(text), style)
        else:
            line.append(f"{opening}{visible(text)}{closing}")
    console.print(line)
    console.print()


def _write_legend(console: Console, *, asked: bool) -> None:
    from rich.text import Text

    said = {"style": "style", "missed": "missed: marked, not given", "too much": "too much: given, not marked"}
    colour = in_colour(console)
    line = Text()
    for mark, (style, opening, closing) in _LOOKS.items():
        if asked or mark == "style":
            line.append("   " if line else "")
            line.append(said[mark] if colour else f"{opening}{said[mark]}{closing}", style if colour else "")
    console.print(line)
