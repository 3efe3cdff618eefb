"""A run of scripted traces in a process of its own, which counts every token that an engine writes, also past its
death.

python -m tests.synth.endurance DIRECTORY COUNTER TRACES
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
from dataclasses import replace
from pathlib import Path

from bench.pair import Shape, engines, problems, settings

from antiphon.synth.run import Run

# 140 turns of thinking: 2,000 tokens in spans of 4 and 24 or 25.
SHAPE = Shape(thinking=1995, style=4, capability=24, answer=60, delay=0.003)
CHUNK = 4


class Counter:
    """A number in a mapped file: it survives kill -9."""

    def __init__(self, path: Path):
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def value(self) -> int:
        return int(struct.unpack("<Q", self._map[:8])[0])

    def count(self) -> None:
        self._map[:8] = struct.pack("<Q", self.value + 1)


def main(directory: Path, counter: Path, traces: int, thinking: int) -> None:
    run = Run(
        problems(traces),
        directory,
        settings(concurrency=min(traces, 200)),
        open_engine=engines(replace(SHAPE, thinking=thinking), CHUNK, Counter(counter).count),
    )
    print("writing", flush=True)
    asyncio.run(run.work(lambda key: print("finished", key, flush=True)))
    print("done", flush=True)


if __name__ == "__main__":
    directory, counter, traces, *thinking = sys.argv[1:]
    main(Path(directory), Path(counter), int(traces), int(thinking[0]) if thinking else SHAPE.thinking)
