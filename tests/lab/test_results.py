"""An experiment's files: whole or not at all, and what is wrong with one is said in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.errors import StoreFull, UsageError
from antiphon.lab.results import load, save
from tests.full_disk import files_of_at_most


def test_a_disk_that_is_full_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "seed-0" / "one.json"
    save(path, {"right": [True]})
    with files_of_at_most(4_096), pytest.raises(StoreFull, match=r"one\.json: cannot be written: File too large; all"):
        save(path, {"right": [True] * 4_096})
    assert load(path) == {"right": [True]}
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_not_json_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert load(path) is None
    path.write_text('{"right": [tr')
    with pytest.raises(UsageError, match=r"one\.json: cannot be read .*; remove it to do it again"):
        load(path)
