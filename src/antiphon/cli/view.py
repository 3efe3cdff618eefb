"""`antiphon view`: traces in a browser, or as one page in a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from antiphon.cli import completing, options
from antiphon.cli.options import READS, WORKING, option
from antiphon.cli.terminal import print_json, say, show, visible
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.view.chosen import Chosen


def view(
    directories: options.RunDirectories,
    variant: Annotated[list[str] | None, options.variant("all")] = None,
    status: Annotated[list[str] | None, options.status("all")] = None,
    verdict: Annotated[
        list[str] | None,
        option(
            metavar="VERDICT",
            help="Only traces that came to this: right, wrong ...",
            panel=READS,
            values=completing.names(completing.results),
            show_default="all",
        ),
    ] = None,
    search: Annotated[str, option(metavar="WORDS", help="Only traces with these words.", panel=READS)] = "",
    limit: Annotated[int, options.limit()] = 200,
    html: options.Html = None,
    scores: options.Scores = Path("likelihoods"),
    boundary: Annotated[str, options.boundary()] = "default",
    port: Annotated[
        int, option(min=0, max=65535, metavar="N", help="Where it listens; 0: any free port.", panel=WORKING)
    ] = 0,
    json: options.Json = False,
) -> None:
    """Shows traces in a browser: who wrote what, side by side, in charts.

    Example: antiphon view runs/one

    It says the address to open, and ends with Ctrl-C. With --html it writes one run directory's page instead, which
    needs no server and holds at most --limit problems. --boundary and --scores serve its page of comparisons, as they
    do antiphon compare.

    Exit codes: 0 done, 2 wrong use, 3 the disk gave out.
    """
    from antiphon.view.chosen import Chosen

    chosen = Chosen(tuple(variant or ()), tuple(status or ()), tuple(verdict or ()), search=search)
    if html is not None:
        _write(directories, html, chosen, limit, json=json)
        return
    from antiphon.view.comparing import Comparisons
    from antiphon.view.serve import serve

    def announce(address: str) -> None:
        if json:
            print_json({"address": address})
        else:
            show(address)
        say("Open this address in a browser on this machine. Ctrl-C ends it.")

    comparisons = Comparisons(None if boundary == "none" else boundary, scores)
    serve(directories, chosen, comparisons, port=port, announce=announce)


def _write(directories: list[Path], html: Path, chosen: Chosen, limit: int, *, json: bool) -> None:
    from antiphon.store import Reader
    from antiphon.view.file import write_file
    from antiphon.view.index import place_of

    if len(directories) != 1:
        raise UsageError("--html writes one run directory; name one")
    (directory,) = directories
    Reader(directory).close()  # says what is wrong before an index is made
    written = write_file(directory, html, chosen, limit=limit, index=place_of(directory))
    if json:
        print_json({"run": str(directory), "path": str(html), **asdict(written)})
        return
    more = f"; {many(written.left_out, 'more problem')} beyond --limit" if written.left_out else ""
    show(f"{visible(str(html))}: {many(written.traces, 'trace')} of {many(written.problems, 'problem')}{more}")
