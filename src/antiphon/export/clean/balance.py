"""As many answers of each difficulty, source, or whatever a field of the problems says."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from antiphon.errors import UsageError
from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.export.base import Pair
    from antiphon.store import Outcome
    from antiphon.trace import Key

MISSING = "(none)"


class Balance:
    """Keeps so many answers at most of each value of a field of their problems. Which ones is drawn by a hash of their
    keys, the same at every export. Takes 8 bytes an answer.

    Args:
        field: of the problems' metadata. Problems that lack it are counted together, as `MISSING`.
        most: how many; None: as many as the rarest value has (`MISSING` apart).
    """

    def __init__(self, field: str, most: int | None = None):
        self._field, self._most = field, most
        self._counts: dict[str, int] = {}
        self._last: dict[str, int] = {}  # the highest hash that is kept of a value

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """See `Filter.prepare`.

        Raises:
            UsageError: no problem has the field.
        """
        drawn: dict[str, array[int]] = {}
        for problem, outcome in pairs:
            drawn.setdefault(self._value(problem), array("Q")).append(_draw(outcome.key))
        self._counts = {value: len(hashes) for value, hashes in sorted(drawn.items())}
        told = [count for value, count in self._counts.items() if value != MISSING]
        if drawn and not told:
            raise UsageError(f"--balance {self._field}: no problem of this run has that field; name another")
        most = self._most if self._most is not None else min(told, default=0)
        for value, hashes in drawn.items():
            if len(hashes) > most:
                self._last[value] = int(np.partition(np.frombuffer(hashes, np.uint64), most - 1)[most - 1])
        self._most = most

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        """See `Filter.reason`."""
        last = self._last.get(self._value(problem))
        if last is None or _draw(outcome.key) <= last:
            return None
        return f"beyond {self._most} of one {self._field}"

    def detail(self, problem: Problem, outcome: Outcome) -> Mapping[str, Any]:
        """See `Cleaner.detail`."""
        return {self._field: self._value(problem)}

    def report(self) -> Mapping[str, Any]:
        """See `Cleaner.report`."""
        return {"balance": self._field, "most": self._most, "values": self._counts}

    def _value(self, problem: Problem) -> str:
        value = problem.metadata.get(self._field)
        if value is None:
            return MISSING
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _draw(key: Key) -> int:
    """A number that has nothing to do with the order of things."""
    spelled = repr(tuple(key)).encode("ascii", "backslashreplace")
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest())
