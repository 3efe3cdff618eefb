"""What the viewer takes on a large run, such as `bench.store --finished` makes:

python -m bench.view RUN        pages over HTTP, with filters and words; memory; the index, if it is new
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from statistics import median
from urllib.parse import urljoin
from urllib.request import urlopen

ROUNDS = 5
PAGES = (
    ("filtered by share and status", "run/0?share_from=50&status=complete"),
    ("filtered by words", "run/0?search=okay"),
    ("filtered by words, longest first", "run/0?search=okay&sort=longest"),
    ("a page in the middle", "run/0?page=1000"),
    ("charts", "run/0/charts"),
)


@contextmanager
def serving(run: Path) -> Iterator[tuple[str, int]]:
    """The command, its address and process."""
    command = [sys.executable, "-m", "antiphon", "view", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server.pid
        finally:
            server.terminate()


def get(address: str) -> tuple[float, str]:
    began = time.perf_counter()
    with urlopen(address) as answer:
        text = answer.read().decode()
    return time.perf_counter() - began, text


def row(what: str, seconds: list[float]) -> None:
    told = ", ".join(f"{1000 * each:,.0f}" for each in seconds)
    print(f"{what:<40}{1000 * median(seconds):>8,.0f} ms, the median of {told}")


def wait_for_index(address: str) -> float:
    began = time.perf_counter()
    while "The run is being read" in get(f"{address}run/0")[1]:
        time.sleep(1)
    return time.perf_counter() - began


def compare(address: str) -> float:
    began = time.perf_counter()
    while "These are being compared" in get(f"{address}compare")[1]:
        pass  # the server waits
    return time.perf_counter() - began


def memory(process: int) -> float:
    """The most that a process took, in MB."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(kilobytes) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    with serving(run) as (address, _):
        print(f"{'index whole after':<40}{wait_for_index(address):>8,.0f} s")
    begun, first = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with serving(run) as (address, _):
            begun.append(time.perf_counter() - began)
            first.append(get(address)[0])
    row("until the address is told", begun)
    row("first page after that", first)
    with serving(run) as (address, process):
        row("the same again", [get(address)[0] for _ in range(ROUNDS + 1)][1:])
        for what, path in PAGES:
            row(what, [get(address + path)[0] for _ in range(ROUNDS)])
        link = re.search(r'<a href="([^"]*&amp;trace=[^"]*)"', get(address)[1])
        if link is not None:
            row("a trace", [get(urljoin(address, unescape(link[1])))[0] for _ in range(ROUNDS)])
        print(f"{'variants side by side':<40}{compare(address):>8,.1f} s")
        row("the same again", [get(f"{address}compare")[0] for _ in range(ROUNDS)])
        print(f"{'memory of the server, most':<40}{memory(process):>8,.0f} MB")


if __name__ == "__main__":
    main()
