"""Bad input: reported with its place, skipped or fatal as the caller likes, never dropped and never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from antiphon.errors import ProblemError
from antiphon.problem import Loaded, iterate, load
from antiphon.problem.table import jsonable
from tests.problem.conftest import lines

Put = Callable[[str, bytes], str]
GOOD = [{"problem": f"problem {number}", "filler": os.urandom(64).hex()} for number in range(200)]


def errors(loaded: Loaded) -> list[str]:
    return [str(error) for error in loaded.bad]


def between(middle: bytes) -> bytes:
    """A bad line between two good ones."""
    return lines(GOOD[:1]) + middle + lines(GOOD[1:2])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"problem": "x"\n', "broken JSON: Expecting ',' delimiter at column 16"),
        (b"{'problem': 'x'}\n", "broken JSON: Expecting property name"),
        (b'{"problem": "x"} {"problem": "y"}\n', "broken JSON: there is more after the record, at column 18"),
        (b'{"problem": "a\tb"}\n', "broken JSON: Invalid control character"),
        (b"\x00\x00\x00\x00\n", "broken JSON"),
        (b"problem\n", "broken JSON: Expecting value at column 1"),
        (b'["problem"]\n', "not an object but a list"),
        (b'"problem"\n', "not an object but a single value"),
        (b"null\n", "not an object but a single value"),
        (b'{"problem": "x", "problem": "y"}\n', "the field 'problem' stands twice"),
        (b'{"problem": "x", "n": 1e999}\n', "the number 1e999 is too large"),
        (b'{"problem": "x", "n": ' + b"9" * 5000 + b"}\n", "a number with too many digits"),
        (b'{"problem": "x", "n": ' + b"[" * 200_000 + b"}\n", "nested too deeply"),
        (b'{"problem": "\xff"}\n', "not valid UTF-8 (byte 14: 0xff)"),
        (b'{"problem": "\xed\xa0\x80"}\n', "not valid UTF-8"),
        (b'{"problem": null}\n', "'problem' is null"),
        (b'{"problem": ""}\n', "is empty"),
        (b'{"problem": 3}\n', "is a number"),
        (b'{"answer": "3"}\n', "no field states the problem"),
        (b'{"prompt": [{"role": "tool", "content": "3"}]}\n', "tools are not supported"),
    ],
)
def test_a_bad_line_is_reported_with_file_and_line_and_spoils_no_other(put: Put, line: bytes, says: str) -> None:
    path = put("p.jsonl", between(line))
    loaded = load(path)
    assert [problem.line for problem in loaded.problems] == [1, 3]
    (error,) = errors(loaded)
    assert error.startswith(f"{path}:2: ")
    assert says in error


def test_all_bad_records_are_known_before_anything_is_spent(put: Put) -> None:
    path = put("p.jsonl", b"".join(b"{bad}\n" + lines([record]) for record in GOOD[:13]))
    loaded = load(path)
    assert len(loaded.bad) == len(loaded.problems) == 13
    with pytest.raises(ProblemError) as caught:
        loaded.require_good()
    shown = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in shown[:10]] == [f"{path}:{number}" for number in range(1, 20, 2)]
    assert shown[10:] == ["and 3 more"]
    load(put("q.jsonl", lines(GOOD))).require_good()


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\r\n", b"\xef\xbb\xbf", gzip.compress(b""), zstandard.compress(b"")],
    ids=["nothing", "blank lines", "byte order mark", "gzip", "zstd"],
)
@pytest.mark.parametrize("name", ["p.jsonl", "p.json", "p.csv", "p"])
def test_an_empty_file_is_reported(put: Put, name: str, data: bytes) -> None:
    path = put(name, data)
    assert errors(load(path)) == [f"{path}: holds no record"]


def test_a_file_with_no_record_in_it_is_reported(put: Put) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"problem": pa.array([], pa.string())}), stream)
    for name, data in {"p.json": b" [ ] ", "p.csv": b"problem,answer\n", "p.parquet": stream.getvalue()}.items():
        path = put(name, data)
        assert errors(load(path)) == [f"{path}: holds no record"]


def test_a_path_that_names_nothing_is_refused_at_once(put: Put, tmp_path: Path) -> None:
    for path, says in {
        tmp_path / "none.jsonl": "there is no such file",
        tmp_path / "*.jsonl": "no file matches",
        tmp_path: "save_to_disk",
    }.items():
        with pytest.raises(ProblemError, match=says) as caught:
            iterate(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ProblemError, match="no problem file was named"):
        load([])
    with pytest.raises(ProblemError, match="a field and a template"):
        load("p.jsonl", field="a", template="{{ a }}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused_at_once(put: Put) -> None:
    path = put("p.jsonl", lines(GOOD))
    Path(path).chmod(0)
    with pytest.raises(ProblemError, match="cannot be read: Permission denied"):
        load(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("shape", ["jsonl", "csv"])
def test_a_truncated_compressed_file_keeps_what_stands_before_and_reports_the_rest(
    put: Put, pack: Callable[[bytes], bytes], shape: str
) -> None:
    many = [{"problem": f"problem {number} {os.urandom(32).hex()}"} for number in range(5000)]
    data = lines(many) if shape == "jsonl" else b"problem\n" + b"".join(r["problem"].encode() + b"\n" for r in many)
    packed = pack(data)
    path = put(f"p.{shape}", packed[: len(packed) // 2])
    loaded = load(path)
    assert 0 < len(loaded.problems) < 5000
    *torn, last = errors(loaded)
    assert len(torn) <= 1, "at most the torn record itself"
    assert "cannot be read further" in last
    assert last.startswith(f"{path}:{(loaded.problems[-1].line or 0) + 1 + len(torn)}: ")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("name", ["p.json", "p"])
def test_a_damaged_compressed_file_is_reported(put: Put, pack: Callable[[bytes], bytes], name: str) -> None:
    packed = bytearray(pack(json.dumps(GOOD).encode()))
    packed[len(packed) // 2] ^= 0xFF
    packed[-6] ^= 0xFF
    path = put(name, bytes(packed))
    loaded = load(path)
    assert loaded.bad
    assert all(error.startswith(path) for error in errors(loaded))


def test_text_after_a_gzip_member_is_reported(put: Put) -> None:
    path = put("p.jsonl.gz", gzip.compress(lines(GOOD[:3])) + b"garbage")
    loaded = load(path)
    assert len(loaded.problems) == 3
    assert "cannot be read further" in errors(loaded)[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(put: Put, encoding: str) -> None:
    text = "\ufeff" * (encoding != "utf-16") + '{"problem": "x"}\n'
    for name in ("p.jsonl", "p.csv", "p"):
        path = put(name, text.encode(encoding))
        assert errors(load(path)) == [f"{path}: is UTF-16; save it as UTF-8"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b'[{"problem": "a"},\n{"problem": "b"}\n{"problem": "c"}]', 3, "a comma or the end of the array"),
        (b'[{"problem": "a"},\n{"problem": "b"},\n]', 3, "broken JSON"),
        (b'[{"problem": "a"},\n{"problem": "b"},\n{"problem": "c"', 3, "what follows in the array is not read"),
        (b'[{"problem": "a"},\n{"problem": "b"}\n', 3, "a comma or the end of the array"),
        (b'[{"problem": "a"},\n{"problem": "b"}\n]\n\n{"problem": "c"}', 5, "there is more after the end of the array"),
        (b'[{"problem": "a"},\n{"problem": "b"},\n7]', 3, "not an object but a single value"),
    ],
)
def test_a_broken_array_is_read_as_far_as_it_goes(put: Put, text: bytes, line: int, says: str) -> None:
    path = put("p.json", text)
    loaded = load(path)
    assert [problem.messages[0]["content"] for problem in loaded.problems] == ["a", "b"]
    (error,) = errors(loaded)
    assert error.startswith(f"{path}:{line}: ")
    assert says in error


def test_one_object_over_several_lines_is_named(put: Put) -> None:
    path = put("p.json", json.dumps({"data": GOOD}, indent=1).encode())
    (error,) = errors(load(path))
    assert error.startswith(f"{path}: is a JSON object over several lines; write an array of records")


def test_an_array_that_is_not_utf_8_is_reported_with_its_line(put: Put) -> None:
    path = put("p.json", b'[\n{"problem": "a"},\n{"problem": "\xff"}]')
    (error,) = errors(load(path))
    assert error.startswith(f"{path}:3: not valid UTF-8")


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        (b"a,1,more\n", 2, "3 values under 2 names"),
        (b"a\n", 2, "1 value under 2 names"),
        (b'"a"b,1\n', 2, "broken CSV"),
        (b"\xff,1\n", 2, "not valid UTF-8"),
        (b",1\n", 2, "is empty"),
    ],
)
def test_a_bad_row_of_a_csv_file_spoils_no_other(put: Put, rows: bytes, line: int, says: str) -> None:
    path = put("p.csv", b"problem,answer\n" + rows + b"good,2\n")
    loaded = load(path)
    assert [problem.metadata for problem in loaded.problems] == [{"answer": "2"}]
    (error,) = errors(loaded)
    assert error.startswith(f"{path}:{line}: ")
    assert says in error


def test_a_quote_that_is_never_closed_is_reported_where_it_opens(put: Put) -> None:
    path = put("p.csv", b'problem,answer\na,1\n"b,2\nc,3\n')
    loaded = load(path)
    assert len(loaded.problems) == 1
    assert errors(loaded) == [f"{path}:3: broken CSV: unexpected end of data"]


def test_a_name_that_stands_twice(put: Put) -> None:
    path = put("p.csv", b"problem,x,x\na,1,2\n")
    assert errors(load(path)) == [f"{path}:1: the name 'x' stands twice in the first row"]
    stream = io.BytesIO()
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["problem", "problem"])
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    path = put("p.arrow", stream.getvalue())
    assert errors(load(path)) == [f"{path}:1: two columns are called 'problem'"]


def test_a_table_cell_that_is_not_utf_8_spoils_only_its_row(put: Put) -> None:
    cells = pa.array([b"a", b"\xff", b"c"])
    text = pa.StringArray.from_buffers(3, cells.buffers()[1], cells.buffers()[2])
    stream = io.BytesIO()
    pq.write_table(pa.table({"problem": text}), stream)
    path = put("p.parquet", stream.getvalue())
    loaded = load(path)
    assert [problem.line for problem in loaded.problems] == [1, 3]
    assert errors(loaded) == [f"{path}:2: not valid UTF-8 (byte 0xff)"]


def test_a_table_with_bytes_for_text_is_named(put: Put) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"problem": [b"a"]}), stream)
    assert "'problem' is an object, not text" in errors(load(put("p.parquet", stream.getvalue())))[0]


@pytest.mark.parametrize("name", ["p.parquet", "p.arrow", "p.feather"])
def test_a_table_that_is_none_is_reported(put: Put, name: str) -> None:
    for data in (b"", b"not a table at all", b"PAR1", b"ARROW1\0\0"):
        path = put(name, data)
        (error,) = errors(load(path))
        assert error.startswith(f"{path}:1: cannot be read further: ")
        assert "\n" not in error


def test_a_truncated_table_keeps_what_stands_before(put: Put) -> None:
    stream = io.BytesIO()
    table = pa.table({"problem": [os.urandom(50).hex() for _ in range(1000)]})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    path = put("p.arrow", stream.getvalue()[: len(stream.getvalue()) // 2])
    loaded = load(path)
    assert len(loaded.problems) == 300
    (error,) = errors(loaded)
    assert error.startswith(f"{path}:301: cannot be read further")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (b"{", "state.json cannot be read"),
        (b"{}", "state.json cannot be read"),
        (b'{"_data_files": [{"filename": "gone.arrow"}]}', "gone.arrow"),
        (b'{"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}', "flatten_indices"),
    ],
)
def test_a_broken_saved_dataset_is_reported(put: Put, tmp_path: Path, state: bytes, says: str) -> None:
    put("state.json", state)
    (error,) = errors(load(tmp_path))
    assert error.startswith(f"{tmp_path}:1: ")
    assert says in error


def test_a_template_error_names_file_and_line(put: Put) -> None:
    path = put("p.jsonl", lines([{"a": "x", "b": "y"}, {"a": "x"}]))
    loaded = load(path, template="{{ a }}{{ b }}")
    assert [problem.messages[0]["content"] for problem in loaded.problems] == ["xy"]
    (error,) = errors(loaded)
    assert error == f"{path}:2: the template does not fit: 'b' is undefined; the record has 'a'"


def test_the_same_id_with_other_content_is_an_error_that_names_both_places(put: Put) -> None:
    one = put("one.jsonl", lines([{"id": 1, "problem": "a"}]))
    two = put("two.jsonl", lines([{"id": "0", "problem": "c"}, {"id": "1", "problem": "b"}]))
    loaded = load([one, two])
    assert [problem.id for problem in loaded.problems] == ["1", "0"]
    (error,) = errors(loaded)
    assert error.startswith(f"{two}:2: the id '1' stands for another text at {one}:1")


def test_the_same_question_twice_is_reported_and_asked_once(put: Put) -> None:
    question = {"problem": "a"}
    path = put("p.jsonl", lines([question, {"problem": "b"}, question, {**question, "answer": 1}]))
    loaded = load(path)
    loaded.require_good()
    assert [problem.line for problem in loaded.problems] == [1, 2]
    assert loaded.duplicates == [
        f"{path}:3: the same as {path}:1; the first is kept",
        f"{path}:4: the same as {path}:1, though other fields differ; the first is kept",
    ]


def test_the_same_question_under_two_ids_is_reported_and_neither_is_lost(put: Put) -> None:
    """Equal questions may stand for different tasks: the same words about two databases."""
    path = put("p.jsonl", lines([{"id": "x", "problem": "How many?"}, {"id": "y", "problem": "How many?"}]))
    loaded = load(path)
    assert [problem.id for problem in loaded.problems] == ["x", "y"]
    assert loaded.duplicates == [f"{path}:2: 'y' asks the same as 'x' at {path}:1; both are kept"]


def test_several_samples_of_one_question_are_one_problem(put: Put) -> None:
    """As in published traces, where a row is a finished exchange."""
    rows = [
        {"id_ddm": "q", "dialogs": [{"role": "user", "content": "a"}, {"role": "assistant", "content": reply}]}
        for reply in ("one", "two")
    ]
    loaded = load(put("p.jsonl", lines(rows)))
    assert [problem.metadata for problem in loaded.problems] == [{"reference": "one"}]
    assert "though other fields differ" in loaded.duplicates[0]


def test_a_huge_line(put: Put) -> None:
    text = "x" * 20_000_000
    (problem,) = load(put("p.jsonl", lines([{"problem": text}]))).problems
    assert len(problem.messages[0]["content"]) == len(text)
    (problem,) = load(put("p.csv", b"problem\n" + text.encode())).problems
    assert len(problem.messages[0]["content"]) == len(text)


def test_errors_come_in_the_order_of_the_records(put: Put) -> None:
    items = list(iterate(put("p.jsonl", between(b"{}\n"))))
    assert [isinstance(item, ProblemError) for item in items] == [False, True, False]


def test_standard_input_is_named_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}\n")))
    assert errors(load("-"))[0].startswith("standard input:1: ")


def test_a_table_value_that_cannot_be_spelled_is_reported(put: Put) -> None:
    nowhere = pa.array([0, None], pa.timestamp("us", "Nowhere/None"))
    stream = io.BytesIO()
    table = pa.table({"problem": ["a", "b"], "when": nowhere})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    loaded = load(put("p.arrow", stream.getvalue()))
    assert len(loaded.bad) + len(loaded.problems) == 2
    assert "Nowhere/None" in errors(loaded)[0]
    assert jsonable(uuid.UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    with pytest.raises(ProblemError, match="a value of type set has no form in JSON"):
        jsonable({"x": [{1}]})
