"""Antiphon: fine-tuning data for reasoning models, written by teacher and student in turns.

import antiphon

run = antiphon.synthesize("problems.jsonl", teacher="…", student="…", boundary="math", run="runs/one")
for trace in run:
    print(trace.key, trace.status)
"""

from __future__ import annotations

from antiphon.api import read, synthesize
from antiphon.errors import AntiphonError
from antiphon.problem import Problem
from antiphon.settings import Settings
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status, Trace, Turn, Usage
from antiphon.version import __version__

__all__ = [
    "AntiphonError",
    "Author",
    "Key",
    "Kind",
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
    "__version__",
    "read",
    "synthesize",
]
