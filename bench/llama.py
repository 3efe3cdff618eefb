"""Two llama-servers with real models: turns as a run has them, beside turns in lock-step rounds of fixed chunks.

python -m bench.llama --student smollm2.gguf --teacher gemma3.gguf

In lock-step every trace asks for one chunk (10 tokens of the teacher, 5 of the student, as arXiv 2604.14164 has it for
code) and waits until all others have theirs; answers are streamed and nobody waits for them. All else is the same: the
predictor, the problems (HumanEval's), the servers. They are reset to empty caches between runs by starting them anew.
Prints medians over the rounds; tokens are counted by the run, prompt tokens and aborted work by the servers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, cast

import antiphon.problem
from antiphon.engine.base import Chunk, Engine, Sequence
from antiphon.engine.models import open_engine
from antiphon.settings import load
from antiphon.synth.run import Run
from antiphon.synth.tally import Tally
from antiphon.trace import Author
from bench.rows import CHUNKS

PROBLEMS = Path(__file__).parents[2] / "shared" / "data" / "problems" / "humaneval.jsonl"
_SHOWN = {
    "kept_per_s": "tokens kept a second",
    "requests_per_turn": "requests a turn",
    "thrown_away": "thrown away",
    "read": "prompt tokens read",
    "cached": "from cache",
    "wall_s": "wall s",
}


class Rounds:
    """All traces that are thinking ask at once."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.answering = 0
        self._waiting = self._round = 0

    async def next(self) -> None:
        """Returns when everybody asks."""
        mine = self._round
        self._waiting += 1
        while self._round == mine:
            if self._waiting >= self.tally.in_flight - self.answering:
                self._round += 1
                self._waiting = 0
            else:
                await asyncio.sleep(0.002)


def in_rounds(engine: Engine, chunk: int, rounds: Rounds) -> Engine:
    """An engine whose thinking is asked for in chunks and rounds."""
    opened = engine.open

    async def open(parts: Any) -> Sequence:
        sequence = await opened(parts)
        inner = sequence.stream

        async def stream(sampling: Any, most: int, *how: Any) -> AsyncIterator[Chunk]:
            answers = most > max(CHUNKS.values())
            if answers:
                rounds.answering += 1
            else:
                await rounds.next()
                most = min(most, chunk)
            try:
                async with aclosing(cast(AsyncGenerator[Chunk], inner(sampling, most, *how))) as chunks:
                    async for piece in chunks:
                        yield piece
            finally:
                rounds.answering -= answers

        sequence.stream = stream  # type: ignore[method-assign, assignment]
        return sequence

    engine.open = open  # type: ignore[method-assign]
    return engine


@contextmanager
def server(model: Path, port: int, slots: int, threads: int) -> Iterator[str]:
    """A llama-server, for as long as the context lasts."""
    flags = f"--port {port} --parallel {slots} -c {slots * 1024} -t {threads} --metrics --no-webui -lv 0"
    with subprocess.Popen(["llama-server", "-m", model, *flags.split()], stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def counters(url: str) -> dict[str, float]:
    """Its figures since it started."""
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.removeprefix("llamacpp:").split() for line in lines if line[0] != "#")
    }


def measured(policy: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run."""
    rounds = Rounds()

    def opener(reference: str, **how: Any) -> Engine:
        engine = open_engine(reference, **how)
        if policy != "lock-step":
            return engine
        return in_rounds(engine, CHUNKS["teacher" if reference == teacher else "student"], rounds)

    with (
        server(args.teacher, args.port, args.slots, args.threads) as teacher,
        server(args.student, args.port + 1, args.slots, args.threads) as student,
    ):
        ahead = max(CHUNKS.values()) if policy == "lock-step" else int(policy) if policy.isdigit() else policy
        chosen = {
            "teacher.model": teacher,
            "student.model": student,
            "boundary.teacher": args.boundary,
            "boundary.student": args.boundary,
            "budget.thinking": args.thinking,
            "budget.answer": args.answer,
            "budget.on_budget": "close",
            "concurrency": args.slots,
            "run_ahead": ahead,
        }
        problems = antiphon.problem.load([str(PROBLEMS)], limit=args.problems).problems
        run = Run(problems, folder, load(flags=chosen, environment={}), open_engine=opener)
        rounds.tally = run.tally
        began = time.monotonic()
        asyncio.run(run.work())
        wall = time.monotonic() - began
        read = sum(counters(url)["prompt_tokens_total"] for url in (teacher, student))
        written = sum(counters(url)["tokens_predicted_total"] for url in (teacher, student))
    usage = run.tally.usage[Author.TEACHER] + run.tally.usage[Author.STUDENT]
    with antiphon.read(folder) as reader:
        turns = sum(total.turns for total in reader.totals().values())
    return {
        "kept": usage.kept,
        "kept_per_s": round(usage.kept / wall, 1),
        "requests_per_turn": round(usage.requests / turns, 2),
        "thrown_away": round(usage.thrown_away / usage.received, 3),
        "read": int(read),
        "cached": round(1 - read / usage.prompt, 3),
        "written_by_servers": int(written),
        "wall_s": round(wall, 1),
        "settled": {f"{role}": way for (role, _), (way, _) in run.ahead.items()},
        "admission": run.admitted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--teacher", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--policy", nargs="+", default=["lock-step", "streamed", "16", "auto"])
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="of each server")
    parser.add_argument("--thinking", type=int, default=150)
    parser.add_argument("--answer", type=int, default=60)
    parser.add_argument("--boundary", default="default")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--port", type=int, default=24811)
    parser.add_argument("--to", type=Path, help="a file that gets each run as a line of JSON")
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        for number in range(args.repeat):
            for policy in args.policy:
                row = measured(policy, args, Path(name) / f"{policy}-{number}")
                rows[policy].append(row)
                print(json.dumps({"policy": policy, **row}), flush=True)
                if args.to is not None:
                    with args.to.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"bench": "llama", "policy": policy, **row}) + "\n")
    first = statistics.median(row["kept_per_s"] for row in next(iter(rows.values())))
    print(f"| | {' | '.join(_SHOWN.values())} | kept a second, to the first |")
    print("|---|" + "---|" * (len(_SHOWN) + 1))
    for policy, some in rows.items():
        medians = {name: statistics.median(row[name] for row in some) for name in _SHOWN}
        cells = [f"{value:g}" for value in medians.values()]
        print(f"| {policy} | {' | '.join(cells)} | {medians['kept_per_s'] / first:.2f} |")


if __name__ == "__main__":
    main()
