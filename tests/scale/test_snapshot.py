"""Snapshots: put back in their order they are the run directory, whatever happened in it; and cost what is new."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as testing
from hypothesis import strategies as st

from antiphon.errors import StoreBusy, StoreError, StoreUnfit
from antiphon.problem import Problem
from antiphon.scale.snapshot import Snapshots, TakenOver, restored
from antiphon.store import Recorder, Store
from antiphon.store.schema import MIGRATIONS
from antiphon.trace import Author, Key, Kind, Label, Span, SpanEnd, Status, Turn, Usage, Verdict

KEYS = [Key(f"p{number}", "tessy", 0) for number in range(3)]


def rows(directory: Path) -> dict[str, list[Any]]:
    """All that is in a run directory."""
    connection = sqlite3.connect(directory / "run.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}
    connection.close()
    return found


def begun(directory: Path, text: str = "What is it?") -> Store:
    """A run with traces planned; to be closed."""
    store = Store.open(directory)
    store.add_problems([Problem(key.problem, ({"role": "user", "content": text},), {"n": 1}) for key in KEYS])
    store.add_variant("tessy", {"method": "tessy"}, {"antiphon": "0"})
    store.plan(KEYS)
    return store


def span(text: str) -> Span:
    return Span(Author.STUDENT, Kind.STYLE, text, array("i", range(len(text))), end=SpanEnd.BOUNDARY)


def noisy(length: int) -> str:
    """Text that cannot be compressed much."""
    return "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9F00), k=length)))


class Writing:
    """What a run does to its store, in steps that a test chooses."""

    def __init__(self, store: Store):
        self.store = store
        self.recorders: dict[Key, Recorder] = {}
        self.spans: dict[Key, int] = {}
        self.over: set[Key] = set()

    def step(self, act: str, key: Key) -> None:
        store = self.store
        if act == "retry":
            store.pending("tessy", retry=[Status.FAILED])
            self.recorders.clear()
            self.over.clear()
        elif act == "judge":
            store.add_verdicts(key, [Verdict("scripted", "1", Label.RIGHT, f"detail {len(self.spans)}", 0.1)])
        elif act == "call":
            store.add_call(key, Author.TEACHER, "grade", Usage(1, 2, 3), "7")
            store.set_made_from(key, [KEYS[0]])
        elif key in self.over:
            return  # nothing is written on a finished trace
        elif act == "fail":
            asyncio.run(self._recorder(key).finish(Status.FAILED, cause="scripted"))
            del self.recorders[key]
            self.over.add(key)
        else:
            recorder, index = self._recorder(key), self.spans.get(key, 0)
            if act == "grow":
                recorder.grow(index, span(""), "word ", array("i", [1]), b"")
            elif act == "close":
                recorder.close_span(index, span(f"word {index} "))
                self.spans[key] = index + 1
            elif act == "reopen" and index:
                recorder.grow(index - 1, span(""), "more ", array("i", [1]), b"")
            elif act == "turn":
                recorder.turn(Turn(Author.STUDENT, "here", 8, 8, 4, 2, True, 0.1, requests=1, span=index))
        asyncio.run(store.flush())

    def _recorder(self, key: Key) -> Recorder:
        if key not in self.recorders:
            self.recorders[key] = self.store.recorder(key)
            self.recorders[key].begin(anew=True)
            self.spans[key] = 0
        return self.recorders[key]


ACTS = st.sampled_from(
    ["grow", "close", "reopen", "turn", "judge", "call", "fail", "retry", "snapshot", "snapshot", "again"]
)


@testing(max_examples=25)
@given(st.lists(st.tuples(ACTS, st.sampled_from(KEYS)), max_size=30))
def test_snapshots_put_back_are_the_run_directory(acts: list[tuple[str, Key]]) -> None:
    with TemporaryDirectory() as name:
        local, folder = Path(name) / "local", Path(name) / "common"
        folder.mkdir()
        snapshots = Snapshots(local, folder)
        snapshots.claim()
        with begun(local) as store:
            writing, taken = Writing(store), 0
            for act, key in [*acts, ("snapshot", KEYS[0])]:
                if act == "again":  # as after a kill: what was sent is known from the files alone
                    snapshots.close()
                    store.close()
                    snapshots = Snapshots(local, folder)
                    snapshots.claim()
                    store = writing.store = Store.open(local)
                    writing.recorders.clear()
                elif act == "snapshot":
                    taken += 1
                    snapshots.take()
                    restored(folder, Path(name) / str(taken))
                    assert rows(Path(name) / str(taken)) == rows(local)
                else:
                    writing.step(act, key)
            assert snapshots.take() == 0, "nothing is new"
            snapshots.close()
            store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "common"
    made.mkdir()
    return made


def claimed(local: Path, folder: Path) -> Snapshots:
    snapshots = Snapshots(local, folder)
    snapshots.claim()
    return snapshots


def once(local: Path, folder: Path, *acts: str) -> Snapshots:
    """A run of a few steps, and its snapshot."""
    snapshots = claimed(local, folder)
    with begun(local) as store:
        for act in acts:
            Writing(store).step(act, KEYS[0])
        snapshots.take()
    snapshots.close()
    return snapshots


def test_bytes_go_by_what_is_new_and_not_by_what_is_there(tmp_path: Path, folder: Path) -> None:
    snapshots = claimed(tmp_path / "local", folder)
    noise = noisy(400_000)
    sizes = []
    with begun(tmp_path / "local") as store:
        recorder = store.recorder(KEYS[0])
        recorder.begin()
        for index, (start, end) in enumerate(
            [(0, 300_000), (300_000, 310_000), (310_000, 330_000), (330_000, 330_010)]
        ):
            recorder.close_span(index, Span(Author.STUDENT, Kind.STYLE, noise[start:end]))
            asyncio.run(store.flush())
            sizes.append(snapshots.take())
    snapshots.close()
    whole, small, double, least = sizes
    assert 1.6 < (double - least) / (small - least) < 2.4
    assert whole > 10 * small and least < 6_000


def test_an_open_span_is_sent_as_it_grows(tmp_path: Path, folder: Path) -> None:
    snapshots = claimed(tmp_path / "local", folder)
    with begun(tmp_path / "local") as store:
        recorder = store.recorder(KEYS[0])
        recorder.begin()
        noise = noisy(100_000)
        recorder.grow(0, span(""), noise, array("i"), b"")
        asyncio.run(store.flush())
        first = snapshots.take()
        recorder.grow(0, span(""), "a word", array("i"), b"")
        asyncio.run(store.flush())
        assert snapshots.take() < first / 10
    snapshots.close()
    restored(folder, tmp_path / "copy")
    with Store.open(tmp_path / "copy") as copy:
        assert copy.saved(KEYS[0]).spans[-1].text == noise + "a word"


def test_a_lost_directory_comes_back_and_is_written_on(tmp_path: Path, folder: Path) -> None:
    once(tmp_path / "one", folder, "close", "turn")
    before = rows(tmp_path / "one")
    shutil.rmtree(tmp_path / "one")
    snapshots = claimed(tmp_path / "two", folder)
    assert rows(tmp_path / "two") == before
    with Store.open(tmp_path / "two") as store:
        Writing(store).step("fail", KEYS[1])
        snapshots.take()
    snapshots.close()
    restored(folder, tmp_path / "copy")
    assert rows(tmp_path / "copy") == rows(tmp_path / "two")


def test_what_is_further_here_than_its_last_snapshot_is_kept(tmp_path: Path, folder: Path) -> None:
    once(tmp_path / "one", folder, "close")
    with Store.open(tmp_path / "one") as store:
        Writing(store).step("fail", KEYS[1])
    here = rows(tmp_path / "one")
    claimed(tmp_path / "one", folder).close()
    assert rows(tmp_path / "one") == here


def test_who_was_taken_over_writes_no_more_and_his_directory_is_not_gone_on_with(tmp_path: Path, folder: Path) -> None:
    first = claimed(tmp_path / "one", folder)
    with begun(tmp_path / "one") as store:
        first.take()
        Writing(store).step("close", KEYS[0])
        second = claimed(tmp_path / "two", folder)
        with pytest.raises(TakenOver, match="taken over"):
            first.take()
    first.close()
    with Store.open(tmp_path / "two") as store:
        Writing(store).step("fail", KEYS[1])
        second.take()
    second.close()
    claimed(tmp_path / "one", folder).close()
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_two_that_write_the_same_number(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = claimed(tmp_path / "one", folder)
    with begun(tmp_path / "one"):
        link = Path.hardlink_to

        def late(self: Path, target: Path) -> None:
            self.write_bytes(b"another's")
            link(self, target)

        monkeypatch.setattr(Path, "hardlink_to", late)
        with pytest.raises(TakenOver, match="there already"):
            snapshots.take()
    snapshots.close()
    assert (folder / "00000001.sqlite.zst").read_bytes() == b"another's"
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize(("owner", "name"), [(Path, "hardlink_to"), (os, "fsync"), (Path, "replace")])
def test_a_store_that_fails_for_a_while_costs_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    snapshots = claimed(tmp_path / "one", folder)
    with begun(tmp_path / "one") as store:
        snapshots.take()
        writing = Writing(store)
        writing.step("grow", KEYS[0])
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
            with pytest.raises(StoreError, match="Input/output"):
                snapshots.take()
        writing.step("grow", KEYS[0])
        assert snapshots.take()
    snapshots.close()
    restored(folder, tmp_path / "copy")
    assert rows(tmp_path / "copy") == rows(tmp_path / "one")


def test_a_file_system_without_links(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", none)
    once(tmp_path / "one", folder, "close")
    restored(folder, tmp_path / "copy")
    assert rows(tmp_path / "copy") == rows(tmp_path / "one")


def test_what_is_wrong_with_snapshots_is_named(tmp_path: Path, folder: Path) -> None:
    snapshots = claimed(tmp_path / "one", folder)
    with begun(tmp_path / "one") as store:
        snapshots.take()
        for key in KEYS:
            Writing(store).step("close", key)
            snapshots.take()
    snapshots.close()
    first, second, third, fourth = sorted(folder.glob("*.zst"))
    whole = {file: file.read_bytes() for file in (first, second, third, fourth)}
    third.write_bytes(whole[third][:-20])
    with pytest.raises(StoreUnfit, match=r"00000003.*damaged"):
        restored(folder, tmp_path / "copy")
    third.unlink()
    with pytest.raises(StoreUnfit, match="snapshot 00000003 is missing"):
        restored(folder, tmp_path / "other")
    third.write_bytes(whole[fourth])
    fourth.unlink()
    with pytest.raises(StoreUnfit, match="one is missing between"):
        restored(folder, tmp_path / "third")


def test_snapshots_of_a_newer_version_are_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(tmp_path / "one", folder)
    monkeypatch.setattr("antiphon.scale.snapshot.MIGRATIONS", MIGRATIONS[:-1])
    with pytest.raises(StoreUnfit, match="newer version"):
        restored(folder, tmp_path / "copy")


def test_a_store_that_this_machine_does_not_see(tmp_path: Path) -> None:
    with pytest.raises(StoreUnfit, match="not there on this machine"):
        Snapshots(tmp_path / "one", tmp_path / "nowhere").claim()
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_is_still_written_is_not_taken(tmp_path: Path, folder: Path) -> None:
    once(tmp_path / "one", folder)
    owner = (folder / "owner").read_text()
    with Store.open(tmp_path / "one"), pytest.raises(StoreBusy):
        Snapshots(tmp_path / "one", folder).claim()
    assert (folder / "owner").read_text() == owner
