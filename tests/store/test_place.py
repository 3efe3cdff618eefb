"""Where a run directory can be, and what is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from antiphon.errors import StoreError, StoreFull, StoreUnfit
from antiphon.store import Reader, Store, place, schema
from antiphon.store.intake import Intake
from antiphon.trace import Status
from tests.store.records import finished, keys, planned, span
from tests.store.test_kill import check_full

(KEY,) = keys()

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb /home/local xfs rw 0 0
//box/share /mnt/my\\040share cifs rw 0 0
host /mnt/ssh fuse.sshfs rw 0 0
weird
tmpfs /over tmpfs rw 0 0
lustre@tcp:/scratch /over lustre rw 0 0
/dev/fuse /mnt/fuse fuse.gocryptfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/var/run", None),
        ("/home", "nfs4"),
        ("/home/me/run", "nfs4"),
        ("/homes/run", None),
        ("/home/local/run", None),
        ("/mnt/my share/run", "cifs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/over/run", "lustre"),
        ("/mnt/fuse/run", None),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(path: str, kind: str | None) -> None:
    assert place.network_file_system(MOUNTS, path) == kind


def test_a_network_file_system_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "network_file_system", lambda mounts, path: "nfs4")
    with pytest.raises(StoreUnfit, match=r"network file system \(nfs4\).*write to a local disk"):
        Store.open(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_mounts_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "none")
    Store.open(tmp_path / "run").close()


def test_what_is_no_run_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StoreUnfit, match="is a file; a run needs a directory"):
        Store.open(file)
    for nothing in (file, tmp_path, tmp_path / "none"):
        with pytest.raises(StoreUnfit, match=r"is not a run directory: it has no run\.sqlite"):
            Reader(nothing)


def both(directory: Path, error: type[StoreError], says: str) -> None:
    for opens in (Store.open, Reader):
        with pytest.raises(error, match=says):
            opens(directory)


def test_no_database_and_anothers_database(tmp_path: Path) -> None:
    database = tmp_path / "run.sqlite"
    database.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    both(tmp_path, StoreUnfit, "damaged, or no run's database")
    database.unlink()
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE cookies (name)")
    connection.close()
    before = database.read_bytes()
    both(tmp_path, StoreUnfit, "is a database of another program")
    assert database.read_bytes() == before


def test_a_newer_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    finished(tmp_path, KEY)
    connection = sqlite3.connect(tmp_path / "run.sqlite")
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    both(tmp_path, StoreUnfit, "was written by a newer version .*upgrade to open it")


def test_an_older_one_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("written", "read"):
        finished(tmp_path / name, KEY)
    with_column = [
        *schema.MIGRATIONS,
        lambda connection: connection.execute("ALTER TABLE traces ADD COLUMN price REAL"),
    ]
    monkeypatch.setattr(schema, "MIGRATIONS", with_column)
    monkeypatch.setattr(place, "MIGRATIONS", with_column)
    Store.open(tmp_path / "written").close()
    for name in ("written", "read"):
        with Reader(tmp_path / name) as reader:
            assert reader.trace(KEY).status is Status.COMPLETE
        connection = sqlite3.connect(tmp_path / name / "run.sqlite")
        assert connection.execute("SELECT price FROM traces").fetchall() == [(None,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(with_column),)
        connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path, KEY)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE spans")
        connection.execute("nonsense")

    with monkeypatch.context() as patch:
        for module in (schema, place):
            patch.setattr(module, "MIGRATIONS", [*schema.MIGRATIONS, half])
        with pytest.raises(StoreError, match="nonsense"):
            Store.open(tmp_path)
    with Store.open(tmp_path), Reader(tmp_path) as reader:
        assert reader.trace(KEY).spans == (span(f"of {KEY}"),)


def test_a_directory_without_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    class Rollback(sqlite3.Connection):
        def execute(self, query: str, *rest: object) -> sqlite3.Cursor:
            return super().execute(query.replace("= WAL", "= DELETE"), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("sqlite3.connect", lambda *rest, **how: connect(*rest, **how, factory=Rollback))
    with pytest.raises(StoreUnfit, match="has no shared memory"):
        Store.open(tmp_path)


def test_a_directory_that_may_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(StoreFull, match="Permission denied"):
        Store.open(tmp_path / "run")


def test_a_lock_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(StoreFull, match="No locks available"):
        Store.open(tmp_path)


def test_any_name(tmp_path: Path) -> None:
    directory = tmp_path / "a ?#%41 é \udcff 'run'"
    finished(directory, KEY)
    with Reader(directory) as reader:
        assert reader.trace(KEY).status is Status.COMPLETE


def test_a_relative_name_outlives_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    finished(Path("run"), KEY)
    assert (tmp_path / "run" / "run.sqlite").exists()


def test_a_database_that_will_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path, KEY)

    def broken(*_: object) -> int:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(place, "version_of", broken)
    both(tmp_path, StoreFull, "disk I/O error")


def test_what_breaks_while_reading_is_said(tmp_path: Path) -> None:
    finished(tmp_path, KEY)
    with Reader(tmp_path) as reader:
        connection = sqlite3.connect(tmp_path / "run.sqlite")
        connection.execute("DROP TABLE turns")
        connection.close()
        with pytest.raises(StoreError, match="no such table: turns"):
            reader.turns(KEY)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("making a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


needs_mount = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="making a small file system needs root",
)


@needs_mount
def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    run, result = small_disk / "run", {"done": [], "error": ""}

    async def fill() -> None:
        with Store.open(run) as store:
            planned(store, keys("p", samples=2000))
            for key in keys("p", samples=2000):
                recorder = store.recorder(key)
                recorder.close_span(0, span("word " * 100))
                await recorder.finish(Status.COMPLETE)
                result["done"].append(key.sample)

    with pytest.raises(StoreFull) as caught:
        asyncio.run(fill())
    result["error"] = str(caught.value)
    with pytest.raises(StoreFull, match="cannot be used"):
        fill_up(small_disk)
        Store.open(small_disk / "another")
    (small_disk / "filler").unlink()
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    check_full(copy, result)


def fill_up(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)


@needs_mount
def test_a_read_only_disk(small_disk: Path, tmp_path: Path) -> None:
    closed, torn = small_disk / "closed", small_disk / "torn"
    finished(closed, KEY)
    finished(torn, KEY)
    store = Store.open(torn)
    store.add_variant("new", {}, {})
    for name in ("run.sqlite", "run.sqlite-wal", "writer.lock"):  # as a kill leaves it
        shutil.copy(torn / name, small_disk / name)
    store.close()
    for path in torn.iterdir():
        path.unlink()
    for name in ("run.sqlite", "run.sqlite-wal", "writer.lock"):
        shutil.move(small_disk / name, torn / name)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Reader(closed) as reader:
        assert [trace.key for trace in reader.traces()] == [KEY]
    with Intake.open(tmp_path / "whole") as taking:
        assert taking.take(closed).new == 1
    with pytest.raises(StoreUnfit, match="is read-only and its last writer did not close it; copy it"):
        Reader(torn)
    with pytest.raises(StoreFull, match="Read-only"):
        Store.open(closed)
