"""Where an export goes: written beside its place, and put there in one step when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from antiphon.errors import UsageError
from antiphon.files import synchronise

MANIFEST = "manifest.json"
"""In a folder, what tells that an export wrote it, and what belongs to it. It is written last: a folder without it
is no data set, and is never replaced."""


def bad_name(path: str | Path, suffixes: tuple[str, ...]) -> UsageError:
    """The error of a name that is neither a file's nor a folder's."""
    return UsageError(f"{path}: an export ends in {', '.join(suffixes)}, or is a folder (a name without a dot)")


class Place:
    """The destination of an export, links followed.

    Attributes:
        path: the file or folder itself.
        name: its last part.
        reused: files that were there already; none, where a folder is put in its place in one step.
    """

    reused = 0

    def __init__(self, path: Path, suffixes: tuple[str, ...], *, overwrite: bool):
        """Looks at the place.

        Args:
            suffixes: what a file may end in; a name that has no ending is a folder.
            overwrite: whether what an earlier export left may be replaced.

        Raises:
            UsageError: nothing can or may be written there.
        """
        self._given = path
        self.path = path.resolve()
        self.name = self.path.name
        self.is_folder = not path.name.endswith(suffixes) and (not path.suffix or path.is_dir())
        if not self.is_folder and not path.name.endswith(suffixes):
            raise bad_name(path, suffixes)
        if not self.path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {self.path.parent}; make it first")
        if self.path.exists():
            self._require_replaceable(overwrite)
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._old = self.path.with_name(f".{self.path.name}.old")

    def _require_replaceable(self, overwrite: bool) -> None:
        if self.is_folder:
            if self.path.is_dir() and not any(self.path.iterdir()):
                return
            if not (self.path / MANIFEST).is_file():
                raise UsageError(f"{self._given}: is there already, and no folder that an export wrote; name another")
        elif not self.path.is_file():
            raise UsageError(f"{self._given}: is there already, and no ordinary file; name another")
        if not overwrite:
            raise UsageError(f"{self._given}: is there already; --overwrite replaces it")

    @contextlib.contextmanager
    def part(self) -> Iterator[Path]:
        """An empty file or folder beside the place, which takes it when the context is left without an error, and is
        removed otherwise. What a killed export left is removed first.

        Raises:
            UsageError: another export is writing there.
        """
        lock = self._taken()
        try:
            yield self._part
            self._put()
        finally:
            _removed(self._part)
            os.close(lock)

    def deliver(self, file: Path, name: str, sha256: str) -> None:
        """Takes a file that is whole. It is put in place with all others."""

    def _put(self) -> None:
        """Puts the part in its place. A folder that is full cannot be replaced in one step: for the moment between two
        there is none of this name."""
        if self.is_folder and self.path.exists():
            self.path.rename(self._old)
            try:
                self._part.rename(self.path)
            except OSError:
                self._old.rename(self.path)
                raise
        else:
            self._part.replace(self.path)
        synchronise(self.path.parent)
        _removed(self._old)

    def _taken(self) -> int:
        """The part made and locked. The kernel lets go of the lock when its process dies, so a part that is locked is
        somebody's and one that is not is nobody's."""
        while True:
            if self.is_folder:
                self._part.mkdir(exist_ok=True)
                lock = os.open(self._part, os.O_RDONLY)
            else:
                lock = os.open(self._part, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise UsageError(f"{self._given}: another export is writing it; wait until it ends") from None
            if _is_still(self._part, lock):
                break
            os.close(lock)  # it was put in place, or removed, before it was locked
        if self.is_folder:
            for left in self._part.iterdir():
                _removed(left)
        else:
            os.ftruncate(lock, 0)
        return lock


def written_through(path: Path, text: str) -> None:
    """Writes a small file to the disk; lone surrogates become question marks."""
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
