"""A training's curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_SMOOTHED = 0.9  # how much of the mean so far the smoothed loss keeps at each step


def draw(curve: Sequence[Mapping[str, float]], to: Path) -> None:
    """Draws loss and rate by step as a PNG.

    Args:
        curve: `step`, `loss` and `rate` of each step.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [point["step"] for point in curve]
    losses = [point["loss"] for point in curve]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss = figure.add_subplot()
    loss.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=1, label="loss")
    loss.plot(steps, _smoothed(losses), color="tab:blue", linewidth=1.5, label="smoothed")
    loss.set(xlabel="step", ylabel="loss per token (nats)")
    loss.set_ylim(bottom=0)
    rate = loss.twinx()
    rate.plot(steps, [point["rate"] for point in curve], color="tab:gray", linewidth=1, linestyle=":", label="rate")
    rate.set_ylabel("learning rate")
    loss.legend(handles=[*loss.get_lines(), *rate.get_lines()], loc="upper right", frameon=False)
    figure.savefig(to, format="png", dpi=120)


def _smoothed(values: Sequence[float]) -> list[float]:
    """An exponential mean, not biased towards its beginning."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = _SMOOTHED * total + value, _SMOOTHED * weight + 1
        smooth.append(total / weight)
    return smooth
