"""What the viewer takes on a large run, such as `bench.store --finished` makes:

python -m bench.view RUN        pages over HTTP, with filters and words; memory; the index, if it is new
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

ROUNDS = 5
PAGES = (
    ("first page", ""),
    ("filtered by share and status", "run/0?share_from=50&status=complete"),
    ("filtered by words", "run/0?search=okay"),
    ("filtered by words, longest first", "run/0?search=okay&sort=longest"),
    ("a page in the middle", "run/0?page=1000"),
    ("charts", "run/0/charts"),
)


def get(address: str) -> tuple[float, str]:
    began = time.perf_counter()
    with urlopen(address) as answer:
        text = answer.read().decode()
    return time.perf_counter() - began, text


def row(what: str, seconds: list[float]) -> None:
    first, *rest = (1000 * each for each in seconds)
    print(f"{what:<40}{first:>8,.0f} ms at first, then {min(rest):,.0f} to {max(rest):,.0f}")


def wait_for_index(address: str) -> float:
    began = time.perf_counter()
    while "The run is being read" in get(f"{address}run/0")[1]:
        time.sleep(1)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    command = [sys.executable, "-m", "antiphon", "view", run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            for what, path in PAGES:
                row(what, [get(address + path)[0] for _ in range(ROUNDS)])
            link = re.search(r'<a href="([^"]*&amp;trace=[^"]*)"', get(address)[1])
            if link is not None:
                row("a trace", [get(urljoin(address, unescape(link[1])))[0] for _ in range(ROUNDS)])
            print(f"{'index whole after':<40}{wait_for_index(address):>8,.0f} s")
            status = Path(f"/proc/{server.pid}/status").read_text()
            (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", status)
            print(f"{'memory of the server, most':<40}{int(kilobytes) / 1024:>8,.0f} MB")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
