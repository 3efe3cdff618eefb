"""How long the commands take on a large run that is finished: `python -m bench.store --finished --work FOLDER`.

The run has 100,000 finished traces, 2,000 of them with 1,300 spans, made through the store as a run makes them: those
of a batch grow side by side, with a turn to each span. Beside them are problems of the simulated pair that are still to
be written; each resume writes a few. Every command is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, cycle
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Turn, Word, pack_ids, pack_words
from bench.simulator import Pair, flags, problems, simulated_pairs, statement

ROOT = Path(__file__).parents[1]
VARIANT = "tessy"
LONG_EVERY, LONG, SHORT = 50, 1300, 20
"""Every so many traces one is long; spans of thinking in a long one and in the others."""
TOGETHER = 500
"""Traces that grow side by side."""
RESUMED = 4
"""Problems that a resume writes."""
EXTRA = "sim-"
"""What the ids of the problems begin with that are left to resumes."""

STYLE = "Okay, so Wait, let me check Hmm, maybe now then Alright, but actually I think"
CAPABILITY = (
    "the sum of parts is 196 so we have n = 14 × 14 and each order takes at most k ≤ 7 of them which leaves "
    "(a + b) // 2 on the shelf; therefore for day 3 it follows that x[i] = x[i-1] - 5 and the remainder is 42."
)

# -- the run


def asked(number: int) -> Problem:
    """A problem of half a thousand characters, with metadata as sets of problems have them."""
    text = (
        f"Problem {number}. A shop receives {number % 97 + 3} boxes of {number % 13 + 2} parts each morning and sends "
        f"out {number % 31 + 1} orders a day, every order of at most {number % 7 + 1} parts. Boxes that were opened "
        "are counted in the evening, and what is left in them is put on the shelf for the next day. Given the orders "
        "of one week in the order in which they came, find the first day on which the shelf is empty and how many "
        "parts have been sent out until then. Show how you come to the result and give the two numbers at the end."
    )
    answer = f"{number % 7} and {number * 31 % 9973}"
    return Problem(
        f"q{number:06}", ({"role": "user", "content": text},), {"answer": answer, "difficulty": number % 5 + 1}
    )


def _spans(author: Author, words: Sequence[str], least: int, most: int, chance: random.Random) -> list[Span]:
    """A stock of spans of one author: words with their verdicts, and somewhat more ids than words."""
    kind = Kind.STYLE if author is Author.STUDENT else Kind.CAPABILITY
    spans = []
    for _ in range(1000):
        chosen = chance.choices(words, k=chance.randint(least, most))
        text, ends = "", []
        for word in chosen:
            text += word + " "
            ends.append(len(text) - 1)
        ids = pack_ids(chance.randrange(150_000) for _ in range(len(chosen) * 4 // 3))
        packed = pack_words(Word(end, kind is Kind.STYLE, 0.9) for end in ends)
        spans.append(Span(author, kind, text, ids, IdsFrom.SAMPLED, SpanEnd.BOUNDARY, 0.9, packed))
    return spans


def _stock() -> tuple[list[Span], list[Span], Span]:
    """Style spans, of 2.5 words in the mean, capability spans of 4 to 40 words, an answer."""
    chance = random.Random(20261126)
    answer = Span(Author.STUDENT, Kind.ANSWER, "The shelf is empty on day 5; 196 parts were sent out. " * 6)
    return (
        _spans(Author.STUDENT, STYLE.split(), 1, 4, chance),
        _spans(Author.TEACHER, CAPABILITY.split(), 4, 40, chance),
        answer,
    )


def _turn(span: Span, index: int) -> Turn:
    kept = len(span.ids)
    words = len(span.words) // 6
    return Turn(span.author, "http", 64, kept + 3, kept, words, True, 0.3, cached=800, span=index, prompt=900, told=900)


async def _write(store: Store, keys: Sequence[Key]) -> None:
    """Finishes traces that grow side by side."""
    style, capability, answer = _stock()
    pools = (cycle(capability), cycle(style))
    marker = Span(Author.STUDENT, Kind.MARKER, "<think>\n", pack_ids([151667, 198]), IdsFrom.SAMPLED)
    close = Span(Author.STUDENT, Kind.MARKER, "\n</think>\n\n", pack_ids([151668, 271]), IdsFrom.SAMPLED)
    for at in range(0, len(keys), TOGETHER):
        recorders = [store.recorder(key) for key in keys[at : at + TOGETHER]]
        lengths = [SHORT if number % LONG_EVERY else LONG for number in range(len(recorders))]
        for recorder in recorders:
            recorder.begin()
            recorder.close_span(0, marker)
        growing = list(zip(recorders, lengths, strict=True))
        for position in range(1, LONG + 1):
            growing = [(recorder, length) for recorder, length in growing if length >= position]
            for recorder, _ in growing:
                span = next(pools[position % 2])
                recorder.close_span(position, span)
                recorder.turn(_turn(span, position))
            await recorders[0].ready()
        for recorder, length in zip(recorders, lengths, strict=True):
            recorder.close_span(length + 1, close)
            recorder.close_span(length + 2, answer)
        await asyncio.gather(*(recorder.finish(Status.COMPLETE, closed_by=Author.STUDENT) for recorder in recorders))
        if at % (20 * TOGETHER) == 0:
            print(f"{at:,} traces made", file=sys.stderr, flush=True)


def _make(directory: Path, traces: int, extra: Sequence[Problem]) -> None:
    """Fills a run directory whose variant is there."""
    with Store.open(directory) as store:
        store.add_problems(map(asked, range(traces)))
        store.add_problems(extra)
        keys = [Key(f"q{number:06}", VARIANT, 0) for number in range(traces)]
        store.plan(keys)
        store.plan(Key(problem.id, VARIANT, 0) for problem in extra)
        asyncio.run(_write(store, keys))


def _write_problems(path: Path, some: Iterable[Problem]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for problem in some:
            file.write(json.dumps({"id": problem.id, "question": statement(problem), **problem.metadata}) + "\n")


# -- the commands


class Measured(NamedTuple):
    """What a command took: seconds until it ended, or until what was waited for; its CPU seconds; the most memory it
    had in bytes (or this process before it, where that is more)."""

    wall: float
    cpu: float
    memory: int


def command(*words: object, until: Callable[[], bool] = lambda: False) -> Measured:
    """Runs `antiphon` with these words, in a process of its own, to its end.

    Args:
        until: what is waited for, asked a hundred times a second.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        line = [sys.executable, "-m", "antiphon", *map(str, words)]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
        moment = None
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        while not ended:
            if moment is None and until():
                moment = time.monotonic()
            time.sleep(0.01)  # the pace of looking
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        wall = (moment or time.monotonic()) - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(line)} ended with {process.returncode}: {errors.read()}")
    return Measured(wall, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)


class Bench:
    """A finished run in a folder, made if it is not there, and the commands on it."""

    def __init__(self, work: Path, pair: Pair, traces: int):
        self._pair = pair
        self._traces = traces
        self._directory = work / f"run-{traces}"
        self._problems = work / f"problems-{traces}.jsonl"
        self.exported = work / "train.jsonl"
        self.database = self._directory / "run.sqlite"
        if not self._problems.exists():
            shutil.rmtree(self._directory, ignore_errors=True)
            self._make(work)

    def _make(self, work: Path) -> None:
        few = [Problem(EXTRA + each.id, each.messages) for each in problems(work, 512, spans=2, answer=60)]
        made = work / "problems.jsonl"
        _write_problems(made, few)
        command(*self._synth(made, RESUMED))  # for the variant, which must be that of the resumes
        # In a process of its own, whose memory is not taken for that of the commands.
        maker = multiprocessing.get_context("spawn").Process(target=_make, args=(self._directory, self._traces, few))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise RuntimeError("the run could not be made")
        _write_problems(made, chain(map(asked, range(self._traces)), few))
        made.rename(self._problems)

    def _synth(self, path: Path, limit: int) -> list[object]:
        values = (f"{name}={value}" for name, value in flags(self._pair, "ids", limit=limit).items())
        settings = (word for value in values for word in ("--set", value))
        return ["synth", path, "--run", self._directory, "--json", *settings]

    def status(self) -> Measured:
        """`antiphon status`, to its end."""
        return command("status", self._directory)

    def export(self) -> Measured:
        """`antiphon export`, to its end."""
        return command("export", self._directory, "--format", "tessy", "--to", self.exported, "--overwrite")

    def resume(self) -> Measured:
        """`antiphon synth`, until its first turn can be read in the run directory."""
        with Reader(self._directory) as reader:
            done = reader.counts()[Status.COMPLETE]
            pending = [trace.key for trace in reader.traces(status=[None])][:RESUMED]
            if not pending:
                raise RuntimeError(f"nothing is left to be written in {self._directory}; remove its folder")

            def turned() -> bool:
                return any(reader.turns(key) for key in pending)

            return command(*self._synth(self._problems, done + RESUMED), until=turned)


def measured(work: Path, traces: int, rounds: int) -> dict[str, Any]:
    """The three commands on such a run, medians.

    Args:
        work: a folder that keeps the run between calls.
    """
    work.mkdir(parents=True, exist_ok=True)
    with simulated_pairs(work) as (pair,):
        bench = Bench(work, pair, traces)
        found = {name: [getattr(bench, name)() for _ in range(rounds)] for name in ("status", "resume", "export")}
    row: dict[str, Any] = {"traces": traces, "database_mb": bench.database.stat().st_size // 10**6}
    for name, each in found.items():
        row[f"{name}_s"] = round(statistics.median(one.wall for one in each), 2)
        row[f"{name}_cpu_s"] = round(statistics.median(one.cpu for one in each), 2)
        row[f"{name}_rss_mb"] = max(one.memory for one in each) // 10**6
    size = bench.exported.stat().st_size
    row["export_mb"] = size // 10**6
    row["export_mb_per_s"] = round(size / 10**6 / row["export_s"], 1)
    return row
