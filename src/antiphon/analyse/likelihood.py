"""How likely texts are under a model: minus log-probability per token, by author, kind and position.

L_Sty and L_Cap of the paper are the sums over style and capability tokens of the thinking. Every token is in one part,
so the parts sum to the whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.analyse.contrast import Measure, Measures
from antiphon.analyse.scores import TENTHS, Cell, Scored
from antiphon.trace import Author, Kind

_KINDS = (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER, Kind.MARKER)
_NAMES = {
    Kind.STYLE: "style (L_Sty)",
    Kind.CAPABILITY: "capability (L_Cap)",
    Kind.THINKING: "thinking",
    Kind.ANSWER: "answer",
    Kind.MARKER: "close and end",
}
_PARTS = {kind: f"{_NAMES[kind]}, part of the whole" for kind in _KINDS} | {
    Kind.STYLE: "L_Sty, part of the whole",
    Kind.CAPABILITY: "L_Cap, part of the whole",
}
_UNIT = "nats a token"

WHOLE = "whole response"
LIKELIHOOD = (
    Measure(WHOLE, _UNIT),
    *(Measure(_NAMES[kind], _UNIT) for kind in _KINDS),
    *(Measure(_PARTS[kind], _UNIT) for kind in _KINDS),
    *(Measure(f"written by {author}", _UNIT) for author in (Author.STUDENT, Author.TEACHER, Author.UNKNOWN)),
    *(
        Measure(f"{author}: {kind}", _UNIT)
        for author in (Author.STUDENT, Author.TEACHER)
        for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER)
    ),
)
"""Minus log-probability in the mean of the tokens that are named; "part": divided by all tokens of the response, so
that these rows sum to the first."""

CURVES = {
    "whole response": tuple(Measure(f"whole response, tenth {tenth + 1}", _UNIT) for tenth in range(TENTHS)),
    "style": tuple(Measure(f"style, tenth {tenth + 1}", _UNIT) for tenth in range(TENTHS)),
    "capability": tuple(Measure(f"capability, tenth {tenth + 1}", _UNIT) for tenth in range(TENTHS)),
}
"""The same by position: tenths of the response's tokens."""


def measures_of(scored: Scored) -> Measures:
    """Numerators and denominators of `LIKELIHOOD` and `CURVES`."""
    found: dict[str, tuple[float, float]] = {}

    def add(name: str, cells: Iterable[Cell], over: int | None = None) -> None:
        kept = list(cells)
        tokens = sum(cell.tokens for cell in kept)
        if tokens:
            found[name] = sum(cell.nats for cell in kept), over or tokens

    cells = scored.cells
    whole = sum(cell.tokens for cell in cells)
    add(WHOLE, cells)
    for kind in _KINDS:
        of_kind = [cell for cell in cells if cell.kind is kind]
        add(_NAMES[kind], of_kind)
        if whole:
            found[_PARTS[kind]] = sum(cell.nats for cell in of_kind), whole
    for author in (Author.STUDENT, Author.TEACHER, Author.UNKNOWN):
        of_author = [cell for cell in cells if cell.author is author]
        add(f"written by {author}", of_author)
        for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER):
            add(f"{author}: {kind}", (cell for cell in of_author if cell.kind is kind))
    for tenth in range(TENTHS):
        here = [cell for cell in cells if cell.tenth == tenth]
        add(f"whole response, tenth {tenth + 1}", here)
        for kind in (Kind.STYLE, Kind.CAPABILITY):
            add(f"{kind}, tenth {tenth + 1}", (cell for cell in here if cell.kind is kind))
    return found
