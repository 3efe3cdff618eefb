"""What a large export takes: `python -m bench.exports [--traces 1000000] [--format messages] [--to x.jsonl]`.

The run's first 20,000 traces are made through the store, as a run makes them, and copied in its database as further
samples. The export is a process of its own; its time, the most memory it had and the bytes it wrote are told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from antiphon.engine.model_files import ModelFiles
from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.store.place import DATABASE
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status

TOGETHER = 2_000
"""Traces that are finished at once."""
SAMPLES = 10
"""Traces of a problem that are made."""
MADE = 20_000
"""Traces that are made; the others are copies."""


def _problem(number: int) -> Problem:
    return Problem(f"q{number:07}", ({"role": "user", "content": f"What is {number} times {number % 97}?"},))


def _spans() -> list[Span]:
    """A trace of six spans, 400 characters."""
    encode = ModelFiles.read("lab:student").vocabulary.encode
    texts = (
        (Author.NONE, Kind.MARKER, "<think>\n"),
        (Author.STUDENT, Kind.STYLE, "Okay, let me see, "),
        (Author.TEACHER, Kind.CAPABILITY, "units 3x3=9 and then tens 2x3=6+0=6, hundreds 3x3=9+0=9 " * 3),
        (Author.STUDENT, Kind.STYLE, "hmm, so that makes "),
        (Author.TEACHER, Kind.CAPABILITY, "total 969 as 300*3 + 20*3 + 3*3 = 900 + 60 + 9 " * 2),
        (Author.NONE, Kind.MARKER, "\n</think>\n\n"),
        (Author.STUDENT, Kind.ANSWER, "So it is 969."),
    )
    return [Span(author, kind, text, encode(text), IdsFrom.SAMPLED, SpanEnd.BOUNDARY) for author, kind, text in texts]


async def _finish(store: Store, keys: Sequence[Key]) -> None:
    spans = _spans()
    for at in range(0, len(keys), TOGETHER):
        recorders = [store.recorder(key) for key in keys[at : at + TOGETHER]]
        for recorder in recorders:
            recorder.begin()
            for position, span in enumerate(spans):
                recorder.close_span(position, span)
        await asyncio.gather(*(one.finish(Status.COMPLETE, closed_by=Author.STUDENT) for one in recorders))
        if at % (50 * TOGETHER) == 0:
            print(f"{at:,} traces made", file=sys.stderr, flush=True)


def make(directory: Path, traces: int) -> None:
    """A run directory with about so many finished traces."""
    identity, made = ModelFiles.read("lab:student").identity, min(traces, MADE)
    with Store.open(directory) as store:
        store.add_problems(map(_problem, range(made // SAMPLES)))
        store.add_variant("tessy", {"student": {"engine": identity}}, {"student": {"model": "lab:student"}})
        keys = [Key(f"q{n // SAMPLES:07}", "tessy", n % SAMPLES) for n in range(made // SAMPLES * SAMPLES)]
        store.plan(keys)
        asyncio.run(_finish(store, keys))
    with contextlib.closing(sqlite3.connect(directory / DATABASE)) as connection, connection:
        (changes,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
        for copy in range(1, traces // made):
            shift = {"made": made, "traces": copy * made, "samples": copy * SAMPLES, "changes": copy * changes}
            connection.execute(
                """INSERT INTO traces SELECT number + :traces, problem, variant, sample + :samples, status, cause,
                closed_by, started, finished, change + :changes FROM traces WHERE number <= :made""",
                shift,
            )
            connection.execute(
                """INSERT INTO spans SELECT trace + :traces, position, author, kind, text, ids, ids_from, end,
                confidence, words, forced, reencoded, change + :changes FROM spans WHERE trace <= :made""",
                shift,
            )
        connection.execute("UPDATE meta SET value = value * :copies WHERE name = 'change'", {"copies": traces // made})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--format", default="messages")
    parser.add_argument("--to", default="x.jsonl")
    parser.add_argument("--work", type=Path, help="where the run is, and stays")
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp())
    run = work / f"run{given.traces}"
    if not run.exists():
        make(run, given.traces)
    target = work / given.to
    began = time.monotonic()
    arguments = ["export", run, "--format", given.format, "--to", target, "--overwrite"]
    child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "antiphon", *map(str, arguments)])
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    files = [target] if target.is_file() else [one for one in target.rglob("*") if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    print(
        f"{given.format} to {given.to}: {given.traces:,} traces, exit {os.waitstatus_to_exitcode(status)},"
        f" {seconds:.0f} s, {usage.ru_maxrss / 1024:.0f} MB of memory, {size / 1e6:.0f} MB written"
    )
    if given.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
