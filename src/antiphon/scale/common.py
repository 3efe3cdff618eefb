"""A run directory on a store that many machines see: the snapshots of its shards, and the whole that they make."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from antiphon.errors import StoreUnfit
from antiphon.files import atomic
from antiphon.plural import many
from antiphon.scale.merge import merge
from antiphon.scale.snapshot import restored
from antiphon.store.intake import Intake
from antiphon.store.place import DATABASE, MOUNTS, explained, network_file_system

_SHARDS = "shards"


class Common:
    """The directory: `run.sqlite`, the whole as it was last joined, and `shards/I-of-N`, their snapshots.

    On a network file system no database can be written: the whole is made elsewhere there, and put in its place.
    """

    def __init__(self, directory: Path):
        """Makes what is not there.

        Raises:
            StoreUnfit: there is something else: files of another kind, or a run that was not made by merging.
            StoreBusy: another process writes the whole.
            StoreFull: it cannot be written.
        """
        self.directory = directory.absolute()
        mounts = MOUNTS.read_text("utf-8", "surrogateescape") if MOUNTS.exists() else ""
        self._is_network = network_file_system(mounts, str(directory.resolve())) is not None
        with explained(directory):
            if self._is_network:
                self._require_ours()
            else:
                Intake.open(self.directory).close()
            (self.directory / _SHARDS).mkdir(parents=True, exist_ok=True)

    @property
    def shards(self) -> Path:
        """The folder of all shards."""
        return self.directory / _SHARDS

    def divided(self, wanted: int | None, default: int) -> int:
        """Into how many shards the problems are divided: as they were the first time. Makes the shards' folders.

        Raises:
            StoreUnfit: into another number than is wanted.
        """
        names = (re.fullmatch(r"\d+-of-(\d+)", path.name) for path in self.shards.iterdir())
        known = next((int(name[1]) for name in names if name is not None), None)
        if known is not None and wanted is not None and known != wanted:
            there = many(known, "shard")
            raise StoreUnfit(f"{self.directory} is divided into {there}, not {wanted}; give --shards {known}")
        number = known or wanted or default
        for index in range(number):
            self.folder(index, number).mkdir(exist_ok=True)
        return number

    def folder(self, index: int, of: int) -> Path:
        """Where the snapshots of a shard are."""
        return self.shards / f"{index}-of-{of}"

    def join(self) -> list[str]:
        """Joins what the snapshots hold into the whole; remarks on it.

        Raises:
            StoreError: a snapshot is missing or damaged, or something cannot be written.
        """
        remarks = []
        with explained(self.directory), tempfile.TemporaryDirectory(prefix="antiphon-") as scratch:
            whole = Path(scratch) / "whole" if self._is_network else self.directory
            Intake.open(whole).close()
            for folder in sorted(self.shards.glob("*-of-*")):
                part = Path(scratch) / folder.name
                if not restored(folder, part):
                    continue
                merged = merge([part], whole)
                remarks += merged.remarks
                remarks += [
                    f"{folder}: {key} was joined before, with another text" for key in merged.taken[part].differing
                ]
                shutil.rmtree(part)
            if self._is_network:
                with closing(sqlite3.connect(whole / DATABASE)) as connection:
                    connection.execute("PRAGMA journal_mode = DELETE")  # read without shared memory, then
                with (whole / DATABASE).open("rb") as file, atomic(self.directory / DATABASE) as target:
                    shutil.copyfileobj(file, target, 1 << 20)
        return remarks

    def _require_ours(self) -> None:
        if self.directory.exists() and not self.directory.is_dir():
            raise StoreUnfit(f"{self.directory} is a file; a run needs a directory")
        self.directory.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in self.directory.iterdir()}
        if names and _SHARDS not in names:
            raise StoreUnfit(f"{self.directory} is not empty (there is {min(names)}); name a new directory")
