"""Many problems through four shards, joined, looked at: time, memory, sizes. Prints a table.

python -m bench.shards --work FOLDER --problems 8000 80000

Each shard is written by a process of its own, by the scripted pair of `bench.pair`, 512 traces in flight; then
the commands are run on all of them, and on the whole. Where the folder holds the shards already, they are not written
again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from antiphon.problem import load
from antiphon.problem.shard import Shard
from antiphon.store import Reader
from antiphon.synth.run import Run
from bench.finished import ROOT, Measured, asked, command
from bench.pair import Shape, engines, settings

SHARDS = 4
SHAPE = Shape(thinking=140, style=4, capability=24, answer=40, varied=True)
"""Ten turns of thinking, and the answer; a thousand characters."""
IN_FLIGHT = 512


def written(problems: Path, directory: Path, shard: str) -> None:
    """Writes one shard of a file, in this process, as `antiphon synth --shard` does."""
    loaded = load(problems, shard=Shard.parse(shard))
    loaded.require_good()
    run = Run(
        loaded.problems,
        directory,
        settings(concurrency=IN_FLIGHT, shard=shard),
        share=loaded.share,
        open_engine=engines(SHAPE, chunk=16),
    )
    loaded.problems.clear()
    asyncio.run(run.work())


def in_process(*words: object) -> Measured:
    """Writes a shard in a process of its own, to its end.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    line = [sys.executable, "-m", "bench.shards", *map(str, words)]
    process = subprocess.Popen(line, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(line)} ended with {process.returncode}")
    return Measured(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def measured(work: Path, count: int) -> dict[str, Any]:
    """All of it for so many problems; what writing took is noted in the folder."""
    folder = work / str(count)
    folder.mkdir(parents=True, exist_ok=True)
    problems = folder / "problems.jsonl"
    with problems.open("w", encoding="utf-8") as file:
        for problem in map(asked, range(count)):
            file.write(json.dumps({"id": problem.id, "messages": problem.messages, **problem.metadata}) + "\n")
    shards = [folder / f"shard-{index}" for index in range(SHARDS)]
    for index, shard in enumerate(shards):
        note = folder / f"shard-{index}.json"
        if not note.exists():
            took = in_process("--write", problems, shard, "--shard", f"{index}/{SHARDS}")
            note.write_text(json.dumps(took._asdict()))
    writing = [Measured(**json.loads((folder / f"shard-{index}.json").read_text())) for index in range(SHARDS)]
    whole, page, parquet = folder / "whole", folder / "whole.html", folder / "whole.parquet"
    for made in (whole, page, parquet):
        shutil.rmtree(made, ignore_errors=True)
        made.unlink(missing_ok=True)
    commands = {
        "merge": ("merge", *shards, "--to", whole),
        "merge_again": ("merge", *shards, "--to", whole),
        "status_of_shards": ("status", *shards),
        "status": ("status", whole),
        "view": ("view", whole, "--html", page),
        "view_again": ("view", whole, "--html", page),
        "export": ("export", whole, "--format", "parquet", "--to", parquet),
    }
    row: dict[str, Any] = {
        "problems": count,
        "write_s": [round(each.wall, 1) for each in writing],
        "write_cpu_s": [round(each.cpu, 1) for each in writing],
        "write_rss_mb": max(each.memory for each in writing) // 10**6,
    }
    for name, words in commands.items():
        took = command(*words)
        row[f"{name}_s"], row[f"{name}_cpu_s"] = round(took.wall, 2), round(took.cpu, 2)
        row[f"{name}_rss_mb"] = took.memory // 10**6
    row["shards_mb"] = [size(shard / "run.sqlite") // 10**6 for shard in shards]
    row["whole_mb"], row["parquet_mb"] = size(whole / "run.sqlite") // 10**6, round(size(parquet) / 10**6, 1)
    with Reader(whole) as reader:
        row["traces"] = {str(status): number for status, number in reader.counts().items()}
    return row


ROWS = (
    ("a shard written", "write"),
    ("`merge`", "merge"),
    ("`merge` again, nothing new", "merge_again"),
    ("`status` of the four", "status_of_shards"),
    ("`status` of the whole", "status"),
    ("`view --html` of the whole, with its index", "view"),
    ("and again", "view_again"),
    ("`export --format parquet`", "export"),
)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as the documentation has them: seconds, of them of CPU, and the most memory; and of the last row how
    many times as much it is as of the first, seconds by CPU."""
    first, last = rows[0], rows[-1]
    lines = [
        "| | " + " | ".join(f"{row['problems']:,} problems" for row in rows) + " | growth |",
        "|---" * (len(rows) + 2) + "|",
    ]
    for title, name in ROWS:
        cells = [
            f"{most(row[f'{name}_s']):,.1f} s ({most(row[f'{name}_cpu_s']):,.1f} s CPU), {row[f'{name}_rss_mb']} MB"
            for row in rows
        ]
        times, memory = (most(last[f"{name}_{of}"]) / most(first[f"{name}_{of}"]) for of in ("cpu_s", "rss_mb"))
        lines.append(f"| {title} | {' | '.join(cells)} | {times:.1f}, memory {memory:.1f} |")
    for title, name in (
        ("databases of the shards", "shards_mb"),
        ("of the whole", "whole_mb"),
        ("Parquet", "parquet_mb"),
    ):
        cells = [f"{' + '.join(f'{one:,}' for one in many(row[name]))} MB" for row in rows]
        growth = sum(many(last[name])) / sum(many(first[name]))
        lines.append(f"| {title} | {' | '.join(cells)} | {growth:.1f} |")
    return "\n".join(lines)


def many(figures: Any) -> list[Any]:
    """One figure for each shard, or one for all."""
    return figures if isinstance(figures, list) else [figures]


def most(figures: Any) -> float:
    """The largest of the shards'."""
    return float(max(many(figures)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, nargs="+", default=[8_000, 80_000])
    parser.add_argument("--work", type=Path, help="where the shards are made, and kept")
    parser.add_argument("--to", type=Path, help="a file that gets the figures as lines of JSON")
    parser.add_argument("--write", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write is not None:
        written(*given.write, given.shard)
        return
    rows = []
    for count in given.problems:
        rows.append(measured(given.work, count))
        if given.to is not None:
            with given.to.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"bench": "shards", **rows[-1]}) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
