"""Templates filled in: the same for answers to a browser and for the file."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from antiphon.plural import many
from antiphon.trace import Key
from antiphon.verify.result import Result
from antiphon.view.chosen import AUTHORS, SORTS, STATUSES
from antiphon.view.marking import as_json, plain, shown

_HERE = Path(__file__).parent

STATIC = {
    "page.css": "text/css",
    "uplot/uplot.css": "text/css",
    "page.js": "text/javascript",
    "trace.js": "text/javascript",
    "charts.js": "text/javascript",
    "compare.js": "text/javascript",
    "file.js": "text/javascript",
    "uplot/uplot.js": "text/javascript",
}
"""All that is served beside pages, and its type."""

_SORTED = {
    "order": "as they were added",
    "longest": "longest first",
    "shortest": "shortest first",
    "most": "largest share first",
    "least": "smallest share first",
    "newest": "newest first",
}
assert _SORTED.keys() == SORTS.keys()


def static(name: str) -> str:
    """The text of a file of `STATIC`."""
    return (_HERE / "static" / name).read_text("utf-8")


class Links:
    """Addresses of pages, as those of a server have them.

    Args:
        root: what all addresses begin with.
    """

    def __init__(self, root: str):
        self.root = root

    def listing(self, run: int, query: str = "") -> str:
        """The list of a run's traces."""
        return f"{self.root}/run/{run}" + (f"?{query}" if query else "")

    def charts(self, run: int) -> str:
        """The charts of a run."""
        return f"{self.root}/run/{run}/charts"

    @property
    def comparison(self) -> str:
        """Variants side by side."""
        return f"{self.root}/compare"

    def figures(self, run: int) -> str:
        """What the charts of a run show now, as JSON."""
        return f"{self.root}/run/{run}/figures.json"

    def traces(self, problem: str, traces: Sequence[tuple[int, str, int]] = (), run: int = 0) -> str:
        """Traces of a problem side by side; all of them if none are named."""
        pairs = [("problem", problem), ("run", str(run))]
        pairs += [("trace", f"{of}:{variant}:{sample}") for of, variant, sample in traces]
        return f"{self.root}/show?{urlencode(pairs, errors='surrogatepass')}"

    def trace(self, run: int, key: Key) -> str:
        """One trace."""
        return self.traces(key.problem, [(run, key.variant, key.sample)], run)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(shown=shown, plain=plain, json=as_json, says=_says, percent=_percent, time=_time)
    environment.globals.update(statuses=STATUSES, results=list(Result), authors=AUTHORS, sorted_by=_SORTED, Key=Key)
    environment.globals["many"] = many
    return environment


def _says(value: Any) -> str:
    """A name of an enumeration for people."""
    return str(value or "pending").replace("_", " ")


def _percent(share: float) -> str:
    return f"{math.floor(100 * share + 0.5)} %"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


_ENVIRONMENT = _environment()


def prepare() -> None:
    """Compiles all templates, so that no page has to wait for it."""
    for name in _ENVIRONMENT.list_templates():
        _ENVIRONMENT.get_template(name)


def page(template: str, **context: Any) -> str:
    """A page. What its text cannot be encoded of has been marked before (`marking.shown`)."""
    return _ENVIRONMENT.get_template(template).render(**context)
