"""`antiphon export --to s3://...`: what the command says where a store fails, and how it goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.export.fake import trace
from tests.export.record import record
from tests.export.s3 import Bucket, quickly, rows_of, serving


def test_it_says_what_is_missing_and_goes_on(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = record(tmp_path / "run", [trace(f"a {number}", sample=number) for number in range(5)])
    export = ("export", directory, "--format", "messages", "--rows-per-file", 2, "--to", "s3://sets/one")
    with serving() as store:
        quickly(store, monkeypatch)
        bucket = Bucket(store, "sets")
        store.fault = lambda number, kind: "500" if kind == "put" and number > 6 else None
        failed = command(*export)
        assert failed.code == 3 and "Traceback" not in failed.err
        said = " ".join(failed.err.split())
        assert "s3://sets/one/data/train-0000" in said and "and what comes after it are missing" in said
        assert rows_of(bucket.objects("one/")) is None
        store.forget()
        done = command(*export)
        assert done.code == 0
        assert re.search(r"s3://sets/one: 5 rows in 3 files \(\d of them there already\)", done.out)
        assert rows_of(bucket.objects("one/")) == [f"a {number}" for number in range(5)]
        assert command(*export).code == 2
