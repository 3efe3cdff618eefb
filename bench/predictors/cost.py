"""What the default predictor costs, on one core: loading, words a second, memory.

python -m bench.predictors.cost [--boundary default]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise

from antiphon.boundary import load
from antiphon.boundary.words import words
from antiphon.trace import Author
from bench.predictors.data import gold

_LOADING = (
    "import time; began = time.process_time(); import antiphon.boundary as b; b.load({name!r}).session('student');"
    "import sys; print(time.process_time() - began, 'torch' in sys.modules)"
)
_ROUNDS = 5
_ONLINE = 20_000  # words
_MILLION, _PIECE = 1_000_000, 4_000  # words, characters


def loading(name: str) -> tuple[float, bool]:
    """CPU seconds from nothing to a session (median), and whether torch was imported."""
    runs = [
        subprocess.run([sys.executable, "-c", _LOADING.format(name=name)], capture_output=True, text=True, check=True)
        for _ in range(_ROUNDS)
    ]
    return statistics.median(float(run.stdout.split()[0]) for run in runs), any("True" in run.stdout for run in runs)


def speed(name: str, text: str) -> tuple[float, float]:
    """Words a CPU second: text in one piece, and word by word (medians)."""
    predictor, spans = load(name), words(text)
    ends = [0, *(end for _, end in spans[:_ONLINE])]
    pieces = [text[begin:end] for begin, end in pairwise(ends)]
    bulk, online = [], []
    for _ in range(_ROUNDS):
        session, began = predictor.session(Author.STUDENT), time.process_time()
        session.feed(text)
        bulk.append(len(spans) / (time.process_time() - began))
        session, began = predictor.session(Author.STUDENT), time.process_time()
        for piece in pieces:
            session.feed(piece)
        online.append(len(pieces) / (time.process_time() - began))
    return statistics.median(bulk), statistics.median(online)


def memory(name: str, text: str) -> float:
    """MB that one session of a million words adds to the process."""
    predictor = load(name)
    count = len(words(text))
    predictor.session(Author.STUDENT).feed(text[:_PIECE])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session = predictor.session(Author.STUDENT)
    for _ in range(-(-_MILLION // count)):
        for begin in range(0, len(text), _PIECE):
            session.feed(text[begin : begin + _PIECE])
        session.feed("\n\n")
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", default="default")
    name = parser.parse_args().boundary
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    text = "\n\n".join(item.text for item in gold())
    print(f"a million words: {memory(name, text):.0f} MB more")
    seconds, torch = loading(name)
    print(f"loaded in {seconds:.2f} s of CPU; torch imported: {torch}")
    bulk, online = speed(name, text)
    print(f"{bulk:,.0f} words/s in bulk, {online:,.0f} words/s word by word")


if __name__ == "__main__":
    main()
