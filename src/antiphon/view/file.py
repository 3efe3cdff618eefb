"""The same pages as one file, which needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Key, Span, SpanEnd, Trace
from antiphon.view import figures
from antiphon.view.chosen import Chosen
from antiphon.view.index import IN_MEMORY, Index, Listing
from antiphon.view.pages import page, static
from antiphon.view.runs import Run
from antiphon.view.sheet import Look, Sheet, looks_of

if TYPE_CHECKING:
    from antiphon.analyse.report import Comparison, Contribution

LIMIT = 200
"""How many problems a file holds where nothing else is asked for."""

COMPARED = 300
"""How many traces a comparison's file holds at most."""

_LARGEST = 5_000_000  # characters of HTML that they may take

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
    """Addresses inside the file: what is shown is named after #. Traces are known by run and key."""

    root = ""

    def __init__(self, problems: Iterable[str], traces: Iterable[tuple[int, Key]], *, comparison: str = ""):
        self.comparison = comparison
        self._problems = {id: f"p{number}" for number, id in enumerate(problems, 1)}
        self._traces = {trace: f"t{number}" for number, trace in enumerate(traces, 1)}

    def listing(self, run: int, query: str = "") -> str:
        return "#"

    def charts(self, run: int) -> str:
        return "#charts"

    def traces(self, problem: str) -> str:
        return f"#{self._problems[problem]}"

    def trace(self, run: int, key: Key) -> str:
        return f"#{self._traces[run, key]}"

    def id_of(self, run: int, key: Key) -> str:
        return self._traces[run, key]


@dataclass(frozen=True, slots=True)
class _Part:
    """A problem of the file. `names` are those of the runs, where there are several."""

    id: str
    problem: Problem
    sheets: Sequence[Sheet]
    names: Sequence[str] = ()

    def name_of(self, sheet: Sheet) -> str:
        """The name of its run, "" where there is one only."""
        return self.names[sheet.run] if self.names else ""

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
    _write(to, text)
    traces = sum(len(entry.traces) for entry in listing.entries)
    return Written(len(listing.entries), traces, listing.problems - len(listing.entries))


def _write(to: Path, text: str) -> None:
    try:
        to.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{to}: cannot be written: {error.strerror}; name another file") from None


def _page(directory: Path, reader: Reader, index: Index, chosen: Chosen, listing: Listing) -> str:
    run = Run(0, directory, IN_MEMORY, reader)
    keys = {
        entry.id: [Key(facts.problem, facts.variant, facts.sample) for facts in entry.traces]
        for entry in listing.entries
    }
    links = _Links(keys, ((run.number, key) for key in chain.from_iterable(keys.values())))
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


def write_comparison(made: Comparison, to: Path) -> Written:
    """Writes a comparison as one page, with the traces that contribute most to its differences: the first of each, the
    second of each, and so on, as many as the file may hold.

    Raises:
        UsageError: the file cannot be written.
        StoreError: a run directory cannot be read.
    """
    from antiphon.analyse import telling
    from antiphon.view import comparison

    wanted = list(comparison.most_telling(made))
    parts: dict[str, list[tuple[Problem, Sheet]]] = {}
    links: dict[tuple[int, str], tuple[int, Key]] = {}
    room = _LARGEST
    with ExitStack() as readers:
        for one, problem, sheet, shared in _contributing(made, wanted[:COMPARED], readers):
            room -= len(sheet.response) + len(sheet.details)
            if room < 0:
                break
            parts.setdefault(shared, []).append((problem, sheet))
            links[one.side, one.key] = sheet.run, sheet.key
    for part in parts.values():
        part.sort(key=lambda found: (found[1].run, found[1].key))
    addresses = _Links(parts, links.values(), comparison="#")
    letters = telling.letters(made)

    def link_of(one: Contribution) -> str | None:
        found = links.get((one.side, one.key))
        return None if found is None else addresses.trace(*found)

    text = page(
        "comparison_file.html",
        standalone=_Standalone(),
        links=addresses,
        run=None,
        parts_of=[
            _Part(addresses.traces(shared)[1:], part[0][0], [sheet for _, sheet in part], letters)
            for shared, part in parts.items()
        ],
        count=len(links),
        left_out=len(wanted) - len(links),
        **comparison.context(made, link_of),
    )
    _write(to, text)
    return Written(len(parts), len(links), len(wanted) - len(links))


def _contributing(
    made: Comparison, wanted: Sequence[Contribution], readers: ExitStack
) -> Iterator[tuple[Contribution, Problem, Sheet, str]]:
    """Traces with what they answer to, and what all traces that answer to the same share; in their order."""
    from antiphon.analyse.source import FileSide, RunSide, Side

    runs: dict[int, Run] = {}
    sides: dict[int, Side] = {}
    for number in {one.side for one in wanted}:
        about = made.sides[number]
        if about.variant is None:
            sides[number] = FileSide(about.place)
            continue
        reader = readers.enter_context(Reader(Path(about.place)))
        (variant,) = (one for one in reader.variants() if one.name == about.variant)
        sides[number] = RunSide(about.place, reader, variant)
        runs[number] = Run(number, Path(about.place), IN_MEMORY, reader)
    entries = {number: {entry.key: entry for entry in side.entries} for number, side in sides.items()}
    of_files = {
        (number, text.key): text
        for number in sides.keys() - runs.keys()
        for text, _ in sides[number].texts([entries[number][one.key] for one in wanted if one.side == number])
    }
    for one in wanted:
        entry = entries[one.side][one.key]
        if isinstance(entry.place, Key):
            run = runs[one.side]
            (sheet,) = run.sheets([entry.place])
            yield one, run.reader.problem(entry.place.problem), sheet, entry.problem
        else:
            text = of_files[one.side, one.key]
            spans = tuple(Span(part.author, part.kind, part.text, end=SpanEnd.SEAM) for part in text.stretches)
            trace = Trace(Key(one.key, made.sides[one.side].name, 0), spans, entry.status)
            problem = Problem(one.key, text.messages, {})
            yield one, problem, Sheet(one.side, trace, (), {}, name=one.key), entry.problem
