"""The user's own program as a judge: its exit status is the verdict, and nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.trace import Label
from antiphon.verify.command import CommandVerifier, _Run

from .asking import problem, verdict, verdicts

READ = "import json, sys; told = json.load(sys.stdin); "


def program(text: str, *, seconds: float = 60, jobs: int | None = None) -> CommandVerifier:
    return CommandVerifier(shlex.join([sys.executable, "-c", text]), seconds=seconds, jobs=jobs)


def gone(process: int) -> bool:
    """Whether a process has ended, waited for or not."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(path: Path) -> int:
    """The process id that a program writes into a file."""
    until = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.01)
    return int(path.read_text())


def wait_until_gone(process: int) -> None:
    until = time.monotonic() + 20
    while not gone(process):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "label", "detail"),
    [
        ("print('well done')", Label.RIGHT, "well done"),
        ("import sys; print('not 7'); sys.exit(1)", Label.WRONG, "not 7"),
        ("import sys; sys.exit(2)", Label.NO_ANSWER, ""),
        ("import sys; sys.exit('no tests')", Label.WRONG, "no tests"),
        ("import sys; print('no tests', file=sys.stderr); sys.exit(3)", Label.CANNOT_JUDGE, "ended with 3: no tests"),
        ("import sys; sys.exit(77)", Label.CANNOT_JUDGE, "ended with 77: it said nothing"),
        ("import os; os.abort()", Label.CANNOT_JUDGE, "ended with -6"),
        ("import sys; sys.stdout.buffer.write(bytes([255]) + b' no text')", Label.RIGHT, "\ufffd no text"),
        ("print('x' * 10**6); print('\\xff\\x00 two', end='\\n\\n')", Label.RIGHT, "two"),
    ],
)
def test_the_exit_status_is_the_verdict(text: str, label: Label, detail: str) -> None:
    given = verdict(program(text), problem(), "7")
    assert given.label is label
    assert detail in given.detail
    assert "\n" not in given.detail
    assert ("problems.jsonl:3: " in given.detail) is (label is Label.CANNOT_JUDGE)


def test_it_is_told_the_problem_and_the_answer() -> None:
    answer = "é \ud800 \0\n" * 100_000
    given = verdict(program(READ + "print(ascii(told))"), problem("Why?", tests=["x"]), "é")
    told = eval(given.detail)
    message = {"role": "user", "content": "Why?"}
    assert told["problem"] == {
        "id": "p",
        "messages": [message],
        "metadata": {"tests": ["x"]},
        "place": "problems.jsonl:3",
    }
    assert told["answer"] == "é"
    same = program(READ + f"sys.exit(told['answer'] != json.loads({json.dumps(json.dumps('é'))}))")
    assert verdict(same, problem(), "é").label is Label.RIGHT
    assert verdict(program(READ + "print(len(told['answer']))"), problem(), answer).detail == str(len(answer))


def test_an_answer_that_is_not_read_is_no_fault() -> None:
    assert verdict(program("pass"), problem(), "x" * 10**6).label is Label.RIGHT


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    text = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid, file=open({str(path)!r}, "w"), flush=True)
time.sleep(1000)
"""
    given = verdict(program(text, seconds=0.5), problem(), "7")
    assert given.label is Label.CANNOT_JUDGE
    assert "more than 0.5 s" in given.detail
    wait_until_gone(wait_for(path))


def test_what_a_program_leaves_running_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    text = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid, file=open({str(path)!r}, "w"))
print("done")
"""
    given = verdict(program(text), problem(), "7")
    assert (given.label, given.detail) == (Label.RIGHT, "done")
    wait_until_gone(wait_for(path))


def test_a_check_that_is_called_off_leaves_nothing_running(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    text = f"import os, time; print(os.getpid(), file=open({str(path)!r}, 'w'), flush=True); time.sleep(1000)"
    slow = program(text, jobs=1)

    async def call_off() -> None:
        running = asyncio.create_task(slow.check(problem(), "7"))
        waiting = asyncio.create_task(slow.check(problem(), "8"))
        process = await asyncio.to_thread(wait_for, path)
        for task in (waiting, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert gone(process)

    asyncio.run(call_off())


def test_what_is_stopped_before_it_has_begun_never_begins(tmp_path: Path) -> None:
    run = _Run([sys.executable, "-c", f"open({str(tmp_path / 'begun')!r}, 'w')"], b"{}", 60)
    run.stop()
    assert run.carry_out() == (None, "", 0.0)
    assert not (tmp_path / "begun").exists()


def test_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    text = f"""
import os, sys
try:
    os.mkdir({str(tmp_path / "lock")!r})
except FileExistsError:
    sys.exit(1)
os.rmdir({str(tmp_path / "lock")!r})
"""
    given = verdicts(program(text, jobs=1), [(problem(), "7")] * 5)
    assert {each.label for each in given} == {Label.RIGHT}


@pytest.mark.parametrize("command", ["", "  ", "no-such-program-anywhere --x", "'open", "/etc/passwd"])
def test_a_program_that_is_not_there_is_told_at_once(command: str) -> None:
    with pytest.raises(UsageError, match=r"program|command"):
        CommandVerifier(command)


def test_a_program_that_goes_away_ends_the_work(tmp_path: Path) -> None:
    script = tmp_path / "judge"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    judge = CommandVerifier(str(script))
    assert judge.name == "command:judge"
    assert verdict(judge, problem(), "7").label is Label.RIGHT
    script.unlink()
    with pytest.raises(UsageError, match="cannot be run"):
        verdict(judge, problem(), "7")


def test_it_suits_every_problem() -> None:
    assert program("pass").suits(problem())
    assert Path(sys.executable).name in program("pass").name
