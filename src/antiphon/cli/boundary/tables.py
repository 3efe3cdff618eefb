"""Figures as tables and JSON, for all commands of the group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from antiphon.boundary.making.scores import Figures, Interval


def table(*columns: str, left: int = 1) -> Table:
    """An empty table that fits 80 columns; all columns but the first `left` hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for number, column in enumerate(columns):
        if number < left:
            made.add_column(column, overflow="fold")
        else:
            made.add_column(column, justify="right", no_wrap=True)
    return made


def share(value: float, interval: Interval | None = None) -> str:
    """A figure from 0 to 1, with its interval where there is one."""
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" + (f" {interval.low:.2f}-{interval.high:.2f}" if interval is not None else "")


def figures_json(figures: Figures, intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """Figures by name, each with its interval where there is one; null where there was nothing to find."""
    return {
        **{name: None if math.isnan(value) else value for name, value in figures._asdict().items()},
        "intervals": {name: list(interval) for name, interval in intervals.items()},
    }
