"""How much memory and time the orchestrator takes for many long traces at once, with a scripted pair.

python -m bench.scale --traces 2000 --thinking 20000 --capability 100 --to RUNDIR
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import time
from pathlib import Path

from antiphon.synth.run import Run
from bench.pair import Shape, engines, problems, settings


def rss() -> int:
    """Resident memory now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--thinking", type=int, default=20000, help="tokens of thinking")
    parser.add_argument("--style", type=int, default=6, help="tokens of a style span")
    parser.add_argument("--capability", type=int, default=94, help="tokens of a capability span")
    parser.add_argument("--chunk", type=int, default=16, help="tokens that arrive together")
    parser.add_argument("--to", type=Path, required=True, help="the run directory, removed first")
    args = parser.parse_args()
    shutil.rmtree(args.to, ignore_errors=True)
    shape = Shape(args.thinking, args.style, args.capability)
    run = Run(
        problems(args.traces),
        args.to,
        settings(concurrency=args.traces, **{"budget.thinking": 10**6}),
        open_engine=engines(shape, args.chunk),
    )
    before, peak = rss(), 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, rss())
            await asyncio.sleep(0.5)

    async def work() -> None:
        watching = asyncio.create_task(watch())
        await run.work()
        watching.cancel()

    began, cpu = time.monotonic(), time.process_time()
    asyncio.run(work())
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    turns = args.traces * (shape.turns + 1)
    row = {
        "traces": args.traces,
        "tokens": shape.thinking + shape.answer,
        "turns": turns,
        "finished": dict(run.tally.finished),
        "wall_s": round(wall, 1),
        "cpu_ms_per_turn": round(1000 * cpu / turns, 3),
        "rss_before_mb": before >> 20,
        "rss_peak_mb": peak >> 20,
        "bytes_per_token": round((peak - before) / (args.traces * (shape.thinking + shape.answer)), 1),
    }
    for name, value in row.items():
        print(f"{name:18} {value}")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
