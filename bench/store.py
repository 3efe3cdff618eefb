"""What the run directory costs. Each prints a table.

python -m bench.store                              recording: `--traces N` in flight, `--turns N` for each
python -m bench.store --finished --work FOLDER     status, resume and export of a large finished run
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from array import array
from pathlib import Path

from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Turn, Word, pack_words

TEXT = "so the next step is to add the carry to "
WORDS = pack_words(Word(end, True, 0.9) for end in range(4, len(TEXT), 4))
SPAN = Span(Author.STUDENT, Kind.STYLE, TEXT, array("I", range(12)), IdsFrom.SAMPLED, SpanEnd.BOUNDARY, 0.9, WORDS)
TURN = Turn(Author.STUDENT, "local", 64, 16, 12, 10, True, 0.05, cached=800, span=1)


def row(what: str, figure: float, unit: str) -> None:
    print(f"{what:<64}{figure:>12,.1f} {unit}")


def planned(store: Store, traces: int) -> list[Key]:
    store.add_problems(Problem(f"p{n}", ({"role": "user", "content": f"question {n}"},), {}) for n in range(traces))
    store.add_variant("tessy", {"budget": 1}, {})
    keys = [Key(f"p{n}", "tessy", 0) for n in range(traces)]
    store.plan(keys)
    return store.pending("tessy")


async def record(directory: Path, traces: int, turns: int) -> None:
    """All traces side by side, as fast as they come."""
    with Store.open(directory) as store:
        began = time.perf_counter()
        keys = planned(store, traces)
        row("planning one trace", (time.perf_counter() - began) / traces * 1e6, "us")
        began = time.perf_counter()
        recorders = [store.recorder(key) for key in keys if not store.saved(key).spans]
        row("taking up one trace", (time.perf_counter() - began) / traces * 1e6, "us")
        order = random.Random(0)
        cpu, own = time.process_time(), 0.0
        began = time.perf_counter()
        for turn in range(turns):
            for recorder in order.sample(recorders, len(recorders)):
                t = time.thread_time()
                recorder.close_span(turn, SPAN)
                recorder.turn(TURN)
                own += time.thread_time() - t
                await recorder.ready()
        await store.flush()
        seconds = time.perf_counter() - began
        both = time.process_time() - cpu
        count = traces * turns
        row("span and turn: CPU of the caller", own / count * 1e6, "us")
        row("span and turn: CPU of the thread", (both - own) / count * 1e6, "us, at most")
        row("spans and turns recorded", count / seconds, "a second")
        began = time.perf_counter()
        await asyncio.gather(*(recorder.finish(Status.COMPLETE, usage=None) for recorder in recorders))
        row("all traces finished at once", (time.perf_counter() - began) * 1e3, "ms")


async def beside(directory: Path, traces: int) -> None:
    """Beside an event loop that computes all the time, 1 ms a turn."""
    with Store.open(directory) as store:
        recorders = [store.recorder(key) for key in planned(store, traces)]
        waits: list[float] = []
        stop = False

        async def compute(mine: list) -> None:
            turn = 0
            while not stop:
                for recorder in mine:
                    until = time.perf_counter() + 0.001
                    while time.perf_counter() < until:
                        pass
                    recorder.close_span(turn, SPAN)
                    recorder.turn(TURN)
                    await asyncio.sleep(0)
                turn += 1

        busy = [asyncio.create_task(compute(recorders[n::4])) for n in range(4)]
        for _ in range(100):
            began = time.perf_counter()
            await store.flush()
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)
        stop = True
        await asyncio.gather(*busy)
        row("made durable beside a computing loop, median", statistics.median(waits) * 1e3, "ms")
        row("made durable beside a computing loop, longest", max(waits) * 1e3, "ms")


async def many(directory: Path, traces: int) -> None:
    """A large finished run, read."""
    with Store.open(directory) as store:
        keys = planned(store, traces)
        for at in range(0, traces, 1000):
            recorders = [store.recorder(key) for key in keys[at : at + 1000]]
            for recorder in recorders:
                for index in range(2):
                    recorder.close_span(index, SPAN)
                    recorder.turn(TURN)
            await asyncio.gather(*(recorder.finish(Status.COMPLETE) for recorder in recorders))
    with Reader(directory) as reader:
        for name, ask in (
            ("counts", reader.counts),
            ("causes", reader.causes),
            ("totals", reader.totals),
            ("totals of a variant", lambda: reader.totals("tessy")),
            ("find", lambda: reader.find("p77777")),
            ("all traces read", lambda: sum(1 for _ in reader.traces())),
        ):
            began = time.perf_counter()
            ask()
            row(f"{name}, {traces:,} traces", (time.perf_counter() - began) * 1e3, "ms")


def finished(work: Path, traces: int, rounds: int, to: Path | None) -> None:
    """The commands on a large finished run."""
    from bench.finished import measured

    figures = measured(work, traces, rounds)
    for name, figure in figures.items():
        print(f"{name:<18}{figure:>12,}")
    if to is not None:
        with to.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"bench": "store", **figures}) + "\n")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=140)
    parser.add_argument("--many", type=int, default=100_000, help="traces of the finished run")
    parser.add_argument("--finished", action="store_true", help="the commands on a large finished run")
    parser.add_argument("--work", type=Path, help="where that run is made, and kept")
    parser.add_argument("--rounds", type=int, default=3, help="each command's; the table has the medians")
    parser.add_argument("--to", type=Path, help="a file that gets the figures as one more line of JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.finished:
            finished(asked.work or Path(folder), asked.many, asked.rounds, asked.to)
            return
        recorded = Path(folder, "record")
        asyncio.run(record(recorded, asked.traces, asked.turns))
        size = sum(file.stat().st_size for file in recorded.iterdir())
        row("on the disk, per span and turn", size / (asked.traces * asked.turns), "bytes")
        asyncio.run(beside(Path(folder, "beside"), asked.traces))
        asyncio.run(many(Path(folder, "many"), asked.many))


if __name__ == "__main__":
    main()
