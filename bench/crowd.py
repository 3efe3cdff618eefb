"""Many traces in flight for minutes on the simulated pair: does memory stay flat, does a connection leak?

python -m bench.crowd --traces 2000 --minutes 10

Each trace that ends makes room for another. Memory and open files, connections among them, are noted every five
seconds; the first fifth of the time is warm-up. Prints the least and the most of each fifth, and what is open at the
end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import tempfile
import time
from pathlib import Path

from antiphon.problem import Problem
from antiphon.synth.run import Run
from bench.scale import rss
from bench.simulator import problems, settings, simulated_pairs, statement

_EVERY = 5.0


def crowd(folder: Path, count: int) -> list[Problem]:
    """So many problems, each with a script of its own."""
    (first,) = problems(folder, 1)
    text = statement(first)
    return [
        Problem(f"c{number}", ({"role": "user", "content": re.sub(r"\bseed=\d+", f"seed={number}", text)},))
        for number in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = ("--max-seqs", "1024", "--cache-problems", str(4 * args.traces))
        with simulated_pairs(folder, costs=costs) as (pair,):
            more = {"concurrency": args.traces}
            run = Run(crowd(folder, 20 * args.traces), folder / "run", settings(pair, "ids", **more))
            noted: list[tuple[float, int, int]] = []

            async def watch() -> None:
                began = time.monotonic()
                while (at := time.monotonic() - began) < 60 * args.minutes:
                    noted.append((at, rss() >> 20, len(os.listdir("/proc/self/fd"))))  # noqa: PTH208 - names only
                    await asyncio.sleep(_EVERY)
                run.stop()

            async def work() -> None:
                watching = asyncio.create_task(watch())
                await run.work()
                await watching

            cpu = time.process_time()
            asyncio.run(work())
            cpu = time.process_time() - cpu
            turns = sum(usage.requests for usage in run.tally.usage.values())
            for part in range(5):
                some = noted[part * len(noted) // 5 : (part + 1) * len(noted) // 5]
                row = {
                    "minutes": f"{some[0][0] / 60:.1f} to {some[-1][0] / 60:.1f}",
                    "rss_mb": [min(each[1] for each in some), max(each[1] for each in some)],
                    "open_files": [min(each[2] for each in some), max(each[2] for each in some)],
                }
                print(json.dumps(row))
            print(
                json.dumps(
                    {
                        "finished": dict(run.tally.finished),
                        "requests": turns,
                        "cpu_ms_per_request": round(1000 * cpu / turns, 2),
                        "open_files_after": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
                    }
                )
            )


if __name__ == "__main__":
    main()
