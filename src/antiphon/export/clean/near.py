"""One of several problems that say nearly the same: MinHash, and buckets in which alike problems meet."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from antiphon.errors import UsageError
from antiphon.export.clean.words import Hashes, asked, runs, words
from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.export.base import Pair
    from antiphon.store import Outcome

REASON = "near-duplicate problem"
_LEAST = 0.5
_RUN = 3
_HASHES = 128
_BYTE = 256
_ROUNDS = 64  # problems of one bucket that others in it are compared with

_draws = np.random.Generator(np.random.PCG64(20))
_FACTORS = _draws.integers(0, 1 << 63, _HASHES, np.uint64) * np.uint64(2) + np.uint64(1)
_ADDED = _draws.integers(0, 1 << 63, _HASHES, np.uint64)


class NearDuplicates:
    """Leaves out all answers to a problem that is nearly the same as an earlier one that stays.

    How alike two problems are is the share of runs of three words (numbers as they stand) that they have in common of
    all that they have, estimated by 128 minima of which a byte each is kept: give or take 0.04. Compared are those that
    share four bytes in one of 32 places: of pairs that are 0.8 alike one in ten million is missed, at 0.5 one in eight.
    Takes about 300 bytes a problem.

    Args:
        threshold: how alike, from 0.5 to 1.

    Raises:
        UsageError: a threshold outside of that.
    """

    def __init__(self, threshold: float):
        if not _LEAST <= threshold <= 1:
            raise UsageError(f"near-duplicates are at least {_LEAST} and at most 1 alike, not {threshold}")
        self._threshold = threshold
        self._problems: dict[str, int] = {}
        self._twins: dict[str, tuple[str, float]] = {}

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """See `Filter.prepare`."""
        sketches = array("B")
        for problem, _ in pairs:
            if problem.id not in self._problems:
                self._problems[problem.id] = len(self._problems)
                sketches.frombytes(_sketch(problem).tobytes())
        ids = list(self._problems)
        matrix = np.frombuffer(sketches, np.uint8).reshape(-1, _HASHES)
        for later, earlier, alike in _first_twins(matrix, self._threshold):
            self._twins[ids[later]] = ids[earlier], round(alike, 2)

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        """See `Filter.reason`."""
        return REASON if problem.id in self._twins else None

    def detail(self, problem: Problem, outcome: Outcome) -> Mapping[str, Any]:
        """See `Cleaner.detail`."""
        twin, alike = self._twins[problem.id]
        return {"twin": twin, "alike": alike}

    def report(self) -> Mapping[str, Any]:
        """See `Cleaner.report`."""
        return {"near_duplicates": self._threshold, "problems": len(self._problems), "removed": len(self._twins)}


def _sketch(problem: Problem) -> NDArray[np.uint8]:
    """A byte of each of the minima."""
    text = asked(problem)
    said = words(text) or [repr(text)]
    hashes = np.unique(runs(said, min(_RUN, len(said))))
    minima: Hashes = (hashes[:, None] * _FACTORS + _ADDED).min(axis=0)
    return (minima >> np.uint64(20)).astype(np.uint8)


def _first_twins(sketches: NDArray[np.uint8], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Each problem that is to go, the earlier one that stays for it, and how alike they are."""
    removed: set[int] = set()
    for later, earlier in sorted(_alike(sketches, threshold).items()):
        stays = next((first for first in sorted(earlier) if first not in removed), None)
        if stays is not None:
            removed.add(later)
            yield later, stays, earlier[stays]


def _alike(sketches: NDArray[np.uint8], threshold: float) -> dict[int, dict[int, float]]:
    """For the later one of two that are alike, the earlier ones and how alike."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for keys in sketches.view(np.uint32).T:
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        starts = np.concatenate(([0], ends)) if len(order) else ends
        for start, end in zip(starts, np.append(ends, len(order)), strict=False):
            bucket = order[start:end]
            for _ in range(min(_ROUNDS, len(bucket) - 1)):
                first, bucket = bucket[0], bucket[1:]
                equal = (sketches[bucket] == sketches[first]).mean(axis=1)
                alike = (equal * _BYTE - 1) / (_BYTE - 1)  # two bytes are the same by chance, too
                close = alike >= threshold
                for later, how in zip(bucket[close].tolist(), alike[close].tolist(), strict=True):
                    found[later][int(first)] = how
                bucket = bucket[~close]
                if len(bucket) < 2:
                    break
    return found
