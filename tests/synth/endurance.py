"""A run of scripted traces in a process of its own, which counts every token that an engine writes, also past its
death.

python -m tests.synth.endurance DIRECTORY COUNTER TRACES [THINKING [pausing]]

With `pausing` the process stops itself (SIGSTOP) once it has told of its first finished trace.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import struct
import sys
from dataclasses import replace
from pathlib import Path

from bench.pair import Shape, engines, problems, settings

from antiphon.synth.run import Run
from antiphon.trace import Key

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


def main(directory: Path, counter: Path, traces: int, thinking: int, pausing: bool) -> None:
    def tell(key: Key) -> None:
        print("finished", key, flush=True)
        if pausing:
            os.kill(os.getpid(), signal.SIGSTOP)

    run = Run(
        problems(traces),
        directory,
        settings(concurrency=min(traces, 200)),
        open_engine=engines(replace(SHAPE, thinking=thinking), CHUNK, Counter(counter).count),
    )
    print("writing", flush=True)
    asyncio.run(run.work(tell))
    print("done", flush=True)


if __name__ == "__main__":
    directory, counter, traces, *more = sys.argv[1:]
    main(Path(directory), Path(counter), int(traces), int(more[0]) if more else SHAPE.thinking, "pausing" in more)
