"""Traces and comparisons in a notebook's output, in the pages' own parts and style.

Each is one element that needs no script and nothing from outside. An output shares its document with a notebook. So
the style sheet is nested in the element's class: what it says of the whole page holds for the element, all else for
what is inside it, and none of it for the notebook. Two more classes keep the notebook from taking what is written
between dollars for formulas.
"""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup

from antiphon.analyse import telling
from antiphon.analyse.report import Comparison
from antiphon.trace import Trace
from antiphon.view.pages import page, static
from antiphon.view.sheet import Sheet

_WHOLE_PAGE = re.compile(r"^(\s*)(?::root|body) \{", re.MULTILINE)


def html(shown: Trace | Comparison) -> str:
    """The HTML of an output. What its text cannot be encoded of is marked, never in it (`marking.shown`)."""
    if isinstance(shown, Trace):
        return page("output_trace.html", style=_style(), sheet=Sheet(0, shown, (), {}))
    return page(
        "output_comparison.html",
        style=_style(),
        comparison=shown,
        legend=telling.legend(shown),
        grids=list(telling.grids(shown, intervals=True)),
        places=telling.places(shown),
        star=telling.star(shown),
    )


@cache
def _style() -> Markup:
    nested = _WHOLE_PAGE.sub(r"\1& {", static("page.css"))
    return Markup(f".antiphon-output {{\n{nested}}}\n{static('output.css')}")
