"""The same pages as one file, which needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from markupsafe import Markup

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Key
from antiphon.view import figures
from antiphon.view.chosen import Chosen
from antiphon.view.index import IN_MEMORY, Index, Listing
from antiphon.view.pages import page, static
from antiphon.view.runs import Run
from antiphon.view.sheet import Look, Sheet, looks_of

LIMIT = 200
"""How many problems a file holds where nothing else is asked for."""

_SCRIPTS = ("uplot/uplot.js", "page.js", "file.js", "trace.js", "charts.js")
_STYLES = ("uplot/uplot.css", "page.css")


@dataclass(frozen=True, slots=True)
class _Script:
    text: Markup
    is_module: bool


class _Standalone:
    """Styles and scripts of the file, and a policy that allows these and nothing else."""

    def __init__(self) -> None:
        self.style = Markup("".join(map(static, _STYLES)))
        self.scripts = [_Script(Markup(static(name)), not name.startswith("uplot/")) for name in _SCRIPTS]
        scripts = " ".join(_hash(script.text) for script in self.scripts)
        self.policy = (
            f"default-src 'none'; script-src {scripts}; style-src {_hash(self.style)}; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )


def _hash(text: str) -> str:
    """As a policy names an inline script or style (w3.org/TR/CSP3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class _Links:
    """Addresses inside the file: what is shown is named after #."""

    root = ""

    def __init__(self, problems: Iterable[str], keys: Iterable[Key]):
        self._problems = {id: f"p{number}" for number, id in enumerate(problems, 1)}
        self._keys = {key: f"t{number}" for number, key in enumerate(keys, 1)}

    def listing(self, run: int, query: str = "") -> str:
        return "#"

    def charts(self, run: int) -> str:
        return "#charts"

    def traces(self, problem: str) -> str:
        return f"#{self._problems[problem]}"

    def trace(self, run: int, key: Key) -> str:
        return f"#{self._keys[key]}"

    def id_of(self, key: Key) -> str:
        return self._keys[key]


@dataclass(frozen=True, slots=True)
class _Part:
    """A problem of the file."""

    id: str
    problem: Problem
    sheets: Sequence[Sheet]

    @property
    def looks(self) -> list[Look]:
        return looks_of(self.sheets)


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds, and how many problems were chosen but beyond the limit."""

    problems: int
    traces: int
    left_out: int


def write_file(
    directory: Path,
    to: Path,
    chosen: Chosen | None = None,
    *,
    limit: int = LIMIT,
    index: Path | str = IN_MEMORY,
    on_progress: Callable[[int], None] | None = None,
) -> Written:
    """Writes chosen traces of a run as one page.

    Args:
        chosen: all if left out.
        limit: how many problems at most.
        index: where the index of the run is kept.
        on_progress: hears how many traces the index knows so far.

    Raises:
        UsageError: the file cannot be written.
        StoreError: the run directory cannot be read.
    """
    chosen = chosen or Chosen()
    with Reader(directory) as reader, Index(index) as known:
        while known.update(reader):
            if on_progress is not None:
                on_progress(known.count())
        listing = known.listing(chosen, limit)
        text = _page(directory, reader, known, chosen, listing)
    try:
        to.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{to}: cannot be written: {error.strerror}") from None
    traces = sum(len(entry.traces) for entry in listing.entries)
    return Written(len(listing.entries), traces, listing.problems - len(listing.entries))


def _page(directory: Path, reader: Reader, index: Index, chosen: Chosen, listing: Listing) -> str:
    run = Run(0, directory, IN_MEMORY, reader)
    keys = {
        entry.id: [Key(facts.problem, facts.variant, facts.sample) for facts in entry.traces]
        for entry in listing.entries
    }
    links = _Links(keys, chain.from_iterable(keys.values()))
    parts = [_Part(links.traces(id)[1:], reader.problem(id), run.sheets(keys[id])) for id in keys]
    return page(
        "file.html",
        standalone=_Standalone(),
        links=links,
        run=run,
        runs=[run],
        listing=listing,
        count=sum(map(len, keys.values())),
        left_out=len(listing.entries) < listing.problems,
        chosen=chosen,
        chosen_here=Chosen(),
        variants=index.variants(),
        charts=figures.charts(index),
        variant_figures=figures.variants(index),
        parts_of=parts,
    )
