"""Where an export goes: written beside its place, and put there in one step when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from antiphon.errors import UsageError

ABOUT = "export.json"
"""In a folder, what tells that an export wrote it: only such a one is ever replaced."""


class Place:
    """The destination of an export, links followed.

    Attributes:
        path: as the user named it.
        target: the file or folder itself.
    """

    def __init__(self, path: Path, suffixes: tuple[str, ...], *, overwrite: bool):
        """Looks at the place.

        Args:
            suffixes: what a file may end in; a name that has no ending is a folder.
            overwrite: whether what an earlier export left may be replaced.

        Raises:
            UsageError: nothing can or may be written there.
        """
        self.path, self.target = path, path.resolve()
        self.is_folder = not path.name.endswith(suffixes) and (not path.suffix or path.is_dir())
        if not self.is_folder and not path.name.endswith(suffixes):
            raise UsageError(f"{path}: an export ends in {', '.join(suffixes)}, or is a folder (a name without a dot)")
        if not self.target.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {self.target.parent}")
        if self.target.exists():
            self._require_replaceable(overwrite)
        self._part = self.target.with_name(f".{self.target.name}.part")
        self._old = self.target.with_name(f".{self.target.name}.old")

    def _require_replaceable(self, overwrite: bool) -> None:
        if self.is_folder:
            if self.target.is_dir() and not any(self.target.iterdir()):
                return
            if not (self.target / ABOUT).is_file():
                raise UsageError(f"{self.path}: is there already, and no folder that an export wrote")
        elif not self.target.is_file():
            raise UsageError(f"{self.path}: is there already, and no ordinary file")
        if not overwrite:
            raise UsageError(f"{self.path}: is there already; --overwrite replaces it")

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

    def _put(self) -> None:
        """Puts the part in its place. A folder that is full cannot be replaced in one step: for the moment between two
        there is none of this name."""
        if self.is_folder and self.target.exists():
            self.target.rename(self._old)
            try:
                self._part.rename(self.target)
            except OSError:
                self._old.rename(self.target)
                raise
        else:
            self._part.replace(self.target)
        _sync(self.target.parent)
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
                raise UsageError(f"{self.path}: another export is writing it") from None
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


def _sync(folder: Path) -> None:
    """Makes a rename durable, where the system lets folders be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
