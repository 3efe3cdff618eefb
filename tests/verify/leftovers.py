"""What programs could leave behind: processes of ours that outlive them."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SET_CHILD_SUBREAPER = 36


@contextmanager
def nothing_left(patience: float = 0.0) -> Iterator[None]:
    """Asserts that no process that was started in the block outlives it by more than `patience` seconds. Meanwhile
    whatever loses its parent becomes a child of this process, so none is overlooked."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before = descendants()
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    end = time.monotonic() + patience
    while (left := descendants() - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, f"left: {[_told(pid) for pid in left]}"


def descendants() -> set[int]:
    """The processes that came of this one. Orphans that are dead are no longer counted."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(folder.name))
    found: set[int] = set()
    new = [os.getpid()]
    while new:
        new = [child for parent in new for child in parents.get(parent, ())]
        found.update(new)
    return found


def _told(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return str(pid)
