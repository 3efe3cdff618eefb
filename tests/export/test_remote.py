"""Exports to a store: complete and read by others, or what is missing is said, and never a manifest over missing data.

The store is moto's S3, and whatever is asked of it may fail (`tests/export/s3.py`).
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon import storage
from antiphon.errors import StorageError, UsageError
from antiphon.export import Exported, write
from antiphon.export.remote import RemotePlace
from antiphon.store import Reader
from tests.export.fake import run, trace
from tests.export.s3 import FAULTS, S3, Bucket, quickly, rows_of, serving

KINDS = ("list", "put", "head", "get")
"""The calls of a first export whose files are small; one that replaces another has `delete`, too."""


@pytest.fixture(scope="module")
def store() -> Iterator[S3]:
    with serving() as store:
        yield store


@pytest.fixture
def bucket(store: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bucket:
    quickly(store, monkeypatch)
    return Bucket(store, f"b{zlib.crc32(request.node.name.encode())}")


def reader(count: int = 5, text: str = "a") -> Reader:
    return run(*(trace(f"{text} {number}", sample=number) for number in range(count)))


def expected(count: int = 5, text: str = "a") -> list[str]:
    return [f"{text} {number}" for number in range(count)]


def export(bucket: Bucket, traces: Reader, **how: Any) -> Exported:
    return write(traces, "messages", f"s3://{bucket.name}/set", **{"rows_per_file": 2, **how})


def test_others_read_it(store: S3, bucket: Bucket, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install duckdb")
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install datasets")
    import pyarrow.dataset
    import s3fs

    done = export(bucket, reader())
    assert (done.path, done.rows, done.reused) == (f"s3://{bucket.name}/set", 5, 0)
    assert [file.rows for file in done.files] == [2, 2, 1]
    assert rows_of(bucket.objects("set/")) == expected()
    urls = [f"s3://{bucket.name}/set/{file.name}" for file in done.files]

    files = s3fs.S3FileSystem()
    connection = duckdb.connect()
    connection.register_filesystem(files)
    said = f"SELECT messages[-1].content FROM read_parquet('s3://{bucket.name}/set/data/*.parquet') ORDER BY sample"
    assert [row for (row,) in connection.execute(said).fetchall()] == expected()

    loaded = datasets.load_dataset(
        "parquet", data_files={"train": urls}, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["messages"][-1]["content"] for row in loaded] == expected()

    table = pyarrow.dataset.dataset([url.removeprefix("s3://") for url in urls], filesystem=files).to_table()
    assert [row["messages"][-1]["content"] for row in table.to_pylist()] == expected()


def test_the_manifest_and_the_card_name_every_file(bucket: Bucket) -> None:
    done = export(bucket, reader(), suffix=".jsonl.zst")
    objects = bucket.objects("set/")
    said = json.loads(objects["manifest.json"])
    assert said["files"] == [file._asdict() for file in done.files]
    assert (said["rows"], said["change"], said["format"]) == (5, 5, "messages")
    assert {"name": "sample", "type": "int64"} in said["schema"]
    assert {name for name in objects if name.startswith("data/")} == {file.name for file in done.files}
    assert all(f"    - {file.name}\n" in objects["README.md"].decode() for file in done.files)
    assert all(name.endswith(".jsonl.zst") for name in objects if name.startswith("data/"))


def test_one_file_by_its_name(bucket: Bucket) -> None:
    url = f"s3://{bucket.name}/deep/train.jsonl"
    assert write(reader(), "messages", url).rows == 5
    objects = bucket.objects()
    assert [*objects] == ["deep/train.jsonl"] and objects["deep/train.jsonl"].count(b"\n") == 5
    with pytest.raises(UsageError, match="is there already; --overwrite replaces it"):
        write(reader(), "messages", url)
    write(reader(2), "messages", url, overwrite=True)
    assert bucket.objects()["deep/train.jsonl"].count(b"\n") == 2


def test_what_is_there_is_replaced_only_where_asked(bucket: Bucket) -> None:
    export(bucket, reader())
    with pytest.raises(UsageError, match="is there already; --overwrite replaces it"):
        export(bucket, reader(3, "b"))
    export(bucket, reader(3, "b"), overwrite=True)
    objects = bucket.objects("set/")
    assert rows_of(objects) == expected(3, "b")
    assert sum(name.startswith("data/") for name in objects) == 2, "the earlier files are gone"


def test_what_no_export_wrote_is_left_alone(bucket: Bucket) -> None:
    write(reader(), "messages", f"s3://{bucket.name}/set/thesis.jsonl")
    with pytest.raises(UsageError, match="is there already, and no folder that an export wrote"):
        export(bucket, reader(), overwrite=True)


@pytest.mark.parametrize(("kind", "fault"), [*zip(KINDS, FAULTS, strict=False)])
def test_a_call_that_fails_once_changes_nothing(store: S3, bucket: Bucket, kind: str, fault: str) -> None:
    seen: list[str] = []

    def once(number: int, called: str) -> str | None:
        seen.append(called)
        return fault if called == kind and seen.count(kind) == 1 else None

    store.fault = once
    export(bucket, reader())
    assert seen.count(kind) > 1
    assert rows_of(bucket.objects("set/")) == expected()


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_always_fails_is_said_and_the_next_export_goes_on(store: S3, bucket: Bucket, kind: str) -> None:
    seen: list[str] = []

    def from_the_third_on(number: int, called: str) -> str | None:
        seen.append(called)
        return "500" if called == kind and seen.count(kind) > (2 if kind in ("put", "head") else 0) else None

    store.fault = from_the_third_on
    with pytest.raises(StorageError) as told:
        export(bucket, reader())
    assert rows_of(bucket.objects("set/")) is None
    if kind != "list":
        assert re.search(r"train-0000\d-\w{16}\.parquet and what comes after it are missing, \d files", str(told.value))
        assert "this is no data set yet; the same command goes on" in str(told.value)
    store.forget()
    done = export(bucket, reader())
    assert done.reused == {"list": 0, "get": 1, "put": 2, "head": 2}[kind] or kind == "head"
    assert rows_of(bucket.objects("set/")) == expected()


def every(store: S3, go: Callable[[], Any], check: Callable[[], None], more: int = 0) -> None:
    """Carries something out with each of its calls failing: once in every way, and from there on in one of them."""
    go()
    calls = len(store.calls)
    assert calls > 5
    for fault in FAULTS:
        for at in range(calls + more):
            for persists in (False, True) if fault == FAULTS[at % len(FAULTS)] else (False,):
                store.forget()
                store.fault = lambda number, kind, at=at, persists=persists, fault=fault: (
                    fault if number == at or (persists and number > at) else None
                )
                try:
                    go()
                except StorageError as error:
                    assert persists, f"{fault} at call {at} ({store.calls[at]}): {error}"
                store.fault = lambda number, kind: None
                check()


@pytest.mark.slow(minutes=1)
def test_every_call_of_an_export_fails(store: S3, bucket: Bucket) -> None:
    count = 0

    def go() -> None:
        nonlocal count
        count += 1
        write(reader(), "messages", f"s3://{bucket.name}/{count}/set", rows_per_file=2)

    def check() -> None:
        objects = bucket.objects(f"{count}/set/")
        if rows_of(objects) != expected():
            assert rows_of(objects) is None
            write(reader(), "messages", f"s3://{bucket.name}/{count}/set", rows_per_file=2)
            assert rows_of(bucket.objects(f"{count}/set/")) == expected()

    every(store, go, check)


@pytest.mark.slow(minutes=2)
def test_every_call_of_an_export_that_replaces_another_fails(store: S3, bucket: Bucket) -> None:
    """At any moment one of the two is whole."""
    text = "a"

    def go() -> None:
        nonlocal text
        if rows_of(bucket.objects("set/")) == expected(5, text):
            text = "b" if text == "a" else "a"
        export(bucket, reader(5, text), overwrite=True)

    def check() -> None:
        assert rows_of(bucket.objects("set/")) in (expected(5, "a"), expected(5, "b"))

    export(bucket, reader(5, "b"))
    store.forget()
    every(store, go, check)
    export(bucket, reader(5, text), overwrite=True)
    assert sum(name.startswith("data/") for name in bucket.objects("set/")) == 3


@pytest.mark.slow(minutes=3)
def test_every_call_of_an_upload_in_pieces_fails(store: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PART", 5 << 20)
    text = os.urandom(11 << 20).hex()
    count = 0

    def go() -> None:
        nonlocal count
        count += 1
        write(run(trace(text)), "messages", f"s3://{bucket.name}/{count}/set", rows_per_file=2)

    def check() -> None:
        assert rows_of(bucket.objects(f"{count}/set/")) in (None, [text])
        for name in bucket.objects(f"{count}/"):
            bucket.remove(f"{count}/{name}")

    go()
    assert {"create", "part", "complete"} <= set(store.calls)
    store.forget()
    every(store, go, check)


def test_another_export_that_removes_our_files_is_noticed(
    store: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = RemotePlace.deliver

    def meanwhile(when: str) -> None:
        def stolen(self: RemotePlace, file: Path, name: str, sha256: str) -> None:
            if when == "before" and name == "manifest.json":
                bucket.remove(f"set/{self._delivered[0]}")
            deliver(self, file, name, sha256)
            if when == "after" and name == "manifest.json":
                bucket.remove(f"set/{self._delivered[0]}")

        monkeypatch.setattr(RemotePlace, "deliver", stolen)

    for when in ("before", "after"):
        meanwhile(when)
        with pytest.raises(StorageError, match="gone again, perhaps by another export: data/train-00000-"):
            export(bucket, reader())
        assert rows_of(bucket.objects("set/")) is None


def test_the_same_in_the_store_in_memory() -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'antiphon[remote]'")
    files = fsspec.filesystem("memory")
    files.store.clear()
    for text in ("a", "b"):
        assert len(write(reader(5, text), "messages", "memory://x/set", rows_per_file=2, overwrite=True).files) == 3
        objects = {path.removeprefix("/x/set/"): files.cat(path) for path in files.find("/x/set")}
        assert rows_of(objects) == expected(5, text) and len(objects) == 5
    files.store.clear()


def test_several_files_on_this_machine(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install datasets")
    for url, suffix in ((f"file://{tmp_path}/one", ".parquet"), (str(tmp_path / "two"), ".jsonl.gz")):
        done = write(reader(), "messages", url, rows_per_file=2, suffix=suffix)
        folder = Path(done.path)
        assert [(folder / file.name).stat().st_size for file in done.files] == [file.bytes for file in done.files]
        assert json.loads((folder / "manifest.json").read_text())["rows"] == 5
        loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert [row["messages"][-1]["content"] for row in loaded] == expected()
    with pytest.raises(UsageError, match="is one file"):
        write(reader(), "messages", tmp_path / "x.jsonl", rows_per_file=2)
    with pytest.raises(UsageError, match=r"\.csv: the files of a folder end in"):
        write(reader(), "messages", tmp_path / "x", rows_per_file=2, suffix=".csv")
    with pytest.raises(UsageError, match="say how many rows a file has"):
        write(reader(), "messages", tmp_path / "x", suffix=".jsonl")
