"""Nothing half is ever seen under the final name: kills, full disks, two exports at once, folders."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.errors import AntiphonError, UsageError
from antiphon.export import write
from antiphon.export.file import DATA
from antiphon.store import Reader
from antiphon.trace import Trace
from tests.export.fake import run, trace
from tests.export.record import record
from tests.full_disk import files_of_at_most

KILLED = """
import sys, threading
from pathlib import Path
from antiphon.export import write
from antiphon.export.messages import Messages
from antiphon.store import Reader

def row(self, problem, outcome, trace):
    rows.append(outcome)
    if len(rows) == 3:
        print("half", flush=True)
        threading.Event().wait()
    return sound(self, problem, outcome, trace)

rows, sound = [], Messages.row
Messages.row = row
with Reader(Path(sys.argv[1])) as reader:
    write(reader, "messages", sys.argv[2], overwrite=True)
"""


def traces(count: int, text: str = "a") -> list[Trace]:
    return [trace(f"{text} {number}", sample=number) for number in range(count)]


def content_of(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of all files in a folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


@pytest.mark.parametrize(("name", "was_there"), [("x.jsonl", False), ("x.parquet", True), ("x", False), ("x", True)])
def test_a_killed_export_shows_nothing_and_the_next_completes(tmp_path: Path, name: str, was_there: bool) -> None:
    path, directory = tmp_path / "to" / name, record(tmp_path / "run", traces(5))
    path.parent.mkdir()
    if was_there:
        with Reader(directory) as reader:
            write(reader, "messages", path, per_problem=1)
    before = content_of(path)
    with subprocess.Popen([sys.executable, "-c", KILLED, directory, path], stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stdout.readline() == b"half\n"
        export.send_signal(signal.SIGKILL)
    assert content_of(path) == before
    assert path.exists() == was_there
    with Reader(directory) as reader:
        assert write(reader, "messages", path, overwrite=True).rows == 5
    assert [one.name for one in path.parent.iterdir()] == [name], "what the killed one left is gone"


def test_another_export_to_the_same_place_is_refused(tmp_path: Path) -> None:
    part = tmp_path / ".x.jsonl.part"
    with part.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(b"half")
        held.flush()
        with pytest.raises(UsageError, match="another export is writing it"):
            write(run(*traces(1)), "messages", tmp_path / "x.jsonl")
        assert part.read_bytes() == b"half"
    write(run(*traces(1)), "messages", tmp_path / "x.jsonl")
    assert [one.name for one in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.parquet", "x"])
def test_a_disk_that_is_full_half_way(tmp_path: Path, name: str) -> None:
    reader = run(*(trace(os.urandom(40_000).hex(), sample=number) for number in range(20)))
    with files_of_at_most(300_000), pytest.raises(AntiphonError, match=f"{name}: cannot be written: File too large"):
        write(reader, "messages", tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write(reader, "messages", tmp_path / name)
    with files_of_at_most(300_000), pytest.raises(AntiphonError, match="what was there is untouched"):
        write(reader, "messages", tmp_path / name, overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert len(content_of(tmp_path / name)) == (3 if name == "x" else 1)


def test_what_is_there_is_replaced_only_where_asked(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x"):
        path = tmp_path / name
        write(run(*traces(1)), "messages", path)
        before = content_of(path)
        with pytest.raises(UsageError, match=f"{name}: is there already; --overwrite replaces it"):
            write(run(*traces(2)), "messages", path)
        assert content_of(path) == before
        assert write(run(*traces(2)), "messages", path, overwrite=True).rows == 2
        assert content_of(path) != before


def test_only_a_folder_that_an_export_wrote_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no folder that an export wrote"):
        write(run(*traces(1)), "messages", home, overwrite=True)
    assert (home / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert write(run(*traces(1)), "messages", tmp_path / "empty").rows == 1
    (tmp_path / "file").write_text("one")
    with pytest.raises(UsageError, match="no folder that an export wrote"):
        write(run(*traces(1)), "messages", tmp_path / "file", overwrite=True)


def test_verl_and_parquet_are_parquet(tmp_path: Path) -> None:
    for format in ("verl", "parquet"):
        with pytest.raises(UsageError, match=re.escape("an export ends in .parquet, or is a folder")):
            write(run(*traces(1)), format, tmp_path / "x.jsonl")


def test_a_folder_is_a_data_set_with_a_card(tmp_path: Path) -> None:
    write(run(*traces(3), trace("b", sample=9, status=None)), "messages", tmp_path / "mine", licence="apache-2.0")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    for said in ("3 rows in the format `messages`", f"    path: {DATA}\n", "| pending | 1 |", "| `messages` |"):
        assert said in card


def test_the_card_names_models_method_and_licences_and_no_place(tmp_path: Path) -> None:
    directory = record(tmp_path / "run", traces(1), student="/home/me/secret/Qwen3-8B")
    with Reader(directory) as reader:
        write(reader, "tessy", tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "Qwen3-8B" in card and "secret" not in card
    assert "method `tessy`" in card and "not known to this run" in card


def test_the_hub_loader_reads_every_kind(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install datasets")
    for name in ("x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.parquet", "x"):
        path = tmp_path / name
        write(run(*traces(3, "é\u2028")), "messages", path)
        kind, files = ("parquet" if "parquet" in name else "json"), {"train": str(path)}
        how = {"path": str(path)} if path.is_dir() else {"path": kind, "data_files": files}
        loaded = datasets.load_dataset(**how, split="train", cache_dir=str(tmp_path / "cache" / name))
        assert [row["messages"][-1]["content"] for row in loaded] == [f"é\u2028 {number}" for number in range(3)]
