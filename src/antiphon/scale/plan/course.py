"""The course of a run: it begins with all places taken, and ends with the longest traces alone.

While there are traces to begin, all places are taken, and each trace goes on at an even pace. When there are none, the
rest grow fewer and go on faster, as the servers have less to do. So lengths are counted not in seconds but in work, of
which one of m traces in flight does X(m) / m a second. In which order traces end does not depend on how fast that is.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from antiphon.scale.plan.law import Array

PLAYED = 3
"""Generations of traces that are played one by one; more of them go by at the pace of full places."""


class Course(NamedTuple):
    """When places are taken, in work of one trace.

    Attributes:
        full: for how long all places are taken.
        ends: when the traces end that are in flight then, ascending, from the beginning of `full`.
        work: of all traces together.
    """

    full: float
    ends: Array
    work: float

    def seconds(self, pace: Array) -> float:
        """How long it takes.

        Args:
            pace: work a second of each of m traces in flight, by m - 1, up to the number of places.
        """
        tail = np.diff(self.ends, prepend=self.full)
        left = len(self.ends) - np.arange(len(self.ends))
        return float(self.full / pace[len(self.ends) - 1] + (tail / pace[left - 1]).sum())

    @property
    def in_flight(self) -> float:
        """Traces in flight on average over the work done, which is what a mean over tokens sees."""
        left = len(self.ends) - np.arange(len(self.ends))
        tail = np.diff(self.ends, prepend=self.full)
        return float((self.full * len(self.ends) ** 2 + (tail * left**2).sum()) / max(self.work, 1e-12))


def course(lengths: Array, places: int, more: float = 0.0) -> Course:
    """Of traces that begin in this order as places become free.

    Args:
        lengths: in work, one a trace.
        places: for traces in flight.
        more: work of further traces, which keep all places taken in between.
    """
    ends = sorted(lengths[:places].tolist())
    full = 0.0
    for length in lengths[places:].tolist():
        full = ends[0]
        heapq.heapreplace(ends, full + length)
    rest = more / places
    return Course(full + rest, np.sort(np.array(ends)) + rest, float(lengths.sum()) + more)
