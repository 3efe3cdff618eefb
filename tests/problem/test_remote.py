"""Problems from files at URLs: streamed, wildcards, and what is said where a store fails."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon import storage
from antiphon.errors import MissingDependency, ProblemError, StorageError
from antiphon.problem import load

fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'antiphon[remote]'")


@pytest.fixture
def store() -> Iterator[Any]:
    """The store in memory, empty."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


def lines(*numbers: int) -> bytes:
    return "".join(json.dumps({"id": str(n), "question": f"{n}?"}) + "\n" for n in numbers).encode()


def test_files_wildcards_and_compression(store: Any) -> None:
    store.pipe("/set/b.jsonl", lines(3))
    store.pipe("/set/a.jsonl.gz", gzip.compress(lines(1, 2)))
    store.pipe("/set/deep/c.jsonl", lines(4))
    assert [one.id for one in load("memory://set/b.jsonl").problems] == ["3"]
    loaded = load("memory://set/**/*.jsonl*")
    loaded.require_good()
    assert [one.id for one in loaded.problems] == ["1", "2", "3", "4"]
    assert {one.source for one in load("memory://set/*.gz").problems} == {"memory:///set/a.jsonl.gz"}


def test_tables(store: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    table, buffer = pyarrow.table({"id": ["1", "2"], "question": ["a", "b"]}), io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    store.pipe("/set/a.parquet", buffer.getvalue())
    assert [one.id for one in load("memory://set/a.parquet").problems] == ["1", "2"]


def test_a_url_of_this_machine_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a b.jsonl").write_bytes(lines(1))
    for name in ("a b.jsonl", "a%20b.jsonl", "*.jsonl"):
        assert [one.id for one in load(f"file://{tmp_path}/{name}").problems] == ["1"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://set/none.jsonl", "memory://set/none.jsonl: there is no such file"),
        ("memory://set/*.csv", "no file matches"),
        ("memory://set", "is a folder; name its files, as in 'memory://set/\\*.jsonl'"),
        ("nowhere://me:secret@host/x.jsonl", "nowhere://host/x.jsonl: cannot be used"),
    ],
)
def test_what_is_not_there(store: Any, url: str, said: str) -> None:
    store.pipe("/set/a.jsonl", lines(1))
    with pytest.raises((ProblemError, ValueError), match=said) as told:
        load(url)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("module", "url", "said"),
    [
        (
            "fsspec",
            "memory://a.jsonl",
            r"memory://a.jsonl needs fsspec; install it with: pip install 'antiphon\[r",
        ),
        ("s3fs", "s3://b/a.jsonl", r"s3://b/a.jsonl needs s3fs; install it with: pip install 'antiphon\[remote\]'"),
        ("gcsfs", "gs://b/a.jsonl", "gs://b/a.jsonl needs gcsfs; install it with: pip install gcsfs"),
    ],
)
def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch, module: str, url: str, said: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for scheme in ("s3", "gs"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(MissingDependency, match=said):
        load(url)


def test_a_store_that_breaks_off_is_no_damaged_file(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read is not passed over as a bad record would be."""
    store.pipe("/set/a.jsonl", lines(*range(100_000)))
    whole, reads = type(store).cat_file, iter(range(2))

    def cat_file(self: Any, path: str, **how: Any) -> Any:
        if next(reads, None) is None:
            raise ConnectionResetError("the line broke")
        return whole(self, path, **how)

    monkeypatch.setattr(type(store), "cat_file", cat_file)
    monkeypatch.setattr(storage, "_BLOCK", 1 << 18)
    with pytest.raises(StorageError, match=r"memory://set/a\.jsonl: cannot be read further: the line broke"):
        load("memory://set/a.jsonl")
