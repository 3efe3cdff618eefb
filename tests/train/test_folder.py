"""A training's folder: nothing half-written has a name, and nothing that was paid for is written over."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from antiphon.errors import SettingsError, StoreFull, UsageError
from antiphon.train.folder import Folder, refuse_other


def test_what_fails_while_it_is_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(folder.curve, "old")
    with pytest.raises(StoreFull, match=r"curve\.json: cannot be written \(No space left on device\)"):  # noqa: SIM117
        with folder.writing(folder.curve) as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert folder.curve.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["curve.json"]


def test_folders_take_the_place_of_folders(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for content in ("old", "new"):
        with folder.writing(folder.model) as part:
            part.mkdir()
            (part / "config.json").write_text(content)
    assert (folder.model / "config.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_last_state_is_found_and_the_two_before_are_dropped(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for step in (8, 9, 10, 100):
        (folder.states / str(step)).mkdir(parents=True)
    (folder.states / "work.part").mkdir()
    assert folder.last_state() == folder.states / "100"
    assert not (folder.states / "work.part").exists()
    folder.drop_old_states()
    assert list(folder.states_by_step()) == [10, 100]
    folder.drop_old_states(0)
    assert not folder.states.exists()


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    second = Folder(tmp_path).locked()
    with Folder(tmp_path).locked(), pytest.raises(UsageError, match="another training is writing there"):
        second.__enter__()


def test_other_things_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="something else is there already"):
        Folder(tmp_path).read_about()
    assert Folder(tmp_path / "new").read_about() is None
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="something else is there"):
        Folder(tmp_path / "file").read_about()


def test_another_training_is_told_by_what_differs() -> None:
    begun = {"recipe": {"rate": 1e-4, "seed": 0}, "data": "a" * 64}
    refuse_other(Path("to"), begun, {**begun})
    with pytest.raises(SettingsError, match=r"to: .* with recipe\.rate 0\.0001, now 0\.001; data \"aaa.*, now \"bbb"):
        refuse_other(Path("to"), begun, {"recipe": {"rate": 1e-3, "seed": 0}, "data": "b" * 64})
