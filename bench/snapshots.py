"""What a snapshot of a large run directory takes: bytes and seconds, by what is new in it. Prints a table.

python -m bench.snapshots --gb 10 --work FOLDER

The directory is written first, and kept in the folder for the next time; the first snapshot is all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from array import array
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

from antiphon.problem import Problem
from antiphon.scale.snapshot import Snapshots
from antiphon.store import Store
from antiphon.store.place import DATABASE
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status, Turn

SPANS = 100  # of a trace
WORDS = 60  # of a span
NEW_MB = (0, 1, 10, 100)
IN_FLIGHT = 512
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def spans() -> Iterator[Span]:
    """Some thousand, again and again: words that compress about as language does."""
    chance = random.Random(1)
    words = ["".join(chance.choices(_LETTERS, range(26, 0, -1), k=chance.randint(2, 9))) for _ in range(4_000)]
    made = []
    for number in range(4_000):
        text = " ".join(chance.choices(words, range(4_000, 0, -1), k=WORDS)) + " "
        author, kind = ((Author.STUDENT, Kind.STYLE), (Author.TEACHER, Kind.CAPABILITY))[number % 2]
        ids = array("I", [chance.randrange(150_000) for _ in range(WORDS * 4 // 3)])
        made.append(Span(author, kind, text, ids, end=SpanEnd.BOUNDARY))
    return cycle(made)


class Writer:
    """Writes traces, some of them in flight at any time."""

    def __init__(self, store: Store, names: Iterator[int]):
        self._store, self._names, self._spans = store, names, spans()
        self._open: list[tuple[Any, int]] = []

    def _begin(self, number: int) -> None:
        names = [f"p{next(self._names)}" for _ in range(number)]
        self._store.add_problems([Problem(name, ({"role": "user", "content": f"What is {name}?"},)) for name in names])
        keys = [Key(name, "tessy", 0) for name in names]
        self._store.plan(keys)
        for key in keys:
            recorder = self._store.recorder(key)
            recorder.begin()
            self._open.append((recorder, 0))

    async def write(self, size: int) -> int:
        """Writes about so many bytes of text and ids; how many there were."""
        written = 0
        while written < size:
            if len(self._open) < IN_FLIGHT:
                self._begin(IN_FLIGHT - len(self._open))
            for place, (recorder, position) in enumerate(self._open):
                await recorder.ready()
                span = next(self._spans)
                recorder.close_span(position, span)
                recorder.turn(Turn(span.author, "here", 128, 90, 80, WORDS, True, 1.0, requests=1, span=position))
                written += len(span.text) + 4 * len(span.ids)
                self._open[place] = recorder, position + 1
                if position + 1 == SPANS:
                    await recorder.finish(Status.COMPLETE)
                if written >= size:
                    break
            self._open = [each for each in self._open if each[1] < SPANS]
        await self._store.flush()
        return written


def measured(work: Path, size: float) -> list[dict[str, Any]]:
    """A row for each amount that is new, and one for the first snapshot."""
    local, folder = work / "run", work / "snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    names = count(time.time_ns())
    snapshots = Snapshots(local, folder)
    snapshots.claim()
    rows = []

    def row(new: int) -> None:
        began, cpu = time.monotonic(), time.process_time()
        taken = snapshots.take()
        rows.append(
            {
                "directory_gb": round((local / DATABASE).stat().st_size / 1e9, 2),
                "new_mb": round(new / 1e6, 2),
                "snapshot_mb": round(taken / 1e6, 3),
                "seconds": round(time.monotonic() - began, 2),
                "cpu_s": round(time.process_time() - cpu, 2),
            }
        )

    with Store.open(local) as store:
        store.add_variant("tessy", {"method": "tessy"}, {})
        writer = Writer(store, names)
        lacking = size * 1e9 - (local / DATABASE).stat().st_size
        if lacking > 0:
            row(asyncio.run(writer.write(int(lacking * 0.85))))
        asyncio.run(writer.write(10_000_000))  # so many are in flight
        snapshots.take()
        for new in NEW_MB:
            row(asyncio.run(writer.write(new * 1_000_000)) if new else 0)
    snapshots.close()
    return rows


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=10.0)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    for each in measured(given.work, given.gb):
        print(json.dumps(each))


if __name__ == "__main__":
    main()
