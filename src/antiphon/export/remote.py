"""An export at a URL: its files are sent one by one, and the manifest last, which makes a data set of them.

Stores lock nothing and rename nothing. So every name but the manifest's says what is in the file, nothing that a
manifest names is touched before another manifest stands in its place, and what no manifest names is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from antiphon.errors import StorageError, UsageError
from antiphon.export.place import MANIFEST, bad_name
from antiphon.export.shards import NUMBERED
from antiphon.plural import many
from antiphon.storage import Remote

_SHOWN = 3  # names of files in a message


class RemotePlace:
    """The destination of an export in a store; as `antiphon.export.place.Place`.

    Attributes:
        path: the URL, without a name and password in it.
        reused: files of a killed export that were there already.
    """

    def __init__(self, url: str, suffixes: tuple[str, ...], *, overwrite: bool):
        """Looks at the place.

        Raises:
            UsageError: nothing can or may be written there.
            StorageError: the store fails.
        """
        self._root = Remote(url.rstrip("/"))
        self.path: str | Path = self._root.name
        self.reused = 0
        below = re.sub(r"^[^:]*://[^/]*/?", "", self._root.name)
        self.name = (below or self._root.name).rpartition("/")[2]
        self.is_folder = not below.endswith(suffixes) and "." not in below.rpartition("/")[2]
        if not self.is_folder and not below.endswith(suffixes):
            raise bad_name(self.path, suffixes)
        self._there = self._root.sizes() if self.is_folder else {}
        self._delivered: list[str] = []
        taken = MANIFEST in self._there if self.is_folder else bool(self._root.kind())
        if taken and not overwrite:
            raise UsageError(f"{self.path}: is there already; --overwrite replaces it")
        if self._there and not taken and not any(map(NUMBERED.fullmatch, self._there)):
            raise UsageError(f"{self.path}: is there already, and no folder that an export wrote; name another")

    @contextmanager
    def part(self) -> Iterator[Path]:
        """An empty folder on this machine, or a file to be written, from which files are sent by `deliver`. Where the
        context is left without an error, what earlier exports left is removed.

        Raises:
            StorageError: that failed, or something is missing; says what.
        """
        with TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) if self.is_folder else Path(folder) / self.name
            if self.is_folder:
                self._sweep()

    def deliver(self, file: Path, name: str, sha256: str) -> None:
        """Sends a file that is whole and reads it back.

        Raises:
            StorageError: it is not there; says what is.
        """
        target = self._root / name if self.is_folder else self._root
        if name == MANIFEST:
            with self._explained(name):
                there = self._root.sizes()
            self._require_delivered(there)
        with self._explained(name):
            if self._there.get(name) == file.stat().st_size and target.digest() == sha256:
                self.reused += bool(NUMBERED.fullmatch(name))
            else:
                target.put(file)
                if target.digest() != sha256:
                    raise StorageError(f"{target.name}: reads back otherwise than it was sent")
        self._delivered.append(name)
        file.unlink()

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Says what is there when a file could not be sent, and what to do."""
        try:
            yield
        except StorageError as error:
            if not self.is_folder:
                raise StorageError(f"{error}; nothing else was written, and the same command tries again") from None
            whole = sum(1 for one in self._delivered if NUMBERED.fullmatch(one))
            missing = f"{name} was not confirmed" if name == MANIFEST else f"{name} and what comes after it are missing"
            earlier = "the earlier data set still stands" if MANIFEST in self._there else "this is no data set yet"
            raise StorageError(
                f"{error}; {missing}, {many(whole, 'file')} before it came through, and {earlier}; the same command"
                " goes on"
            ) from None

    def _require_delivered(self, there: Mapping[str, int]) -> None:
        """Of two exports to one place, the later may have removed files of ours before our manifest stood."""
        gone = [name for name in self._delivered if name not in there]
        if gone:
            if MANIFEST in self._delivered:
                (self._root / MANIFEST).remove()
            raise StorageError(
                f"{self.path}: gone again, perhaps by another export: {_some(gone)}; this is no data set, export again"
            )

    def _sweep(self) -> None:
        """Removes what no manifest names any more."""
        try:
            there = self._root.sizes()
        except StorageError as error:
            raise StorageError(f"{error}; the data set is complete, what earlier ones left was not seen") from None
        self._require_delivered(there)
        left, why = [], ""
        for name in there:
            if NUMBERED.fullmatch(name) and name not in self._delivered:
                try:
                    (self._root / name).remove()
                except StorageError as error:
                    left.append(name)
                    why = str(error)
        if left:
            raise StorageError(
                f"{self.path}: the data set is complete, but {many(len(left), 'file')} of an earlier export could not"
                f" be removed ({_some(left)}), and who reads by wildcard would read them, too; {why}"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
