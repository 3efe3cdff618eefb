"""A picture of a plan: time by traces in flight, and how busy that makes each station."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from antiphon.errors import MissingDependency, UsageError
from antiphon.scale.plan.forecast import Question, forecast
from antiphon.scale.plan.pool import Pool

_POINTS, _DRAWS = 10, 60


def draw(pool: Pool, question: Question, to: Path, *, seed: int = 0) -> None:
    """Draws it into a file of the kind that its name says.

    Raises:
        MissingDependency: matplotlib is not installed.
        UsageError: no such kind of file, or it cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependency("matplotlib", "plot", "drawing a plan (--plot)") from None
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    kinds = figure.canvas.get_supported_filetypes()
    if to.suffix.lstrip(".") not in kinds or not to.absolute().parent.is_dir():
        raise UsageError(f"{to} cannot be drawn: give a file .svg, .png or .pdf in a folder that is there")
    most = question.concurrency or pool.largest.places
    numbers = np.unique(np.geomspace(1, 2 * most, _POINTS).round().astype(int))
    made = [forecast(pool, replace(question, concurrency=int(n)), seed=seed, draws=_DRAWS) for n in numbers]
    hours = np.array([each.seconds for each in made]) / 3600
    left, right = figure.subplots(1, 2)
    left.plot(numbers, hours[:, 0], color="C0")
    left.fill_between(numbers, hours[:, 1], hours[:, 2], color="C0", alpha=0.2, linewidth=0)
    left.set(xscale="log", yscale="log", xlabel="traces in flight", ylabel="hours")
    for name in made[0].stations:
        busy = np.array([each.stations[name].busy for each in made])
        label = "this process" if name == "process" else name
        (line,) = right.plot(numbers, busy[:, 0], label=label)
        right.fill_between(numbers, busy[:, 1], busy[:, 2], color=line.get_color(), alpha=0.15, linewidth=0)
    right.set(xscale="log", ylim=(0, 1.02), xlabel="traces in flight", ylabel="busy")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.axvline(most, color="0.6", linewidth=0.8)
        axes.axvspan(numbers[0], pool.largest.in_flight, color="0.94", zorder=0)  # what the pilots saw
        axes.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(to)
    except OSError as error:
        raise UsageError(f"{to} cannot be drawn: {error}") from error
