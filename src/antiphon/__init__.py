"""Antiphon: fine-tuning data for reasoning models, written by teacher and student in turns.

import antiphon

run = antiphon.synthesize("problems.jsonl", teacher="…", student="…", boundary="math", run="runs/one")
for trace in run:
    print(trace.key, trace.status)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from antiphon import display

if TYPE_CHECKING:
    from antiphon.analyse.tables import span_table, trace_table
    from antiphon.api import compare, evaluate, read, synthesize
    from antiphon.errors import AntiphonError
    from antiphon.problem import Problem
    from antiphon.settings import Settings
    from antiphon.store import Reader
    from antiphon.synth.run import Run
    from antiphon.trace import Author, Key, Kind, Label, Span, SpanEnd, Status, Trace, Turn, Usage, Verdict
    from antiphon.version import __version__

__all__ = [
    "AntiphonError",
    "Author",
    "Key",
    "Kind",
    "Label",
    "Problem",
    "Reader",
    "Run",
    "Settings",
    "Span",
    "SpanEnd",
    "Status",
    "Trace",
    "Turn",
    "Usage",
    "Verdict",
    "__version__",
    "compare",
    "evaluate",
    "read",
    "span_table",
    "synthesize",
    "trace_table",
]

_HOMES = {
    "AntiphonError": "errors",
    "Problem": "problem",
    "Reader": "store",
    "Run": "synth.run",
    "Settings": "settings",
    "__version__": "version",
    "compare": "api",
    "evaluate": "api",
    "read": "api",
    "span_table": "analyse.tables",
    "synthesize": "api",
    "trace_table": "analyse.tables",
}


def _draw(shown: Any) -> str:
    """Loaded when a notebook first asks."""
    from antiphon.view.notebook import html

    return html(shown)


display.by(_draw)


def __getattr__(name: str) -> Any:
    """Each name is loaded when it is first used, so that the command is quick to start."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"antiphon.{_HOMES.get(name, 'trace')}"), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)
