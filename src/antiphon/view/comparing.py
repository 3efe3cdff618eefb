"""Comparisons for a page, each made in a process of its own, so that neither pages nor memory wait for it.

`python -m antiphon.view.comparing`, asked on standard input in JSON, answers with a pickle of what came of it. What is
cheap is compared; likelihood only if it was measured before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from antiphon.errors import AntiphonError, UsageError

if TYPE_CHECKING:
    from antiphon.analyse.report import Comparison
    from antiphon.analyse.source import Side

_BOUNDARY = "default"
_SCORES = Path("likelihoods")

_WAIT = 2.0  # seconds that a request waits, before its page says that it takes longer
_KEPT = 8
_PROBLEMS = 2_000  # of each side; the command takes all


class Asked(NamedTuple):
    """What is to be compared: variants by directory and name, the others held against the first; the predictor that
    marks style where the record does not, None: nobody; a file of scores, None: no likelihood."""

    variants: tuple[tuple[str, str], ...]
    boundary: str | None = None
    scores: str | None = None


class Made(NamedTuple):
    """What came of it, and the change numbers that the variants' runs had when it was begun."""

    comparison: Comparison
    changes: tuple[int, ...]


class Comparisons:
    """Makes comparisons, one at a time, and keeps the last ones. For any thread.

    Args:
        boundary: who marks style where the record does not, None: nobody.
        scores: the folder where likelihoods are kept.
    """

    def __init__(self, boundary: str | None = _BOUNDARY, scores: Path = _SCORES) -> None:
        self.boundary = boundary
        self._scores = scores
        self._lock = threading.Lock()
        self._kept: dict[Asked, Made | str] = {}
        self._job: _Job | None = None

    def get(self, asked: Asked, changes: tuple[int, ...], wait: float = _WAIT) -> Made | None:
        """A comparison, begun if it is not there; None: it is not ready yet, ask again.

        Raises:
            UsageError: it cannot be made.
        """
        with self._lock:
            self._collect()
            if asked not in self._kept and self._job is None:
                self._job = _Job(asked, changes)
            job = self._job
        if job is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                job.process.wait(wait)
        with self._lock:
            self._collect()
            found = self._kept.get(asked)
        if isinstance(found, str):
            self.forget(asked)
            raise UsageError(found)
        return found

    def scores(self) -> list[Path]:
        """The files of likelihoods that are there, the newest first."""
        with contextlib.suppress(OSError):
            return sorted(self._scores.glob("*.jsonl"), key=lambda file: -file.stat().st_mtime)
        return []

    def forget(self, asked: Asked) -> None:
        """Has a comparison made anew when it is asked for next."""
        with self._lock:
            self._kept.pop(asked, None)

    def close(self) -> None:
        """Ends what is being made."""
        with self._lock:
            if self._job is not None:
                self._job.process.kill()
                self._job.process.wait()
                self._job = None

    def _collect(self) -> None:
        if self._job is not None and self._job.process.poll() is not None:
            self._kept[self._job.asked] = self._job.result()
            self._job = None
            for oldest in list(self._kept)[:-_KEPT]:
                del self._kept[oldest]


class _Job:
    """A comparison that is being made."""

    def __init__(self, asked: Asked, changes: tuple[int, ...]):
        self.asked = asked
        self._changes = changes
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as question:
            question.write(json.dumps(asked).encode())
            question.seek(0)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "antiphon.view.comparing"],
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
            )

    def result(self) -> Made | str:
        with self._answer as answer:
            answer.seek(0)
            if self.process.returncode:
                return "comparing these broke off; antiphon compare, with the same variants, says why"
            told: Comparison | str = pickle.load(answer)
        return told if isinstance(told, str) else Made(told, self._changes)


async def _compare(asked: Asked) -> Comparison:
    import antiphon.boundary
    from antiphon.analyse.compare import compare
    from antiphon.analyse.scores import Kept

    parent = os.getppid()

    def done() -> None:
        if os.getppid() != parent:  # nobody waits for it any more
            raise SystemExit

    sides = [_side(Path(directory), variant) for directory, variant in asked.variants]
    left_out = _cut(sides)
    predictor = None if asked.boundary is None else antiphon.boundary.load(asked.boundary)
    scorer = None if asked.scores is None else Kept(Path(asked.scores))
    made = await compare(sides, predictor=predictor, scorer=scorer, done=done)
    if not any(table.name == "likelihood" for table in made.tables):
        made = replace(made, under=None, curves=())
    remark = f"these are {_PROBLEMS:,} of the problems, chosen by chance; antiphon compare takes all {left_out:,}"
    return replace(made, remarks=(remark, *made.remarks)) if left_out else made


def _side(directory: Path, name: str) -> Side:
    from antiphon.analyse.source import RunSide
    from antiphon.store import Reader

    with Reader(directory) as reader:
        for variant in reader.variants():
            if variant.name == name:
                return RunSide(str(directory), reader, variant)
    raise UsageError(f"{directory} has no variant {name!r} any more")


def _cut(sides: Sequence[Side]) -> int:
    """Leaves the same problems in all sides, if there are too many for a page; how many there were, or 0."""
    from antiphon.analyse.source import rank

    problems = {entry.problem for side in sides for entry in side.entries}
    if len(problems) <= _PROBLEMS:
        return 0
    kept = frozenset(sorted(problems, key=rank)[:_PROBLEMS])
    for side in sides:
        side.entries = [entry for entry in side.entries if entry.problem in kept]
    return len(problems)


def _main() -> None:
    os.nice(10)
    variants, boundary, scores = json.load(sys.stdin)
    asked = Asked(tuple((directory, name) for directory, name in variants), boundary, scores)
    told: Comparison | str
    try:
        told = asyncio.run(_compare(asked))
    except AntiphonError as error:
        told = str(error)
    pickle.dump(told, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
