"""Files of marked texts: what is written is read again; what cannot be used is told with file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.marked import MarkedText, read_marked, write_marked
from antiphon.errors import UsageError
from antiphon.trace import Author

from .texts import TEXTS, marked, marked_texts


def lists() -> st.SearchStrategy[list[MarkedText]]:
    return st.lists(marked_texts(), min_size=1, max_size=4, unique_by=lambda item: item.id)


@given(lists(), st.sampled_from([".jsonl", ".jsonl.gz", ".jsonl.zst"]))
def test_what_is_written_is_read_again(items: list[MarkedText], suffix: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"m{suffix}"
        write_marked(path, items)
        assert read_marked(path) == items
        assert [file.name for file in Path(folder).iterdir()] == [path.name]


@given(lists())
def test_a_plain_file_holds_all_but_other_fields(items: list[MarkedText]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.txt"
        write_marked(path, items)
        assert read_marked(path) == [replace(item, fields={}) for item in items]
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        assert read_marked(path) == [replace(item, fields={}) for item in items]


@given(st.sampled_from(["\ud800", "a\u2028b", "\x00", "⟦0,1⟧", "=== x"]), TEXTS)
def test_json_lines_hold_any_text(odd: str, text: str) -> None:
    item = marked(f"{odd} {text}", [True])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.jsonl"
        write_marked(path, [item])
        assert read_marked(path) == [item]
        assert len(path.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("text", ["a ⟦b", "a\n=== b", "a\rb", "a \ud800"])
def test_what_a_plain_file_cannot_hold_is_refused_and_nothing_is_written(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"write \.jsonl"):
        write_marked(tmp_path / "m.txt", [marked("fine"), marked(text, id="two")])
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_marked(path, [marked("fine")])

    def broken() -> Iterable[MarkedText]:
        yield marked("other")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_marked(path, broken())
    assert read_marked(path) == [marked("fine")]
    assert [file.name for file in tmp_path.iterdir()] == ["m.jsonl"]
    with pytest.raises(UsageError, match=r"\.jsonl.* or \.txt"):
        write_marked(tmp_path / "m.json", [])
    with pytest.raises(UsageError, match="no folder"):
        write_marked(tmp_path / "none" / "m.jsonl", [])


def test_where_a_text_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    records = [
        {"id": 7, "problem": "p", "text": "a b", "style": [[2, 3], [0, 1]], "author": "teacher", "licence": "MIT"},
        {"problem_key": "k", "problem": {"not": "text"}, "marked": "⟦a⟧ c", "model": None},
        {"text": "a d", "style": []},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    seven, key, bare = read_marked(path)
    assert seven == MarkedText(
        "7", "a b", ((0, 1), (2, 3)), "p", author=Author.TEACHER, fields={"problem": "p", "licence": "MIT"}
    )
    assert (key.problem_key, key.model, key.classes) == ("k", "", [True, False])
    assert bare.problem_key == bare.id != key.id


def test_one_plain_text_is_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my slice.txt.gz"
    path.write_bytes(gzip.compress(b"a b"))
    with pytest.raises(UsageError):  # only .txt is plain
        read_marked(path)
    path = tmp_path / "my slice.txt"
    path.write_text("⟦so⟧ it is\n")
    (item,) = read_marked(path)
    assert (item.id, item.text, item.style) == ("my slice", "so it is", ((0, 2),))


def test_the_marked_slices(shared: Path) -> None:
    items = read_marked(shared / "style_spans.jsonl")
    assert len(items) == 1220
    assert 0.14 < sum(map(sum, (item.classes for item in items))) / sum(len(item.classes) for item in items) < 0.19
