"""A memory cgroup for each program: the only limit that counts all its processes and files together."""

from __future__ import annotations

import errno
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from antiphon.verify.sandbox.base import Limits

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_NUMBERS = itertools.count()
_NAME = re.compile(r"antiphon-(\d+)-\d+")


class Cgroup:
    """One group, used by one program after the other.

    `enter` is the file to which a process writes 0 to join.
    """

    def __init__(self, folder: Path, unified: bool):
        self._folder = folder
        self._unified = unified
        self._limit: int | None = None
        self.enter = folder / "cgroup.procs"

    def limit(self, limits: Limits) -> None:
        """Sets the limit for the next program; there is no swapping either."""
        if limits.memory == self._limit and self._folder.is_dir():
            return
        self._folder.mkdir(exist_ok=True)  # whoever sweeps in another process namespace takes us for dead
        self._limit = limits.memory
        if self._unified:
            (self._folder / "memory.max").write_text(str(limits.memory))
            self._write_if_there("memory.swap.max", "0")
        else:
            # The limit with swap may never be below the one without: up it goes first, down last.
            self._write_if_there("memory.memsw.limit_in_bytes", "-1")
            self._write_if_there("memory.force_empty", "0")  # of what the last program read
            (self._folder / "memory.limit_in_bytes").write_text(str(limits.memory))
            self._write_if_there("memory.memsw.limit_in_bytes", str(limits.memory))

    def kills(self) -> int:
        """How many processes the limit has ended so far."""
        counters = (self._folder / ("memory.events" if self._unified else "memory.oom_control")).read_text()
        found = re.search(r"^oom_kill (\d+)", counters, re.MULTILINE)
        return int(found[1]) if found else 0

    def remove(self) -> None:
        """Removes the group; one that still holds a process stays for the next to sweep."""
        try:
            self._folder.rmdir()
        except OSError:
            pass

    def _write_if_there(self, name: str, value: str) -> None:
        try:
            (self._folder / name).write_text(value)
        except OSError as error:  # machines without swap accounting have no such file, or refuse to write it
            if error.errno not in (errno.ENOENT, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL):
                raise


def make() -> Cgroup | None:
    """A new group; None where groups cannot be made on this machine."""
    name = f"antiphon-{os.getpid()}-{next(_NUMBERS)}"
    for parent, unified in _parents():
        _sweep(parent)
        group = Cgroup(parent / name, unified)
        try:
            group.limit(Limits())
            group.kills()
            subprocess.run(["/bin/sh", "-c", 'echo 0 >"$0"', group.enter], stderr=subprocess.DEVNULL, check=True)
            return group
        except (OSError, subprocess.SubprocessError):
            group.remove()
    return None


def _parents() -> Iterator[tuple[Path, bool]]:
    """Folders in which a group with a limit on memory can be made, and whether they are of the unified hierarchy."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            own = ROOT / "memory" / path.lstrip("/")
            yield (own if own.is_dir() else ROOT / "memory"), False  # a container sees its own group as the root
    for line in lines:
        if not line.startswith("0::"):
            continue
        own = ROOT / line[3:].lstrip("/")
        for folder in (own, *own.parents):
            if not folder.is_relative_to(ROOT):
                return
            try:
                if "memory" in (folder / "cgroup.subtree_control").read_text().split():
                    yield folder, True
            except OSError:
                continue


def _sweep(parent: Path) -> None:
    """Removes the groups of processes that were killed."""
    for folder in parent.glob("antiphon-*-*"):
        found = _NAME.fullmatch(folder.name)
        if found and not Path("/proc", found[1]).exists():
            Cgroup(folder, False).remove()
