"""Judging processes: whatever happens in one, there is an answer, and nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from antiphon.trace import Label
from antiphon.verify import worker
from antiphon.verify.workers import Stopped, Workers

ENDLESS = ("re:match", "(a+)+$", "a" * 50 + "b")  # `re` lets no other thread run meanwhile
EVAL = "builtins:eval"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def ask(workers: Workers, *request: Any, seconds: float = 5) -> Any:
    return asyncio.run(workers.ask(*request, seconds=seconds)).value


def children() -> set[int]:
    """The processes whose parent this one is, those apart that have ended."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it is gone by now
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(status.parent.name))
    return found


def wait_until(true: Any) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("called", ["os:getpid", "os:no_such_function"])
def test_time_runs_only_while_something_is_judged(called: str) -> None:
    """In a process that is kept, a timer that goes on would end a later judgement."""
    reply = worker._reply(json.dumps([called, [], 60]).encode())
    assert json.loads(reply).keys() == {"value"} if called == "os:getpid" else {"raised"}
    assert signal.getitimer(signal.ITIMER_REAL) == signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_function_is_called_and_its_result_comes_back(workers: Workers) -> None:
    assert ask(workers, "math:factorial", 10) == 3628800
    assert ask(workers, "builtins:print", "what libraries print is not taken for a reply") is None


@pytest.mark.parametrize("text", ["", "\0", "\n", "\u2028", "\ud800", "🙂" * 100_000])
def test_any_text_passes(workers: Workers, text: str) -> None:
    assert ask(workers, "builtins:str", text) == text


@pytest.mark.parametrize(
    ("request_", "label", "reason"),
    [
        pytest.param(ENDLESS, Label.TIMED_OUT, "more than 0.2 s", id="a loop in C"),
        pytest.param((EVAL, "[0 for i in iter(int, 1)]"), Label.TIMED_OUT, "more than 0.2 s", id="a loop in Python"),
        pytest.param(("builtins:bytearray", 1 << 31), Label.CRASHED, "memory", id="memory at once"),
        pytest.param((EVAL, "[bytes(1 << 20) for i in range(4000)]"), Label.CRASHED, "memory", id="memory by and by"),
        pytest.param((EVAL, "1 / 0"), Label.CRASHED, "ZeroDivisionError", id="an exception"),
        pytest.param((EVAL, "f'{object()!r:>{10**10}}'"), Label.CRASHED, "memory", id="a string too long"),
        pytest.param(("os:abort",), Label.CRASHED, "ended", id="abort"),
        pytest.param(("os:_exit", 0), Label.CRASHED, "ended", id="exit"),
        pytest.param((EVAL, "object()"), Label.CRASHED, "TypeError", id="no JSON"),
        pytest.param(("antiphon.verify.equal:nothing",), Label.CRASHED, "AttributeError", id="no such function"),
    ],
)
def test_what_goes_wrong_costs_one_judgement(
    workers: Workers, request_: tuple[Any, ...], label: Label, reason: str
) -> None:
    with pytest.raises(Stopped, match=reason) as caught:
        ask(workers, *request_, seconds=0.2)
    assert caught.value.label is label
    assert ask(workers, "math:factorial", 3) == 6


def test_one_that_does_nothing_is_stopped_by_the_clock(workers: Workers) -> None:
    with pytest.raises(Stopped, match=r"more than 0.05 s"):
        ask(workers, "time:sleep", 1000, seconds=0.05)


@on_linux
def test_a_check_that_is_called_off_leaves_nothing_running() -> None:
    before = children()
    workers = Workers(jobs=1)

    async def call_off() -> None:
        running = asyncio.create_task(workers.ask(*ENDLESS, seconds=1000))
        waiting = asyncio.create_task(workers.ask(*ENDLESS, seconds=1000))
        await asyncio.to_thread(wait_until, lambda: children() - before)
        for task in (waiting, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert children() == before

    asyncio.run(call_off())
    assert ask(workers, "math:factorial", 3) == 6


@on_linux
def test_one_that_was_killed_meanwhile_is_replaced() -> None:
    before = children()
    workers = Workers(jobs=1)
    ask(workers, "math:factorial", 3)
    first = children() - before
    for process in first:
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: children() == before)
    assert ask(workers, "os:getpid") not in first


@on_linux
def test_they_end_with_their_object() -> None:
    before = children()
    workers = Workers(jobs=1)
    ask(workers, "math:factorial", 3)
    assert children() != before
    del workers
    assert children() == before


@on_linux
def test_one_in_the_middle_of_a_judgement_dies_with_its_parent() -> None:
    program = f"""
import asyncio
from antiphon.verify.workers import Workers
workers = Workers(jobs=1)
async def main():
    print((await workers.ask("os:getpid", seconds=5)).value, flush=True)
    await workers.ask(*{ENDLESS!r}, seconds=1000)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not running(worker))


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_they_write_no_file(workers: Workers, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(Stopped, match="File too large"):
        ask(workers, EVAL, f"__import__('os').write(__import__('os').open({str(path)!r}, 66), b'x')")
    assert not path.exists() or path.read_bytes() == b""


def test_they_load_what_they_judge_with_and_nothing_else() -> None:
    loaded = set(ask(Workers(jobs=1), EVAL, "list(__import__('sys').modules)"))
    assert "antiphon" in loaded
    assert not loaded & {"torch", "numpy", "transformers", "sympy", "pydantic", "aiohttp", "rich"}


def test_the_same_ones_serve_one_loop_after_the_other(workers: Workers) -> None:
    assert ask(workers, "math:factorial", 3) == ask(workers, "math:factorial", 3) == 6
