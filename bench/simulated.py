"""Runs on the simulated pair: are they exact, what do they cost, what does a killed one lose?

python -m bench.simulated --form ids         512 problems, all in flight
python -m bench.simulated --boundary default any other predictor, which cuts elsewhere
python -m bench.simulated --kills 10         as often by the command, each time killed with -9 once and resumed
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Trace
from bench.simulator import (
    Form,
    Pair,
    flags,
    needed,
    needed_of_teacher,
    problems,
    settings,
    simulated_pairs,
    write_problems,
    wrong,
)

ROOT = Path(__file__).parents[1]


def traces(directory: Path) -> list[Trace]:
    """All traces of a run directory."""
    with Reader(directory) as reader:
        return list(reader.traces())


def faults(found: Sequence[Trace], some: Iterable[Problem]) -> list[str]:
    """What is not as the script has it: traces missing, double, torn or wrong."""
    expected = {problem.id: problem for problem in some}
    ids = [trace.key.problem for trace in found]
    return [
        *(f"{id} is missing" for id in expected.keys() - set(ids)),
        *(f"{id} is there {ids.count(id)} times" for id in set(ids) if ids.count(id) > 1),
        *(fault for trace in found for fault in wrong(trace, expected[trace.key.problem])),
    ]


def measured(pair: Pair, some: Sequence[Problem], form: Form, directory: Path, **more: Any) -> dict[str, Any]:
    """One run in this process; `more`: further settings by dotted names."""
    pair.reset()
    run = Run(some, directory, settings(pair, form, **more))
    began, cpu = time.monotonic(), time.process_time()
    asyncio.run(run.work())
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    written = traces(directory)
    with Reader(directory) as reader:
        turns = sum(len(reader.turns(trace.key)) for trace in written)
    kept = {"teacher": sum(map(needed_of_teacher, written))}
    kept["student"] = sum(map(needed, written)) - kept["teacher"]
    thrown = {role: getattr(pair, role).stats()["decoded_tokens"] - tokens for role, tokens in kept.items()}
    return {
        "form": form,
        "problems": len(some),
        "statuses": dict(Counter(str(trace.status) for trace in written)),
        "faults": None if "boundary.teacher" in more else faults(written, some),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "turns": turns,
        "requests": pair.requests,
        "cpu_ms_per_turn": round(1000 * cpu / turns, 2),
        "requests_per_turn": round(pair.requests / turns, 3),
        "thrown_away_per_turn": round(sum(thrown.values()) / turns, 2),
        "of_teacher": round(2 * thrown["teacher"] / turns, 2),
        "of_student": round(2 * thrown["student"] / turns, 2),
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "servers_busy_s": [server.stats()["busy_s"] for server in pair.servers],
        "settled": {f"{role} {server}": way for (role, server), (way, _) in run.ahead.items()},
    }


class Command:
    """`antiphon synth` on a pair, in a process of its own.

    Args:
        folder: gets the problems and the run directory `run`.
        more: further settings by dotted names.
    """

    def __init__(self, folder: Path, pair: Pair, some: Iterable[Problem], form: Form, **more: Any):
        folder.mkdir(exist_ok=True)
        self.directory = folder / "run"
        values = (f"{name}={value}" for name, value in flags(pair, form, **more).items())
        self._words = [sys.executable, "-m", "antiphon", "synth", str(write_problems(folder / "problems.jsonl", some))]
        self._words += [
            "--run",
            str(self.directory),
            "--json",
            *(word for value in values for word in ("--set", value)),
        ]

    def start(self) -> subprocess.Popen[str]:
        """Begins, or goes on."""
        return subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Begins, or goes on, and waits for the end."""
        process = self.start()
        output, errors = process.communicate()
        return subprocess.CompletedProcess(self._words, process.returncode, output, errors)


PIECEMEAL = {"run_ahead": 8}
"""Runs that are killed ask for so few tokens at once that what is written past their cuts is nearly the same in each:
what a kill costs is seen in the servers' counters."""


def whole(command: Command, pair: Pair) -> int:
    """A run that nobody kills: what its servers decoded.

    Raises:
        RuntimeError: it failed.
    """
    pair.reset()
    _finish(command)
    return pair.decoded


def killed(command: Command, pair: Pair, moment: float) -> int:
    """A run that is killed with -9 once its servers have decoded `moment` tokens, and resumed: what they decoded in
    both sessions.

    Raises:
        RuntimeError: the second session failed.
    """
    pair.reset()
    process = command.start()
    while pair.decoded < moment and process.poll() is None:
        time.sleep(0.05)  # the moment is counted in tokens; this only paces the look
    process.kill()
    process.communicate()
    _finish(command)
    return pair.decoded


def _finish(command: Command) -> None:
    ended = command.run()
    if ended.returncode != 0:
        raise RuntimeError(f"the run ended with {ended.returncode}: {ended.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--form", choices=["ids", "text"], default="ids")
    parser.add_argument("--boundary", help="any predictor; unset: the script's own labels")
    parser.add_argument("--kills", type=int, help="so many runs, each killed once")
    parser.add_argument("--spans", type=int, help="pairs of spans in a trace; unset: 50 to 90")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with simulated_pairs(folder) as (pair,):
            some = problems(folder, args.problems, spans=args.spans)
            if args.kills is None:
                roles = () if args.boundary is None else ("teacher", "student")
                more = {f"boundary.{role}": args.boundary for role in roles}
                row = measured(pair, some, args.form, folder / "run", **more)
                print(*(f"{name:22} {value}" for name, value in row.items()), sep="\n")
            else:
                _kill(folder, pair, some, args.form, args.kills)


def _kill(folder: Path, pair: Pair, some: Sequence[Problem], form: Form, kills: int) -> None:
    chance, again = random.Random(20261125), []
    needed = whole(Command(folder / "whole", pair, some, form, **PIECEMEAL), pair)
    print(f"decoded by a run without a kill: {needed}", flush=True)
    for number in range(kills):
        command = Command(folder / str(number), pair, some, form, **PIECEMEAL)
        share = chance.uniform(0.02, 0.9)
        again.append(killed(command, pair, share * needed) / needed - 1)
        bad = faults(traces(command.directory), some)
        print(f"killed at {share:.0%}: decoded again {again[-1]:.2%}, faults {bad}", flush=True)
    print(f"decoded again: mean {sum(again) / kills:.2%}, most {max(again):.2%}")


if __name__ == "__main__":
    main()
