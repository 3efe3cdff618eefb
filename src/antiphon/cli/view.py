"""`antiphon view`: traces in a browser, or as one page in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.cli.terminal import say, show
from antiphon.errors import UsageError

if TYPE_CHECKING:
    from antiphon.view.chosen import Chosen

CHOOSING = "Which traces"
COMPARING = "Its page of comparisons"


def view(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.", show_default=False)],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one page that needs no server instead.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Where it listens; 0: any free port.")] = 0,
    variant: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of this variant. Repeatable.", rich_help_panel=CHOOSING)
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="That ended so. Repeatable.", rich_help_panel=CHOOSING),
    ] = None,
    verdict: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERDICT", help="That came to this: right, wrong ... Repeatable.", rich_help_panel=CHOOSING
        ),
    ] = None,
    search: Annotated[str, typer.Option(metavar="WORDS", help="With these words.", rich_help_panel=CHOOSING)] = "",
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Problems in the file, at most.", rich_help_panel=CHOOSING)
    ] = 200,
    boundary: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Who marks style where the record does not: a boundary as of synth, or none.",
            rich_help_panel=COMPARING,
        ),
    ] = "default",
    scores: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where antiphon compare keeps likelihoods.", rich_help_panel=COMPARING),
    ] = Path("likelihoods"),
) -> None:
    """Shows traces in a browser: who wrote what, side by side, with filters and charts.

    Example: antiphon view runs/one
    """
    from antiphon.view.chosen import Chosen

    chosen = Chosen(tuple(variant or ()), tuple(status or ()), tuple(verdict or ()), search=search)
    if html is not None:
        _write(directories, html, chosen, limit)
        return
    from antiphon.view.comparing import Comparisons
    from antiphon.view.serve import serve

    def announce(address: str) -> None:
        show(address)
        say("Open this address in a browser on this machine. Ctrl-C ends it.")

    comparisons = Comparisons(None if boundary == "none" else boundary, scores)
    serve(directories, chosen, comparisons, port=port, announce=announce)


def _write(directories: list[Path], html: Path, chosen: Chosen, limit: int) -> None:
    from antiphon.store import Reader
    from antiphon.view.file import write_file
    from antiphon.view.index import place_of

    if len(directories) != 1:
        raise UsageError("--html writes one run directory; name one")
    (directory,) = directories
    Reader(directory).close()  # says what is wrong before an index is made
    written = write_file(directory, html, chosen, limit=limit, index=place_of(directory))
    more = f"; {written.left_out} more problems are beyond --limit" if written.left_out else ""
    say(f"{html}: {written.traces} traces of {written.problems} problems{more}")
