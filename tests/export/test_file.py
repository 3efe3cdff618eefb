"""What is written is what was stored, whole, checked, and in place only then."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import AntiphonError, StoreBusy, UsageError
from antiphon.export import FORMATS, Exported
from antiphon.export import write as write_export
from antiphon.export.base import Row
from antiphon.export.container import JsonLines
from antiphon.export.formats import Format
from antiphon.export.messages import Messages
from antiphon.problem import Problem, load
from antiphon.store import Outcome
from antiphon.trace import Key, Status, Trace
from tests.export.fake import Fake, problem, run, trace


def write(*arguments: Any, **more: Any) -> Exported:
    """The function of that name, onto what earlier calls have left."""
    return write_export(*arguments, **{"overwrite": True, **more})


AWKWARD = '\x00\x0b\x0c\x1c\x1d\x1e\x7f\x85\u2028\u2029\ufeff\u200f\u0301\ud800\udfff😀\r\n"\\'

INLINE = ("messages", "tessy", "sharegpt", "axolotl")
"""The formats that need no student and hold the response in one piece."""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def folder_of(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_messages_are_what_trainers_take(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    reader = run(trace("<think>\n", "So ", "1+1=2", "\n</think>\n\n", "2", sample=3))
    exported = write(reader, "messages", path)
    assert rows(path) == [
        {
            "id": "p/tessy/3",
            "problem_id": "p",
            "variant": "tessy",
            "sample": 3,
            "status": "complete",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "1+1?"},
                {"role": "assistant", "content": "<think>\nSo 1+1=2\n</think>\n\n2"},
            ],
        }
    ]
    assert (exported.path, exported.rows, exported.left_out, exported.unpaired, exported.change) == (path, 1, {}, 0, 1)


def test_tessy_is_the_authors_shape(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    write(run(trace("<think>\na\n</think>\n\n", "b"), trace("c", sample=1)), "tessy", path)
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    assert rows(path) == [
        {"id_ddm": "p", "dialogs": [*asked, {"role": "assistant", "content": content}]}
        for content in ("<think>\na\n</think>\n\nb", "c")
    ]


@pytest.mark.parametrize("format", ["messages", "tessy", "axolotl"])
def test_an_export_reads_as_problems_with_the_response_as_reference(tmp_path: Path, format: str) -> None:
    path = tmp_path / "train.jsonl"
    write(run(trace("a", "b")), format, path)
    loaded = load(path)
    loaded.require_good()
    assert loaded.problems[0].messages == problem().messages
    assert loaded.problems[0].metadata["reference"] == "ab"


def test_only_complete_traces_are_written_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    traces = [trace(f"{n}", sample=n, status=status) for n, status in enumerate([*Status, None, Status.FAILED])]
    exported = write(run(*traces), "messages", path)
    assert [row["sample"] for row in rows(path)] == [0]
    assert exported.left_out == {
        "repetition": 1,
        "too_long": 1,
        "context_full": 1,
        "no_answer": 1,
        "failed": 2,
        "pending": 1,
    }
    exported = write(run(*traces), "messages", path, statuses=[Status.TOO_LONG, Status.FAILED])
    assert [row["status"] for row in rows(path)] == ["too_long", "failed", "failed"]
    assert exported.rows == 3
    assert sum(exported.left_out.values()) == len(traces) - 3


def test_since_a_change_and_one_variant(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    traces = [trace("a"), trace("b", variant="teacher_only"), trace("c", sample=1), trace("d", sample=2, status=None)]
    first = write(run(*traces[:2]), "messages", path)
    assert first.change == 2
    later = write(run(*traces), "messages", path, since=first.change)
    assert [row["id"] for row in rows(path)] == ["p/tessy/1"]
    assert (later.change, later.left_out) == (4, {"pending": 1})
    assert write(run(*traces), "messages", path, since=4).change == 4
    assert rows(path) == []
    write(run(*traces), "messages", path, variant="teacher_only")
    assert [row["id"] for row in rows(path)] == ["p/teacher_only/0"]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_compressed_by_extension_and_the_same_at_every_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"train.{suffix}"
    reader = run(trace("a"), trace("b", sample=1))
    write(reader, "messages", path)
    first = path.read_bytes()
    plain = {
        "jsonl": lambda data: data,
        "jsonl.gz": gzip.decompress,
        "jsonl.zst": lambda data: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(),
    }[suffix](first)
    assert [json.loads(line)["sample"] for line in plain.splitlines()] == [0, 1]
    write(run(trace("a"), trace("b", sample=1)), "messages", path)
    assert path.read_bytes() == first
    assert folder_of(path) == [path.name]


def test_one_record_a_line_for_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    samples = [trace(f"a{character}b", character, sample=n) for n, character in enumerate(AWKWARD)]
    exported = write(run(*samples), "messages", path)
    text = path.read_bytes().decode()
    assert len(text.splitlines()) == len(samples)
    assert [json.loads(line)["messages"][-1]["content"] for line in text.splitlines()] == [s.response for s in samples]
    assert exported.unpaired == 2, "the two lone surrogates"
    assert "😀" in text, "what every reader takes is not escaped"
    assert [p.metadata["reference"] for p in load(path).problems] == [s.response for s in samples]


@given(st.lists(st.lists(st.text(st.one_of(st.characters(), st.sampled_from(AWKWARD))), max_size=4), max_size=4))
@pytest.mark.parametrize("format", INLINE)
def test_any_response_is_written_as_stored(format: str, texts: list[list[str]]) -> None:
    traces = [trace(*parts, sample=number) for number, parts in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.jsonl")
        write(run(*traces), format, path)
        exporter = FORMATS[format].make((), None)
        read = [exporter.response(row) for row in rows(path)]
    # JSON cannot tell a high and a low surrogate side by side from the character they spell.
    assert [t.encode("utf-16", "surrogatepass") for t in read] == [
        t.response.encode("utf-16", "surrogatepass") for t in traces
    ]


class Faulty(Messages):
    """The format `messages`, with one fault in its second row."""

    def __init__(self, fault: Callable[[str], str]):
        super().__init__(None)
        self._fault = fault
        self._rows = 0

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        row = super().row(problem, outcome)
        self._rows += 1
        if self._rows == 2:
            row.fields["messages"][-1]["content"] = self._fault(row.response)
        return row


@pytest.mark.parametrize(
    "fault", [lambda text: text.replace("\n", " "), str.strip, lambda text: ""], ids=["line breaks", "edges", "lost"]
)
def test_a_file_that_is_not_the_record_is_never_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[str], str]
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("as it was\n")
    monkeypatch.setitem(FORMATS, "messages", Format(lambda variants, student: Faulty(fault)))
    traces = [trace(f" a{n}\nb\n", sample=n) for n in range(3)]
    with pytest.raises(AntiphonError, match=r"check of the export failed at row 2 \(trace p/tessy/1\)"):
        write(run(*traces), "messages", path)
    assert path.read_text() == "as it was\n"
    assert folder_of(path) == [path.name]


@pytest.mark.parametrize("times", [0, 2])
def test_a_row_that_is_lost_or_comes_twice_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    def add(self: JsonLines, fields: Mapping[str, Any]) -> None:
        for _ in range(times if fields["sample"] == 1 else 1):
            sound(self, fields)

    sound = JsonLines.add
    monkeypatch.setattr(JsonLines, "add", add)
    with pytest.raises(AntiphonError, match="the check of the export failed at row"):
        write(run(*(trace(f"{n}", sample=n) for n in range(3))), "messages", tmp_path / "train.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("as it was\n")

    class Breaking(Fake):
        def __init__(self, error: BaseException):
            super().__init__([])
            self._error = error

        def outcomes(self, *_: Any, **__: Any) -> Iterator[tuple[Problem, Outcome]]:
            yield problem(), Outcome(Key("p", "tessy", 0), Status.COMPLETE, "a", 1)
            raise self._error

    for error in (KeyboardInterrupt(), StoreBusy("the run directory is busy")):
        with pytest.raises(type(error)):
            write(Breaking(error), "messages", path)  # type: ignore[arg-type]
        assert path.read_text() == "as it was\n"
        assert folder_of(path) == [path.name]


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "train.jsonl"
    with pytest.raises(AntiphonError) as caught:
        write(run(trace("a")), "messages", path)
    assert str(caught.value) == f"{path}: cannot be written: No space left on device; what was there is untouched"
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "train.jsonl"
    link.symlink_to(tmp_path / "there" / "data.jsonl")
    write(run(trace("a")), "messages", link)
    assert link.is_symlink()
    assert len(rows(tmp_path / "there" / "data.jsonl")) == 1


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    path, ordinary = tmp_path / "train.jsonl", tmp_path / "ordinary"
    ordinary.touch()
    write(run(trace("a")), "messages", path)
    assert path.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize(
    ("format", "name", "says"),
    [
        ("alpaca", "train.jsonl", "there is no export format 'alpaca'; there are messages, "),
        ("messages", "train.csv", "an export ends in .jsonl, .jsonl.gz, .jsonl.zst, .parquet, or is a folder"),
        ("messages", "none/train.jsonl", "there is no folder"),
        ("messages", "folder.jsonl", "no ordinary file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_trace_is_read(
    tmp_path: Path, format: str, name: str, says: str
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UsageError) as caught:
        write(None, format, tmp_path / name)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_the_run_is_streamed(tmp_path: Path) -> None:
    """The memory an export takes does not grow with the run's text."""

    class Long(Fake):
        def outcomes(self, *_: Any, **__: Any) -> Iterator[tuple[Problem, Outcome]]:
            for number in range(300):
                yield problem(), Outcome(Key("p", "tessy", number), Status.COMPLETE, "a" * 100_000, number)

    tracemalloc.start()
    try:
        assert write(Long([]), "messages", tmp_path / "x.jsonl").rows == 300  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
