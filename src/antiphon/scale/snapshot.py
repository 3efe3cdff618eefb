"""A run directory on a machine's own disk, kept on a common store by what is new in it from time to time.

A snapshot is a file with the rows that changed since the one before, by their change numbers: a small SQLite database
of the same tables, compressed. Its cost goes by what is new, and by the traces in flight, whose rows are looked at. Put
back in their order, snapshots make the run directory as it was at the last of them, with the same numbers and the same
`id`, so that it can be written on, or merged. Files are written whole or not at all, and never changed.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from antiphon.errors import StoreBusy, StoreError, StoreUnfit
from antiphon.files import atomic
from antiphon.store.place import DATABASE, Lock, create, explained, open_for_reading
from antiphon.store.schema import MIGRATIONS, migrate, version_of

_OWNER = "owner"
"""Who writes the snapshots of a folder: a name made up by each who begins to. The same stands in his run directory."""

_NEW = {
    "meta": "SELECT * FROM main.meta",
    **{table: f"SELECT * FROM main.{table} WHERE change > :since" for table in ("problems", "variants", "about")},
    "sessions": "SELECT * FROM main.sessions WHERE change > :since",
    "traces": "SELECT t.* FROM new.extent e CROSS JOIN main.traces t ON t.number = e.trace",
    **{
        table: f"SELECT r.* FROM new.extent e CROSS JOIN main.{table} r ON r.trace = e.trace WHERE r.change > :since"
        for table in ("spans", "turns")
    },
    **{
        table: f"SELECT r.* FROM new.extent e CROSS JOIN main.{table} r ON r.trace = e.trace"
        " WHERE e.fresh OR r.change > :since"
        for table in ("usage", "verdicts", "made_from", "calls")
    },
    "growing": """SELECT g.* FROM new.extent e CROSS JOIN main.growing g ON g.trace = e.trace
        LEFT JOIN temp.sent s ON s.trace = g.trace AND s.position = g.position
        LEFT JOIN main.spans p ON p.trace = g.trace AND p.position = g.position
        WHERE e.fresh OR p.change > :since OR g.number > coalesce(s.number, 0)""",
}
"""What a snapshot takes of each table.

A trace's change number says when it was begun, finished, judged or taken back (it is `fresh` then), and only then may
rows of it have been dropped; traces in flight get rows without it. What a span grows by has no change numbers: within a
span rows are appended, and go together when it closes.
"""

_EXTENT = """INSERT INTO new.extent SELECT number, change > :since,
        (SELECT coalesce(max(position) + 1, 0) FROM main.spans WHERE trace = number),
        (SELECT coalesce(max(position) + 1, 0) FROM main.turns WHERE trace = number)
    FROM main.traces WHERE change > :since OR (status IS NULL AND started IS NOT NULL)"""

_FRESH = "SELECT trace FROM new.extent WHERE fresh"
_DROPPED = (
    *(f"DELETE FROM main.{table} WHERE trace IN ({_FRESH})" for table in ("growing", "verdicts", "made_from", "calls")),
    "DELETE FROM main.growing WHERE (trace, position) IN (SELECT trace, position FROM new.spans)",
    *(
        f"""DELETE FROM main.{table} WHERE trace IN ({_FRESH})
        AND position >= (SELECT {table} FROM new.extent e WHERE e.trace = main.{table}.trace)"""
        for table in ("spans", "turns")
    ),
)
"""What is there no more when a snapshot is put back."""


class TakenOver(StoreBusy):
    """Another process has claimed the snapshots of a run directory."""


class Snapshots:
    """The snapshots of a run directory, and the right to write them.

    Args:
        local: the run directory, on a disk of this machine.
        folder: of its own for this run directory, on a store that all machines see. It must be there.
    """

    def __init__(self, local: Path, folder: Path):
        self.local, self.folder = local, folder
        self._name = ""
        self._since = 0
        self._connection: sqlite3.Connection | None = None

    def claim(self) -> None:
        """Takes the right to write from whoever had it, and makes the run directory what the last snapshot says; one
        that is here and was the last to be written is left as it stands, and may be further.

        Raises:
            StoreBusy: a process of this machine still writes it.
            StoreError: a snapshot is missing, damaged or of a newer version; or something cannot be written.
        """
        mark, owner = self.local.with_name(f"{self.local.name}.{_OWNER}"), self.folder / _OWNER
        if not self.folder.is_dir():
            raise StoreUnfit(
                f"{self.folder} is not there on this machine; it has to be on a store that all machines see"
            )
        with explained(self.local):
            create(self.local)
            with Lock(self.local):
                with explained(self.folder):
                    there = owner.read_text("utf-8") if owner.exists() else None
                    is_ours = there is not None and mark.exists() and mark.read_text("utf-8") == there
                    self._name = uuid.uuid4().hex
                    with atomic(owner) as file:
                        file.write(self._name.encode())
                until = _until(self.folder)
                if not (is_ours and self._change() >= until):
                    for path in self.local.glob(f"{DATABASE}*"):
                        path.unlink()
                    until = restored(self.folder, self.local)
            mark.write_text(self._name, "utf-8")
        self._since = until

    def take(self) -> int:
        """Writes a snapshot of what is new; how many bytes it takes, 0 where nothing is.

        May be called from any one thread, while the directory is written. After an error the next one takes all of it.

        Raises:
            TakenOver: another has claimed the snapshots; from then on only he may write them.
            StoreError: it could not be written.
        """
        with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=self.local.parent) as scratch:
            part = Path(scratch) / DATABASE
            with explained(self.local):
                until = self._written(part)
            if until == self._since:
                return 0
            try:
                with explained(self.folder):
                    size = self._kept(part)
            except StoreError:
                if self._connection is not None:
                    self._connection.execute("DELETE FROM temp.sent")
                raise
        self._since = until
        return size

    def close(self) -> None:
        """Lets go of the directory. Safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def discard(self) -> None:
        """Removes the run directory of this machine, when its last snapshot is taken."""
        self.close()
        shutil.rmtree(self.local, ignore_errors=True)
        self.local.with_name(f"{self.local.name}.{_OWNER}").unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection | None:
        """The database; None where its writer has not made it or brought it up to date yet."""
        path = self.local.absolute() / DATABASE
        if self._connection is None and path.exists():
            address = f"{path.as_uri()}?mode=ro"
            connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            try:
                if version_of(connection, path) < len(MIGRATIONS):
                    connection.close()
                    return None
                connection.execute(
                    "CREATE TEMP TABLE sent (trace INTEGER, position INTEGER, number INTEGER, UNIQUE (trace, position))"
                )
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _change(self) -> int:
        """The newest change number of the run directory; -1 where there is none."""
        if not (self.local / DATABASE).exists():
            return -1
        with contextlib.closing(open_for_reading(self.local)) as connection:
            return _changed(connection)

    def _written(self, part: Path) -> int:
        """What is new, as it stands at one moment, in a database of its own; the change number of that moment."""
        connection = self._open()
        if connection is None:
            return self._since
        connection.execute("ATTACH ? AS new", (str(part),))
        try:
            connection.execute("PRAGMA new.journal_mode = OFF")
            connection.execute("PRAGMA new.synchronous = OFF")
            connection.execute(f"PRAGMA new.user_version = {version_of(connection, self.local / DATABASE)}")
            connection.execute(
                "CREATE TABLE new.extent (trace INTEGER PRIMARY KEY, fresh INTEGER, spans INTEGER, turns INTEGER)"
            )
            connection.execute("BEGIN")
            try:
                until = _changed(connection)
                if until != self._since:
                    since = {"since": self._since}
                    connection.execute("CREATE TABLE new.moment AS SELECT :since AS since", since)
                    connection.execute(_EXTENT, since)
                    for table, query in _NEW.items():
                        connection.execute(f"CREATE TABLE new.{table} AS {query}", since)
                    connection.execute("DELETE FROM temp.sent")
                    connection.execute(
                        """INSERT INTO temp.sent SELECT trace, position, max(number) FROM main.growing
                        GROUP BY trace, position"""
                    )
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        finally:
            connection.execute("DETACH new")
        return until

    def _kept(self, part: Path) -> int:
        """Puts it beside the others, compressed; its size."""
        import zstandard

        owner = self.folder / _OWNER
        if not owner.exists() or owner.read_text("utf-8") != self._name:
            raise TakenOver(f"{self.folder}: another process has taken over these snapshots; this one stops")
        path = self.folder / f"{len(_files(self.folder)) + 1:08}.sqlite.zst"
        with part.open("rb") as file, _new(path) as target:
            zstandard.ZstdCompressor().copy_stream(file, target)
        return path.stat().st_size


def restored(folder: Path, to: Path) -> int:
    """Makes a run directory of the snapshots in a folder; the change number of the last, 0 where there are none.

    Args:
        to: the directory, with no run in it.

    Raises:
        StoreError: a snapshot is missing, damaged or of a newer version; or something cannot be written.
    """
    files = _files(folder)
    if not files:
        return 0
    with explained(to):
        create(to)
        connection = sqlite3.connect(to / DATABASE, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # after a power cut it is made anew
        for file in files:
            with _unpacked(file) as part, explained(file):
                _put_back(connection, part, file)
        return _changed(connection)


def _put_back(connection: sqlite3.Connection, part: Path, file: Path) -> None:
    connection.execute("ATTACH ? AS new", (str(part),))
    try:
        (version,) = connection.execute("PRAGMA new.user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreUnfit(f"{file} was written by a newer version of antiphon; upgrade to go on")
        migrate(connection, version_of(connection, file), version)
        (since,) = connection.execute("SELECT since FROM new.moment").fetchone()
        if since != _changed(connection):
            raise StoreUnfit(
                f"{file} goes on from change {since}, the snapshot before it ends at {_changed(connection)}:"
                " one is missing between them"
            )
        connection.execute("BEGIN")
        for statement in _DROPPED:
            connection.execute(statement)
        for table in _NEW:
            names = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA new.table_info({table})"))
            connection.execute(f"INSERT OR REPLACE INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("DETACH new")


def _until(folder: Path) -> int:
    """The change number of the last snapshot, 0 where there is none."""
    files = _files(folder)
    if not files:
        return 0
    with _unpacked(files[-1]) as part, explained(files[-1]), contextlib.closing(sqlite3.connect(part)) as connection:
        return _changed(connection)


def _changed(connection: sqlite3.Connection) -> int:
    (change,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
    return int(change)


def _files(folder: Path) -> list[Path]:
    """The snapshots in their order.

    Raises:
        StoreUnfit: one is missing.
    """
    files = sorted(folder.glob("*.sqlite.zst"))
    for number, file in enumerate(files, 1):
        if file.name != f"{number:08}.sqlite.zst":
            raise StoreUnfit(f"{folder}: snapshot {number:08} is missing; bring it back, it is needed for what follows")
    return files


@contextlib.contextmanager
def _unpacked(file: Path) -> Iterator[Path]:
    """The database in a snapshot, in a place of its own."""
    import zstandard

    with tempfile.TemporaryDirectory(prefix="antiphon-") as scratch:
        part = Path(scratch) / DATABASE
        with explained(file), file.open("rb") as packed, part.open("wb") as target:
            try:
                zstandard.ZstdDecompressor().copy_stream(packed, target)
            except zstandard.ZstdError as error:
                raise StoreUnfit(f"{file} is damaged ({error}); bring it back from a copy") from None
        yield part


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name when it is whole, and only if nothing has that name.

    Raises:
        TakenOver: something has.
        OSError: it cannot be written.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with atomic(part) as file:
            yield file
        try:
            path.hardlink_to(part)
        except FileExistsError:
            raise TakenOver(
                f"{path} is there already: another process writes these snapshots; this one stops"
            ) from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            part.rename(path)  # a file system without links; who owns the folder was looked at just before
    finally:
        part.unlink(missing_ok=True)
