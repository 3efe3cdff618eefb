"""Pilots of one configuration, put together: what may be drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from antiphon.errors import UsageError
from antiphon.scale.plan.law import Array, Station, paces, straight
from antiphon.scale.plan.pilot import PROCESS, Pilot
from antiphon.trace import Author

_APART = 1.5  # times as many traces in flight, at least, in the last pilot as in the first
_ANOTHER_TIME = 0.05  # by how much a machine's pace differs from one hour to another, which no pilot sees
_BLOCKS = 8  # parts of a pilot whose pace is compared with the law's

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Pilots, those with more traces in flight later. Arrays over traces are over those of all pilots, one pilot after
    the other.

    Attributes:
        problems: how many there are.
        problem, pilot: the number of each trace's.
        lengths: of each trace, in tokens at the pace of its pilot: how long it was under way, whatever was beside it.
        stray: by how much the pilots' pace strayed from the law, as the standard deviation of its logarithm.
    """

    pilots: Sequence[Pilot]
    problems: int
    problem: _Numbers
    pilot: _Numbers
    lengths: Array
    stray: float

    @property
    def largest(self) -> Pilot:
        """The one with most traces in flight."""
        return self.pilots[-1]

    @property
    def roles(self) -> list[Author]:
        """Those that took turns."""
        return list(self.largest.roles)

    def column(self, role: Author, name: str) -> Array:
        """A column of a role over all traces (see `pilot.Column`)."""
        return np.concatenate([getattr(pilot.roles[role], name) for pilot in self.pilots])

    def by_pilot(self, values: Array, weights: Array) -> Array:
        """The sum over each pilot's traces, weighted."""
        return np.bincount(self.pilot, values * weights, len(self.pilots)).astype(np.float64)

    def stations(self, weights: Array, own: Sequence[float] = ()) -> list[Station]:
        """Stations by the lines through the pilots, with the replicas that the pilots had.

        Args:
            weights: of each trace.
            own: see `_stations`.
        """
        return _stations(self.pilots, [weights[self.pilot == number] for number in range(len(self.pilots))], own)


def pool(pilots: Sequence[Pilot]) -> Pool:
    """Puts pilots together.

    Raises:
        UsageError: they are of different configurations, or nobody can learn from them what more traces in flight do.
    """
    pilots = sorted(pilots, key=lambda pilot: pilot.in_flight)
    _require_comparable(pilots)
    ids = list(dict.fromkeys(problem for pilot in pilots for problem in pilot.problems))
    numbers = {id: number for number, id in enumerate(ids)}
    stations = _stations(pilots, [np.ones(len(pilot.problems)) for pilot in pilots], ())
    ways = [paces(stations, int(pilot.flying.max())) for pilot in pilots]
    return Pool(
        pilots=pilots,
        problems=len(ids),
        problem=np.array([numbers[problem] for pilot in pilots for problem in pilot.problems]),
        pilot=np.repeat(np.arange(len(pilots)), [len(pilot.problems) for pilot in pilots]),
        lengths=np.concatenate([_lengths(pilot, pace) for pilot, pace in zip(pilots, ways, strict=True)]),
        stray=_stray(pilots, ways),
    )


def _require_comparable(pilots: Sequence[Pilot]) -> None:
    first, last = pilots[0], pilots[-1]
    for pilot in pilots:
        if pilot.fingerprint != first.fingerprint:
            raise UsageError(
                f"{first.directory} and {pilot.directory} were written by different configurations; write both pilots "
                "with the same settings, and only --concurrency another"
            )
        if list(pilot.waits) != list(first.waits):
            raise UsageError(
                f"{first.directory} and {pilot.directory} had other roles at work, or shared their servers otherwise; "
                "write both pilots with the same servers"
            )
    if last.in_flight < _APART * first.in_flight:
        there = " and ".join(f"{pilot.in_flight:.0f}" for pilot in pilots)
        raise UsageError(
            f"pilots at two concurrencies are needed, and there were {there} traces in flight on average: write another"
            " into a run directory of its own, with --concurrency 8 times as high or low (servers with few slots keep "
            "it low)"
        )


def _stations(pilots: Sequence[Pilot], weights: Sequence[Array], own: Sequence[float]) -> list[Station]:
    """The line of a role's servers goes through how long a kept token took in each pilot, by the traces there.

    Turns are timed by this process, and one that is busy sees late that they are over: of what turns take longer in the
    larger pilots, as much may be its own as the share of the time for which it is busy.

    Args:
        own: by station, how much of that is: from 0, nothing, to 1; nothing where nothing is said. Beyond the pilots
            the servers' lines are less steep by it.
    """
    last = pilots[-1]
    waits = [
        {name: tuple(float(values @ each) for values in found) for name, found in pilot.waits.items()}
        for pilot, each in zip(pilots, weights, strict=True)
    ]
    cycles = [sum(seconds for _, seconds in found.values()) for found in waits]
    whole, _ = waits[-1][PROCESS]
    processing = last.processing or 0.0
    busy = min(1.0, processing * last.in_flight * whole / cycles[-1])
    stations = []
    for place, name in enumerate(last.waits):
        if name == PROCESS:
            kept, between = waits[0][PROCESS]
            alone = between / max(1.0, kept)
            stations.append(Station(name, 1.0, alone, processing, 0.0, processing))
            continue
        points = [
            (pilot.in_flight * found[name][1] / cycle / pilot.replicas[name], found[name][1] / max(1.0, found[name][0]))
            for pilot, found, cycle in zip(pilots, waits, cycles, strict=True)
        ]
        alone, more = straight(points)
        stations.append(
            Station(
                name,
                max(1.0, waits[-1][name][0]) / max(1.0, whole),
                alone,
                more,
                seen=points[-1][0],
                beyond=more * (1 - (own[place] if own else 0.0) * busy),
                replicas=last.replicas[name],
            )
        )
    return stations


def _lengths(pilot: Pilot, pace: Array) -> Array:
    """Traces of which nobody knows how long they took are as long as what was kept of them."""
    speed = pace[np.maximum(pilot.flying[:-1].astype(int) - 1, 0)]
    done = np.concatenate([[0.0], np.cumsum(speed * np.diff(pilot.moments))])
    began, ended = (np.interp(moments, pilot.moments, done) for moments in pilot.spans)
    kept = np.sum([column.kept for column in pilot.roles.values()], axis=0)
    lengths = ended - began
    known = ~np.isnan(lengths)
    return np.asarray(np.where(known, lengths * kept[known].sum() / lengths[known].sum(), kept), dtype=np.float64)


def _stray(pilots: Sequence[Pilot], ways: Sequence[Array]) -> float:
    """By the tokens that were written in parts of each pilot, to those that the law has there. What differs because a
    part has few turns, which are long or short, is no straying."""
    found, weights, by_chance = [], [], []
    for pilot, pace in zip(pilots, ways, strict=True):
        flying = pilot.flying[:-1]
        speed = pace[np.maximum(flying.astype(int) - 1, 0)] * flying
        done = np.concatenate([[0.0], np.cumsum(speed * np.diff(pilot.moments))])
        edges = np.linspace(pilot.settled, pilot.moments[-1], _BLOCKS + 1)
        expected = np.diff(np.interp(edges, pilot.moments, done))
        began, ended, kept = pilot.turned
        part = np.clip((edges[:, None] - began) / np.maximum(ended - began, 1e-9), 0, 1)  # of each turn, by each edge
        written = np.diff(part @ kept)
        squares = np.diff(part @ kept**2)
        seen = (expected > 0) & (written > 0)
        found += np.log(written[seen] / expected[seen]).tolist()
        weights += (written[seen] / written.sum()).tolist()
        by_chance += (squares[seen] / written[seen] ** 2).tolist()
    middle = np.average(found, weights=weights)
    spread = np.average((np.array(found) - middle) ** 2, weights=weights) - np.average(by_chance, weights=weights)
    return float(np.sqrt(max(0.0, spread) + _ANOTHER_TIME**2))
