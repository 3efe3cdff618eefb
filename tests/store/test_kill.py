"""Processes that are killed, and two that want the same directory."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import StoreBusy
from antiphon.store import Reader, Store
from antiphon.trace import Author, Key, Status, Usage
from tests.store.records import VARIANT, finished, keys, span, turn

WRITER = """
import asyncio, sys
from pathlib import Path
from antiphon.store import Store
from antiphon.trace import Status
from tests.store.records import keys, planned, span, turn

def say(word):
    print(word, flush=True)

async def main(directory):
    with Store.open(Path(directory)) as store:
        wanted = keys("p", samples=100_000 if sys.argv[2] == "endless" else 3)
        planned(store, wanted[:3])
        {work}

asyncio.run(main(sys.argv[1]))
"""

ENDLESS = """
        for key in wanted:
            store.plan([key])
            recorder = store.recorder(key)
            recorder.begin()
            for index in range(3):
                recorder.close_span(index, span(f"{index} of {key} "))
                recorder.turn(turn())
            await recorder.finish(Status.COMPLETE)
            say(key.sample)
"""

IN_THE_MIDDLE = """
        first, second, third = map(store.recorder, wanted)
        first.begin()
        first.close_span(0, span("whole "))
        first.turn(turn())
        first.grow(1, span(), "half ", span("half ").ids, b"")
        first.grow(1, span(), "a word", span("a word").ids, b"")
        second.begin()
        await store.flush()
        say("saved")
        sys.stdin.read()
"""


def start(directory: Path, work: str, *, endless: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER.replace("{work}", work), str(directory), "endless" if endless else "once"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("reported", [1, 7])
def test_what_was_reported_finished_is_there_after_a_kill(tmp_path: Path, reported: int) -> None:
    process = start(tmp_path / "run", ENDLESS, endless=True)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(reported)]
    process.kill()
    said += [int(line) for line in process.stdout]
    process.communicate()
    with Store.open(tmp_path / "run") as store, Reader(tmp_path / "run") as reader:
        for sample in said:
            key = Key("p", VARIANT, sample)
            trace = reader.trace(key)
            assert trace.status is Status.COMPLETE
            assert trace.response == "".join(f"{index} of {key} " for index in range(3))
            assert len(reader.turns(key)) == 3
        complete = reader.counts()[Status.COMPLETE]
        assert len(said) <= complete <= len(said) + 1
        assert len(store.pending(VARIANT)) + complete == sum(reader.counts().values())


def test_a_trace_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    process = start(tmp_path, IN_THE_MIDDLE)
    assert process.stdout is not None
    assert process.stdout.readline() == "saved\n"
    kill(process)
    first, *others = keys("p", samples=3)
    with Store.open(tmp_path) as store:
        assert store.repaired == (
            f"process {process.pid} on {socket.gethostname()} ended without closing this run; traces under way: 2,"
            " in the middle of a span: 1; they go on from where they were last saved"
        )
        assert store.pending(VARIANT) == [first, *others]
        saved = store.saved(first)
        assert saved.spans == (span("whole "), span("half a word", end=None))
        assert saved.usage == {Author.STUDENT: Usage(1, 5, 3, None, 0.5)}
        assert saved.turns == 1
        assert store.saved(others[0]) == ((), {}, 0)
    with Store.open(tmp_path) as store:
        assert store.repaired is None


def test_a_kill_with_nothing_under_way_is_no_repair(tmp_path: Path) -> None:
    process = start(tmp_path, 'say("open"); sys.stdin.read()')
    assert process.stdout is not None
    process.stdout.readline()
    kill(process)
    with Store.open(tmp_path) as store:
        assert store.repaired is None


def test_a_second_writer_is_refused_at_once_and_readers_are_not(tmp_path: Path) -> None:
    process = start(tmp_path, 'say("open"); sys.stdin.read()')
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(StoreBusy, match=f"is being written by process {process.pid} on .*; wait until it ends"):
        Store.open(tmp_path)
    with Reader(tmp_path) as reader:
        assert reader.counts() == {None: 3}
    process.communicate()
    assert process.returncode == 0
    finished(tmp_path, *keys("p", samples=3))


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path), pytest.raises(StoreBusy, match="is being written by process"):
        Store.open(tmp_path)
    with Store.open(tmp_path):
        (tmp_path / "writer.lock").write_text("")
        with pytest.raises(StoreBusy, match="is being written by another process"):
            Store.open(tmp_path)


LIMITED = """
        import json, resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit := 400_000, limit))
        from antiphon.errors import StoreFull
        store.plan(keys("p", samples=2000))
        done = []
        try:
            for key in keys("p", samples=2000):
                recorder = store.recorder(key)
                recorder.close_span(0, span("word " * 100))
                await recorder.finish(Status.COMPLETE)
                done.append(key.sample)
        except StoreFull as error:
            say(json.dumps({"done": done, "error": str(error)}))
        try:
            store.close()
        except StoreFull:
            say("closed")
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    process = start(tmp_path, LIMITED)
    said, _ = process.communicate()
    assert process.returncode == 0
    result, closed = said.splitlines()
    assert closed == "closed"
    check_full(tmp_path, json.loads(result))


def check_full(directory: Path, result: dict[str, Any]) -> None:
    assert "All that was reported finished is safe" in result["error"]
    assert 0 < len(result["done"]) < 2000
    with Reader(directory) as reader:
        for sample in result["done"]:
            trace = reader.trace(Key("p", VARIANT, sample))
            assert (trace.status, trace.response) == (Status.COMPLETE, "word " * 100)
    more = Key("p", VARIANT, 1999)
    finished(directory, more)  # there is room again
    with Reader(directory) as reader:
        assert reader.trace(more).status is Status.COMPLETE
        assert len(reader.turns(more)) == len([turn()])
