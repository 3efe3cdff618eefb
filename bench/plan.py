"""Is what `antiphon plan` predicts what happens? Pilots, the forecast, and then the run itself.

python -m bench.plan simulated                        pilots of 128 problems at 16 and at 128 in flight, 512 at 512
python -m bench.plan simulated --repeat 3             as often, each time with other problems in the pilots
python -m bench.plan llama --student smollm2.gguf --teacher gemma3.gguf --pilot 32 --at 2 8 --problems 128 \
    --concurrency 8

Prints what was predicted, with its interval, beside what was measured: seconds from the first trace's beginning to the
last one's end, tokens and requests as the run records them, bytes of the closed database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import antiphon.problem
from antiphon.problem import Problem
from antiphon.scale.plan import Estimate, Forecast, Question, forecast, pool, read
from antiphon.settings import Settings, load
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Author
from bench.llama import PROBLEMS, server
from bench.simulator import problems, settings, simulated_pairs

_ROLES = (Author.STUDENT, Author.TEACHER)
Write = Callable[[Sequence[Problem], Path, int], None]
"""Writes a run: of these problems, there, with so many traces in flight."""


@contextmanager
def simulated(args: argparse.Namespace, folder: Path) -> Iterator[tuple[Sequence[Problem], Write]]:
    """The simulated pair and its problems."""
    with simulated_pairs(folder) as (pair,):

        def write(some: Sequence[Problem], directory: Path, concurrency: int) -> None:
            pair.reset()
            _work(some, directory, settings(pair, "ids", concurrency=concurrency, run_ahead=_ahead(args)))

        yield problems(folder, args.problems, spans=args.spans), write


@contextmanager
def llama(args: argparse.Namespace, folder: Path) -> Iterator[tuple[Sequence[Problem], Write]]:
    """Two llama-servers, started anew for each run, and HumanEval's problems."""

    def write(some: Sequence[Problem], directory: Path, concurrency: int) -> None:
        started = partial(server, slots=args.slots, threads=args.threads)
        with started(args.teacher, args.port) as teacher, started(args.student, args.port + 1) as student:
            chosen = {
                "teacher.model": teacher,
                "student.model": student,
                "boundary.teacher": "default",
                "boundary.student": "default",
                "budget.thinking": args.thinking,
                "budget.answer": args.answer,
                "budget.on_budget": "close",
                "concurrency": concurrency,
                "run_ahead": _ahead(args),
            }
            _work(some, directory, load(flags=chosen, environment={}))

    yield antiphon.problem.load([str(PROBLEMS)], limit=args.problems).problems, write


def _ahead(args: argparse.Namespace) -> int | str:
    return int(args.run_ahead) if args.run_ahead.isdigit() else str(args.run_ahead)


def _work(some: Sequence[Problem], directory: Path, chosen: Settings) -> None:
    asyncio.run(Run(some, directory, chosen).work())


def predicted(made: Forecast) -> dict[str, Estimate]:
    """The figures that are compared."""
    figures = {"seconds": made.seconds}
    for role in _ROLES:
        told = made.roles[role]
        figures |= {f"{role} kept": told.kept, f"{role} written": told.written, f"{role} requests": told.requests}
    return {**figures, "database": made.database}


def measured(directory: Path) -> dict[str, float]:
    """The same of a run that is over."""
    with Reader(directory) as reader:
        totals = reader.totals()
        spans = [(trace.started or 0.0, trace.finished or 0.0) for trace in reader.traces()]
    figures = {"seconds": max(ended for _, ended in spans) - min(began for began, _ in spans)}
    for role in _ROLES:
        used = totals[role]
        figures |= {f"{role} kept": used.kept, f"{role} written": used.received, f"{role} requests": used.requests}
    return {**figures, "database": (directory / "run.sqlite").stat().st_size}


def compared(said: dict[str, Estimate], found: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each figure; what both roles took together among them."""
    rows = []
    for name, estimate in said.items():
        value = found[name]
        rows.append(
            {
                "figure": name,
                "predicted": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "measured": value,
                "off": estimate.value / value - 1,
                "half_width": (estimate.high - estimate.low) / 2 / estimate.value,
                "covered": estimate.low <= value <= estimate.high,
            }
        )
    for what in ("written", "requests"):
        value = sum(found[f"{role} {what}"] for role in _ROLES)
        told = sum(said[f"{role} {what}"].value for role in _ROLES)
        rows.append({"figure": f"all {what}", "predicted": told, "measured": value, "off": told / value - 1})
    return rows


def _show(rows: Sequence[dict[str, Any]]) -> None:
    print("| | predicted | interval | measured | off | half-width | covered |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        interval = half = covered = ""
        if "low" in row:
            interval, half = f"{row['low']:,.0f} to {row['high']:,.0f}", f"{row['half_width']:.0%}"
            covered = "yes" if row["covered"] else "no"
        cells = [f"{row['predicted']:,.0f}", interval, f"{row['measured']:,.0f}", f"{row['off']:+.1%}", half, covered]
        print(f"| {row['figure']} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", choices=["simulated", "llama"])
    parser.add_argument("--pilot", type=int, default=128, help="problems of each pilot")
    parser.add_argument("--at", type=int, nargs="+", default=[16, 128], help="traces in flight in the pilots")
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--concurrency", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=1, help="pilots of so many different sets of problems")
    parser.add_argument("--runs", type=int, default=1, help="the run itself so often")
    parser.add_argument("--run-ahead", default="auto")
    parser.add_argument("--spans", type=int, help="simulated: pairs of spans in a trace; unset: 50 to 90")
    parser.add_argument("--student", type=Path, help="llama: a GGUF file")
    parser.add_argument("--teacher", type=Path, help="llama: a GGUF file")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="of each llama-server")
    parser.add_argument("--thinking", type=int, default=80)
    parser.add_argument("--answer", type=int, default=40)
    parser.add_argument("--port", type=int, default=24911)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the run directories")
    parser.add_argument("--to", type=Path, help="a file that gets each comparison as a line of JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        with (simulated if args.pair == "simulated" else llama)(args, folder) as (some, write):
            _bench(args, folder, some, write)


def _bench(args: argparse.Namespace, folder: Path, some: Sequence[Problem], write: Write) -> None:
    for number in range(args.runs):
        write(some, folder / f"run-{number}", args.concurrency)
    covered: dict[str, Counter[bool]] = defaultdict(Counter)
    for number in range(args.repeat):
        begin = number * args.pilot % len(some)
        pilots = [folder / f"pilot-{number}-{concurrency}" for concurrency in args.at]
        for directory, concurrency in zip(pilots, args.at, strict=True):
            write(some[begin : begin + args.pilot], directory, concurrency)
        said = predicted(
            forecast(pool([read(pilot) for pilot in pilots]), Question(len(some), concurrency=args.concurrency))
        )
        for run in range(args.runs):
            rows = compared(said, measured(folder / f"run-{run}"))
            print(f"\nPilots {number}, run {run}")
            _show(rows)
            for row in rows:
                if "covered" in row:
                    covered[row["figure"]][row["covered"]] += 1
            if args.to is not None:
                with args.to.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"pair": args.pair, "pilots": number, "run": run, "rows": rows}) + "\n")
    print("\nCovered: " + ", ".join(f"{name} {found[True]} of {found.total()}" for name, found in covered.items()))


if __name__ == "__main__":
    main()
