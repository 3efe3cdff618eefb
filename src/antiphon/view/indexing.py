"""Keeps the index of a run directory up to date, in a process of its own.

`python -m antiphon.view.indexing RUN INDEX` ends with the process that started it, and leaves the writing to another
if there is one.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from antiphon.errors import AntiphonError
from antiphon.store import Reader
from antiphon.view.index import Index

_EVERY = 2.0  # seconds between looks at a run that has not changed


def start(directory: Path, place: Path) -> subprocess.Popen[bytes]:
    """The process, started."""
    return subprocess.Popen(
        [sys.executable, "-m", "antiphon.view.indexing", directory.absolute(), place],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def follow(directory: Path, place: Path) -> None:
    """Takes up what changes, until the parent process is gone."""
    parent = os.getppid()
    with place.with_suffix(".lock").open("w") as lock:
        while os.getppid() == parent:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with Reader(directory) as reader, Index(place) as index:
                    while os.getppid() == parent:
                        if not index.update(reader):
                            time.sleep(_EVERY)
            except (BlockingIOError, AntiphonError):  # another does it; the pages say what is wrong with a run
                time.sleep(_EVERY)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    os.nice(10)
    follow(Path(sys.argv[1]), Path(sys.argv[2]))
