"""The pictures of an experiment's report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.errors import MissingDependency, StoreFull
from antiphon.lab.arms import MAIN
from antiphon.lab.report.findings import LIKELIHOODS, OTHERS, STUDENT, TEACHER, TESSY, Findings
from antiphon.lab.report.telling import rated
from antiphon.lab.results import BASE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {TEACHER: "C3", TESSY: "C0", STUDENT: "C2"}
_COLUMNS = 4  # of small pictures
_LIKELIHOODS = ("style part", "answer", "whole")
_STYLE = {"svg.hashsalt": "antiphon", "svg.fonttype": "none", "font.size": 9}


def draw(found: Findings, directory: Path) -> list[Path]:
    """Draws what there are figures for, as SVG: `curves` (the main arms at each rate, target and others), `arms` (every
    arm at the main rate), `forgetting` (by arm and family), `style-and-dip` (over arms).

    Returns:
        The files, relative to the directory.

    Raises:
        MissingDependency: matplotlib is not installed.
        StoreFull: a file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingDependency("matplotlib", "train", "the report's pictures") from None
    made: dict[str, Callable[[Findings], Figure | None]] = {
        "curves": _curves,
        "arms": _arms,
        "forgetting": _forgetting,
        "style-and-dip": _style_and_dip,
    }
    drawn = []
    with mpl.rc_context(_STYLE):
        for name, make in made.items():
            figure = make(found)
            if figure is None:
                continue
            file = Path(f"{name}.svg")
            try:
                figure.savefig(directory / file, metadata={"Date": None})
            except OSError as error:
                raise StoreFull(f"{directory / file}: cannot be written: {error.strerror or error}") from None
            drawn.append(file)
    return drawn


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curves(found: Findings) -> Figure | None:
    arms = [arm for arm in MAIN if arm in found.arms]
    if not arms:
        return None
    rates = sorted(found.rates)
    figure = _figure(3.2 * len(rates) + 0.6, 4.6)
    grid = figure.subplots(2, len(rates), sharex=True, sharey=True, squeeze=False)
    for column, rate in enumerate(rates):
        for row, of in enumerate((found.target, OTHERS)):
            axes = grid[row][column]
            for arm in arms:
                _line(axes, found, arm, rate, of, color=_COLOURS[arm], label=arm)
            _base(axes, found, of)
            axes.set_title(f"{'other families' if of == OTHERS else of}, rate {rated(rate)}")
            _in_percent(axes)
    for axes in grid[1]:
        axes.set_xlabel("steps")
    for row in grid:
        row[0].set_ylabel("right, %")
    grid[0][-1].legend(loc="lower right", frameon=False, fontsize=8)
    return figure


def _arms(found: Findings) -> Figure | None:
    if not found.arms:
        return None
    lines = -(-len(found.arms) // _COLUMNS)
    figure = _figure(2.4 * _COLUMNS, 1.9 * lines + 0.3)
    grid = figure.subplots(lines, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(found.arms):
            axes.set_axis_off()
            continue
        arm = found.arms[place]
        _line(axes, found, arm, found.rate, found.target, color="C0", label=found.target)
        _line(axes, found, arm, found.rate, OTHERS, color="C1", linestyle="--", label="others")
        _base(axes, found, found.target)
        axes.set_title(arm, fontsize=9)
        _in_percent(axes)
    for axes in grid[-1]:
        axes.set_xlabel("steps")
    grid[0][0].legend(loc="lower right", frameon=False, fontsize=7)
    return figure


def _line(axes: Axes, found: Findings, arm: str, rate: float, of: str, **style: Any) -> None:
    """A curve from the base on: the mean over seeds, and between the least and the most of them a band."""
    base = found.score(BASE, rate, 0, of)
    scores = [score for step in found.points if (score := found.score(arm, rate, step, of)) is not None]
    if not scores:
        return
    start: Mapping[int, float] = {} if base is None else {0: base.value}
    steps = [*start, *(score.step for score in scores)]
    axes.plot(steps, [100 * value for value in (*start.values(), *(score.value for score in scores))], **style)
    bounds = [[*start.values(), *(bound(score.seeds.values()) for score in scores)] for bound in (min, max)]
    low, high = ([100 * value for value in side] for side in bounds)
    axes.fill_between(steps, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _base(axes: Axes, found: Findings, of: str) -> None:
    base = found.score(BASE, found.rate, 0, of)
    if base is not None:
        axes.axhline(100 * base.value, color="0.4", linewidth=0.8, linestyle=":", label="base")


def _in_percent(axes: Axes) -> None:
    axes.set_ylim(-2, 102)
    axes.spines[["top", "right"]].set_visible(False)


def _forgetting(found: Findings) -> Figure | None:
    tests = [one for one in found.forgetting if one.second == BASE and one.rate == found.rate]
    tests += found.by_family
    arms = list(dict.fromkeys(one.first for one in tests))
    families = list(dict.fromkeys(one.of for one in tests))
    if not tests:
        return None
    means = {(one.first, one.of): one for one in tests}
    figure = _figure(1.1 * len(families) + 2.6, 0.32 * len(arms) + 1.1)
    axes = figure.subplots()
    values = [[100 * means[arm, of].mean if (arm, of) in means else float("nan") for of in families] for arm in arms]
    axes.imshow(values, cmap="RdBu", vmin=-100, vmax=100, aspect="auto")
    for (arm, of), one in means.items():
        text = f"{100 * one.mean:+.0f}{'*' if one.verdict else ''}"
        dark = "white" if abs(one.mean) > 0.6 else "black"
        axes.text(families.index(of), arms.index(arm), text, ha="center", va="center", color=dark, fontsize=8)
    axes.set_xticks(range(len(families)), families)
    axes.set_yticks(range(len(arms)), arms)
    axes.set_title(f"after {found.points[-1]} steps at {rated(found.rate)}: points less base", fontsize=9)
    return figure


def _style_and_dip(found: Findings) -> Figure | None:
    shown = [one for one in found.style if one.measure in _LIKELIHOODS]
    if not shown:
        return None
    figure = _figure(3.2 * len(shown) + 1.6, 3.4)
    likelihood = {one.arm: one.likelihood for one in found.data}
    markers = {arm: (f"C{number}", "os^D"[number // 10]) for number, arm in enumerate(likelihood)}
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for arm in one.arms:
            dip = found.dip(arm, found.rate)
            if dip is None:
                continue
            cost, depth = likelihood[arm][one.measure], -100 * dip.mean
            color, marker = markers[arm]
            axes.plot(cost, depth, marker, color=color, markersize=5, label=arm)
        axes.set_title(f"{LIKELIHOODS[one.measure]}: {one.rho:+.2f}", fontsize=8)
        axes.set_xlabel("nats a token under the base")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("lowest point below base, points")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=7)
    return figure
