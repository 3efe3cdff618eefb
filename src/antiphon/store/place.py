"""The directory itself: its one writer's lock, the file system it is on, its database opened."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

from antiphon.errors import StoreBusy, StoreError, StoreFull, StoreUnfit
from antiphon.store.schema import MIGRATIONS, migrate, version_of

DATABASE = "run.sqlite"
LOCK = "writer.lock"
MOUNTS = Path("/proc/mounts")

_PATIENCE = 60.0  # seconds for another program that holds the database

_CANNOT_WRITE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
)

_NETWORK = re.compile(
    r"(nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|panfs|wekafs|pvfs2|orangefs|ocfs2|gfs2|ncpfs|davfs"
    r"|fuse\.(sshfs|glusterfs\w*|ceph\w*|beegfs\w*|juicefs|s3fs|gcsfuse|rclone|goofys|mount-s3|blobfuse2?|davfs2?"
    r"|moosefs|mfs\w*|seaweedfs|cvmfs2|onedriver|smbnetfs|curlftpfs))"
)


def network_file_system(mounts: str, path: str) -> str | None:
    """The type of the network file system that holds `path`, None for a local one.

    Args:
        mounts: the text of `/proc/mounts` (man 5 proc): lines of device, place, type and more.
        path: absolute, links resolved.
    """
    held_by, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(held_by):  # a later mount on the same place hides the earlier
            held_by, kind = place, fields[2]
    return kind if _NETWORK.fullmatch(kind) else None


class Lock:
    """The right to write a run directory, held by one process at a time and let go by the kernel when it dies.

    `left_by` is the process that held it last and died holding it, None if the last one let go.

    Raises:
        StoreBusy: another holds it.
    """

    def __init__(self, directory: Path):
        self._file: int | None = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.left_by = self._holder() or None
            self._write(f"process {os.getpid()} on {socket.gethostname()}")
        except BlockingIOError:
            holder = self._holder() or "another process"
            os.close(self._file)
            raise StoreBusy(f"{directory} is being written by {holder}; wait until it ends, or stop it") from None
        except OSError:
            os.close(self._file)
            raise

    def release(self) -> None:
        """Lets go; the file stays. Safe to call twice."""
        if self._file is not None:
            self._write("")
            os.close(self._file)
            self._file = None

    def _holder(self) -> str:
        assert self._file is not None
        return os.pread(self._file, 1024, 0).decode(errors="replace")

    def _write(self, holder: str) -> None:
        assert self._file is not None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, holder.encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def create(directory: Path) -> None:
    """Makes the directory if it is not there, after looking at where it is.

    Raises:
        StoreUnfit: it is a file, or on a network file system.
        OSError: it cannot be made.
    """
    if MOUNTS.exists():
        kind = network_file_system(MOUNTS.read_text("utf-8", "surrogateescape"), str(directory.resolve()))
        if kind is not None:
            raise StoreUnfit(
                f"{directory} is on a network file system ({kind}), where locks and shared memory are not reliable;"
                " write to a local disk and copy the finished run"
            )
    if directory.exists() and not directory.is_dir():
        raise StoreUnfit(f"{directory} is a file; a run needs a directory")
    directory.mkdir(parents=True, exist_ok=True)


def open_for_writing(directory: Path) -> sqlite3.Connection:
    """The database, made or brought up to date. Its lock must be held.

    Raises:
        StoreUnfit: not ours, newer, or without a write-ahead log here.
        sqlite3.Error: it cannot be opened or written.
    """
    path = directory / DATABASE
    connection = _connect(path, "mode=rwc")
    try:
        version = version_of(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnfit(
                f"the file system of {directory} has no shared memory, which a run directory needs; "
                "write to a local disk"
            )
        connection.execute("PRAGMA cache_size = -32768")  # KiB: the pages at which 2,000 traces grow
        connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages, 16 MB
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection, version)
        if version == 0:
            synchronise_folder(directory)
            synchronise_folder(directory.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def synchronise(directory: Path) -> None:
    """Brings the write-ahead log to the disk: all that was committed before is durable then. What SQLite has folded
    into the database meanwhile it has synchronised itself, log first (sqlite.org/wal.html).

    Raises:
        OSError: the disk failed.
    """
    log = os.open(directory / f"{DATABASE}-wal", os.O_RDONLY)
    try:
        os.fsync(log)
    finally:
        os.close(log)


def open_for_reading(directory: Path) -> sqlite3.Connection:
    """The database, read-only. One of an older version is brought up to date first.

    Raises:
        StoreUnfit: not a run directory, newer, or not readable here.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise StoreUnfit(f"{directory} is not a run directory: it has no {DATABASE}")
    with explained(directory):
        return _open_readable(directory, path)


def _open_readable(directory: Path, path: Path) -> sqlite3.Connection:
    try:
        connection, version = _looked_at(path, "mode=ro")
    except sqlite3.OperationalError:
        # Where nothing may be written, the log's shared memory cannot be made; a database that was closed needs none.
        log = path.with_name(f"{DATABASE}-wal")
        if os.access(directory, os.W_OK):
            raise
        if log.exists() and log.stat().st_size:
            raise StoreUnfit(
                f"{directory} is read-only and its last writer did not close it; copy it to where it can be written"
            ) from None
        connection, version = _looked_at(path, "mode=ro&immutable=1")
    if version < len(MIGRATIONS):
        connection.close()
        with Lock(directory):
            open_for_writing(directory).close()
        connection = _connect(path, "mode=ro")
    return connection


def _looked_at(path: Path, how: str) -> tuple[sqlite3.Connection, int]:
    """The database and the version of its tables; closed again where it is refused."""
    connection = _connect(path, how)
    try:
        return connection, version_of(connection, path)
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def attach(connection: sqlite3.Connection, directory: Path, name: str) -> Iterator[None]:
    """Another run directory's database, read-only, beside that of a connection, for the time of the context. One of an
    older version is brought up to date first.

    Raises:
        StoreUnfit: not a run directory, newer, or not readable here.
        sqlite3.Error: of the context.
    """
    open_for_reading(directory).close()
    path = directory / DATABASE
    try:
        connection.execute(f"ATTACH ? AS {name}", (_uri(path, "mode=ro"),))
        connection.execute(f"SELECT count(*) FROM {name}.sqlite_master").fetchone()
    except sqlite3.OperationalError:  # where it was opened without its log, just now
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute(f"DETACH {name}")
        connection.execute(f"ATTACH ? AS {name}", (_uri(path, "mode=ro&immutable=1"),))
    try:
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):  # which would hide what has failed
            connection.execute(f"DETACH {name}")


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Errors of the system and of SQLite as those that say in words why the directory could not be used.

    Raises:
        StoreError: what the context met with.
    """
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise explain(error, directory) from error


def explain(error: sqlite3.Error | OSError, directory: Path) -> StoreError:
    """The error that says in words why the directory could not be used."""
    if isinstance(error, StoreError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one of https://www.sqlite.org/rescode.html
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{directory / DATABASE} is held by another program; close it there and run the command again")
    if isinstance(error, OSError) or code in _CANNOT_WRITE:
        return StoreFull(
            f"{directory} cannot be used: {error}. All that was reported finished is safe."
            " Make room there, or make it writable, and run the command again"
        )
    return StoreUnfit(f"{directory / DATABASE} is damaged, or no run's database ({error}); start a new run")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    # Used by one thread after the other, never by two at once; sqlite3 cannot know and would refuse.
    return sqlite3.connect(
        _uri(path, how),
        uri=True,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )


def _uri(path: Path, how: str) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}?{how}"


def synchronise_folder(directory: Path) -> None:
    """Makes a new name in it durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
