"""How fast traces go, by how many are in flight: a closed network of stations.

A trace in flight is always at one station: in a turn of a role, at one of its servers, or with this process. Servers
that decode many sequences at once take longer for each the more there are, very nearly in a straight line: a kept token
takes `alone + more * n` seconds (what is read before it and thrown away behind it included) where n traces share a
replica. So a replica gives n / (alone + more * n) of them a second, and never more than 1 / more. With x a second at a
replica, Little's law (n = x * seconds) gives the traces there:

    n(x) = x * alone / (1 - x * more)

and the rate of the whole is that with which the traces at all stations add up to those in flight. Beyond as many as
were seen at a replica the line may go on less steeply (`beyond`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_HALVINGS = 40
_KNOTS = 48  # numbers of traces in flight at which the law is solved; between them it is straight
_NEARLY, _NEXT_TO_NOTHING = 1 - 1e-9, 1e-12


class Station(NamedTuple):
    """Where turns are waited for. What is told of it may be arrays: of many networks at once, which all have the same
    stations (`together`).

    Attributes:
        share: of all kept tokens, those that are written here.
        alone: seconds of a token where no other trace is.
        more: seconds more for each trace at the same replica, up to so many as were `seen` there, and `beyond` that.
    """

    name: str
    share: Array | float
    alone: Array | float
    more: Array | float
    seen: Array | float
    beyond: Array | float
    replicas: int = 1

    @property
    def capacity(self) -> Array:
        """Tokens a second, all of the run's counted, that it lets through at most; infinite where no limit was seen."""
        with np.errstate(divide="ignore"):
            return np.divide(self.replicas, np.multiply(self.share, self.beyond), dtype=np.float64)

    def there(self, rate: Array) -> Array:
        """How many traces are at each replica, with so many tokens a second in all."""
        each = rate * self.share / self.replicas
        below = each * self.alone / np.maximum(1 - each * self.more, _NEXT_TO_NOTHING)
        bent = self.alone + (np.asarray(self.more) - self.beyond) * self.seen
        above = each * bent / np.maximum(1 - each * self.beyond, _NEXT_TO_NOTHING)
        return np.where(below <= self.seen, below, above)


def together(networks: Sequence[Sequence[Station]]) -> list[Station]:
    """Many networks with the same stations as one, whose stations tell arrays with a row for each network."""

    def rows(stations: Sequence[Station], name: str) -> Array:
        return np.array([[getattr(station, name)] for station in stations], dtype=np.float64)

    return [
        stations[0]._replace(**{name: rows(stations, name) for name in ("share", "alone", "more", "seen", "beyond")})
        for stations in zip(*networks, strict=True)
    ]


def straight(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """`alone` and `more` of the line through pairs of traces at a replica and seconds of a token; neither below 0.

    A line that would begin below 0 is one from 0 through the last point: a station that was crowded in all pilots. One
    that falls is level at the last point.

    Args:
        points: by traces at the replica, ascending.
    """
    there, seconds = map(np.array, zip(*points, strict=True))
    spread = ((there - there.mean()) ** 2).sum()
    more = float(((there - there.mean()) * (seconds - seconds.mean())).sum() / spread) if spread else 0.0
    alone = float(seconds.mean() - more * there.mean())
    if more <= 0:
        return float(seconds[-1]), 0.0
    if alone < 0:
        return 0.0, float(seconds[-1] / there[-1])
    return alone, more


def rates(stations: Sequence[Station], in_flight: Array) -> Array:
    """Kept tokens a second with so many traces in flight each; of many networks at once, a row for each."""
    most = np.minimum.reduce([station.capacity for station in stations]) * _NEARLY
    alone = sum((np.multiply(station.share, station.alone) for station in stations), start=np.zeros(1))
    high = np.minimum(most, in_flight / np.maximum(alone, _NEXT_TO_NOTHING))
    low: Array = np.zeros_like(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        there = sum((station.there(middle) * station.replicas for station in stations), start=np.zeros(1))
        fits = there <= in_flight
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def paces(stations: Sequence[Station], places: int) -> Array:
    """Kept tokens a second of each of m traces in flight, by m - 1, up to so many; of many networks, a row for each."""
    knots = np.unique(np.geomspace(1, places, _KNOTS).round())
    numbers = np.arange(1, places + 1, dtype=np.float64)
    found = rates(stations, knots)
    if len(knots) == 1:
        return found
    right = np.clip(np.searchsorted(knots, numbers), 1, len(knots) - 1)
    part = (numbers - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray((found[..., right - 1] * (1 - part) + found[..., right] * part) / numbers, dtype=np.float64)
