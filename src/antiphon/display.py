"""How records show themselves in a notebook.

A notebook asks the object on a cell's last line for HTML. What a record looks like is decided where pages are made,
floors above it, and only when one asks: the package puts that in (`by`) when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_draw: Callable[[Any], str]


class Displayed:
    """What notebooks show as HTML (docs/notebook.md)."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """See IPython's rich display."""
        return _draw(self)


def by(draw: Callable[[Any], str]) -> None:
    """Says what makes the HTML of all that is displayed."""
    global _draw
    _draw = draw
