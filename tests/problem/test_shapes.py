"""Every shape of file gives the same problems."""

from __future__ import annotations

import csv
import decimal
import gzip
import io
import json
import os
import sys
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from antiphon.errors import ProblemError
from antiphon.problem import Problem, load
from tests.problem.conftest import lines

RECORDS = [
    {"id": "a", "problem": "1+1?", "answer": "2"},
    {"id": "b", "problem": 'line\nbreak, "quotes"\tand tab', "answer": "ä 漢 😀"},
    {"id": "c", "problem": "3+3?", "answer": ""},
]

Put = Callable[[str, bytes], str]


def as_csv(separator: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(RECORDS[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(RECORDS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), stream)
    return stream.getvalue()


def as_arrow(file: bool) -> bytes:
    stream = io.BytesIO()
    table = pa.Table.from_pylist(RECORDS)
    with (pa.ipc.new_file if file else pa.ipc.new_stream)(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return stream.getvalue()


SHAPES: dict[str, bytes] = {
    "jsonl": lines(RECORDS),
    "ndjson": lines(RECORDS),
    "json": json.dumps(RECORDS, indent=1).encode(),
    "csv": as_csv(","),
    "tsv": as_csv("\t"),
    "parquet": as_parquet(),
    "arrow": as_arrow(file=False),
    "feather": as_arrow(file=True),
}
TEXT = ("jsonl", "json", "csv", "tsv")


def content(problems: list[Problem]) -> list[dict[str, Any]]:
    return [{"id": p.id, "problem": p.messages[0]["content"], **p.metadata} for p in problems]


def good(*paths: str | Path, **options: Any) -> list[Problem]:
    loaded = load(paths, **options)
    loaded.require_good()
    assert not loaded.duplicates
    return loaded.problems


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_told_by_extension(put: Put, shape: str) -> None:
    path = put(f"p.{shape}", SHAPES[shape])
    problems = good(path)
    assert content(problems) == RECORDS
    assert {p.source for p in problems} == {path}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_told_by_content(put: Put, shape: str) -> None:
    assert content(good(put("problems", SHAPES[shape]))) == RECORDS
    assert content(good(put("problems.v2.txt", SHAPES[shape]))) == RECORDS


def test_a_json_file_may_hold_one_record_a_line(put: Put) -> None:
    assert content(good(put("p.json", SHAPES["jsonl"]))) == RECORDS


@pytest.mark.parametrize("shape", TEXT)
@pytest.mark.parametrize("named", [True, False], ids=["by extension", "by content"])
def test_gzip_and_zstd(put: Put, shape: str, named: bool) -> None:
    half = len(SHAPES[shape]) // 2
    parts = SHAPES[shape][:half], SHAPES[shape][half:]
    packers = {"gz": gzip.compress, "zst": zstandard.compress}
    for extension, pack in packers.items():
        for data in (pack(SHAPES[shape]), b"".join(map(pack, parts))):  # also several members, as `cat a b` makes
            assert content(good(put(f"p.{shape}.{extension}" if named else "p", data))) == RECORDS


def test_a_zstd_frame_of_unknown_size_and_wide_window(put: Put) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(SHAPES["jsonl"]) + compressor.flush()
    assert content(good(put("p.jsonl.zst", data))) == RECORDS


@pytest.mark.parametrize("shape", TEXT)
@pytest.mark.parametrize("change", ["bom", "crlf", "bom and crlf", "no last line end", "blank lines"])
def test_byte_order_mark_line_ends_and_blank_lines(put: Put, shape: str, change: str) -> None:
    records = [{**record, "problem": record["problem"].replace("\n", " ")} for record in RECORDS]
    data = SHAPES[shape] if shape in ("jsonl", "json") else SHAPES[shape].replace(b"line\nbreak", b"line break")
    if shape in ("jsonl", "json"):
        data = data.replace(b"line\\nbreak", b"line break")
    if "crlf" in change:
        data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if "bom" in change:
        data = b"\xef\xbb\xbf" + data
    if change == "no last line end":
        data = data.rstrip(b"\r\n")
    if change == "blank lines":
        data = b"\n" + data + b"\n\r\n" if shape in ("jsonl", "json") else data + b"\n\r\n"
    assert content(good(put(f"p.{shape}", data))) == records


def test_files_with_byte_order_marks_joined_end_to_end(put: Put) -> None:
    data = b"".join(b"\xef\xbb\xbf" + lines([record]) for record in RECORDS)
    assert content(good(put("p.jsonl", data))) == RECORDS


@pytest.mark.parametrize("shape", SHAPES)
def test_standard_input(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHAPES[shape])))
    problems = good("-")
    assert content(problems) == RECORDS
    assert problems[0].source == "standard input"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a thing of POSIX systems")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(SHAPES["jsonl"]),))
    writer.start()
    assert content(good(path)) == RECORDS
    writer.join()


def test_several_files_and_globs_come_in_order(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, record in zip(("deep/er/c.jsonl", "b.jsonl", "a[1].jsonl"), RECORDS, strict=True):
        put(name, lines([record]))
    (tmp_path / "empty.jsonl").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [p.id for p in good("**/*.jsonl")] == ["c", "b", "a"]
    assert [p.id for p in good("b.jsonl", Path("deep/er/c.jsonl"))] == ["b", "a"]
    assert [p.source for p in good("a[1].jsonl")] == ["a[1].jsonl"], "a file that is called so wins over the pattern"
    assert [p.id for p in load("b.jsonl").problems] == ["b"], "one path needs no list"


def test_lines_are_those_an_editor_shows(put: Put) -> None:
    records = [{"problem": f"p{number}"} for number in range(3)]
    array = put("p.json", json.dumps(records, indent=2).encode())
    assert [p.line for p in good(array)] == [2, 5, 8]
    assert [p.line for p in good(put("p.jsonl", b"\n" + lines(records)))] == [2, 3, 4]
    assert [p.line for p in good(put("p.csv", b'problem\r\n"a\r\nb"\r\nc\r\n'))] == [2, 4]


def test_a_limit_leaves_the_rest_unread(put: Put) -> None:
    path = put("p.jsonl", lines(RECORDS[:2]) + b"not JSON\n")
    assert [p.id for p in good(path, limit=2)] == ["a", "b"]
    assert len(load(path, limit=3).bad) == 1


def test_a_saved_dataset_of_several_shards(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = [{"id": n, "dialogs": [{"role": "user", "content": f"q{n}"}], "level": n / 2} for n in range(10)]
    dataset = datasets.Dataset.from_list(rows)
    dataset.save_to_disk(tmp_path / "shards", num_shards=3)
    problems = good(tmp_path / "shards")
    assert [p.id for p in problems] == [str(n) for n in range(10)]
    assert [p.line for p in problems] == list(range(1, 11))
    assert problems[3].metadata == {"level": 1.5}
    dataset.select([7, 2]).save_to_disk(tmp_path / "chosen")
    assert [p.id for p in good(tmp_path / "chosen")] == ["7", "2"]
    datasets.DatasetDict(train=dataset).save_to_disk(tmp_path / "one")
    assert len(good(tmp_path / "one")) == 10
    datasets.DatasetDict(train=dataset, test=dataset.select([0])).save_to_disk(tmp_path / "two")
    with pytest.raises(ProblemError, match="holds the splits train, test; name one"):
        load(tmp_path / "two")
    assert len(good(tmp_path / "two" / "test")) == 1


def test_a_saved_dataset_in_the_file_format(put: Put, tmp_path: Path) -> None:
    put("state.json", json.dumps({"_data_files": [{"filename": "x.arrow"}]}).encode())
    put("x.arrow", as_arrow(file=True))
    assert content(good(tmp_path)) == RECORDS


def test_what_json_lacks_is_kept_in_tables(put: Put) -> None:
    ns = pa.array([1704164645000000001], pa.timestamp("ns"))
    columns = {
        "problem": ["p"],
        "when": ns,
        "zoned": ns.cast(pa.timestamp("ns", "UTC")),
        "day": [date(2026, 2, 1)],
        "at": pa.array([1], pa.time64("ns")),
        "took": pa.array([1500], pa.duration("ms")),
        "price": [decimal.Decimal("1.50")],
        "raw": [b"\x00\xff"],
        "numbers": [[float("nan"), float("inf"), -float("inf"), 0.1, None]],
        "big": pa.array([2**64 - 1], pa.uint64()),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
        "deep": pa.array([[{"when": 1704164645000000001}]], pa.list_(pa.struct([("when", pa.timestamp("ns"))]))),
        "large": pa.array([[decimal.Decimal("2.0")]], pa.large_list(pa.decimal128(4, 1))),
        "fixed": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
        "coded": pa.array(["x"]).dictionary_encode(),
        "span": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    }
    stream = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    (problem,) = good(put("p.arrow", stream.getvalue()))
    assert json.loads(json.dumps(problem.metadata, allow_nan=False)) == {
        "when": "2024-01-02 03:04:05.000000001",
        "zoned": "2024-01-02 03:04:05.000000001Z",
        "day": "2026-02-01",
        "at": "00:00:00.000000001",
        "took": "1500",
        "price": "1.50",
        "raw": {"base64": "AP8="},
        "numbers": ["NaN", "Infinity", "-Infinity", 0.1, None],
        "big": 2**64 - 1,
        "map": [["k", 1]],
        "deep": [{"when": "2024-01-02 03:04:05.000000001"}],
        "large": ["2.0"],
        "fixed": [1, 2],
        "coded": "x",
        "span": [1, 2, 3],
    }


def test_numbers_that_json_lacks_become_text(put: Put) -> None:
    (problem,) = good(put("p.jsonl", b'{"problem": "p", "n": [NaN, Infinity, -Infinity]}\n'))
    assert problem.metadata == {"n": ["NaN", "Infinity", "-Infinity"]}


def test_reading_needs_no_heavy_library() -> None:
    import subprocess

    code = "import sys, antiphon.problem; print([m for m in ('pyarrow', 'jinja2', 'zstandard') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
