"""Verdicts while they come, and what traces came to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from antiphon.cli import counting
from antiphon.cli.judging import Judging, facts, table
from antiphon.store import Reader
from antiphon.trace import Key, Label, Status, Verdict
from antiphon.verify.judge import judge
from tests.verify.scripted import ScriptedVerifier, answered, asked

KEY = Key("p", "tessy", 0)
RIGHT, WRONG = Verdict("v", "1", Label.RIGHT), Verdict("v", "1", Label.TIMED_OUT)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [100.0]
    monkeypatch.setattr(counting.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, _environ={})
    monkeypatch.setattr(counting, "stderr", lambda: console)
    yield written


def test_plain_lines_every_few_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Judging(1500) as shown:
        shown.heard(KEY, RIGHT)
        clock[0] += 6
        shown.heard(KEY, RIGHT)
        shown.heard(KEY, WRONG)
        clock[0] += 6
        shown.heard(KEY, WRONG)
    assert capsys.readouterr().err.splitlines() == [
        "2 of 1,500 answers judged: 2 right",
        "4 of 1,500 answers judged: 2 right, 2 timed out",
    ]


def test_a_terminal_sees_a_bar(terminal: io.StringIO) -> None:
    with Judging(2) as shown:
        shown.heard(KEY, RIGHT)
        shown.say("stopping\x1b")
    seen = terminal.getvalue()
    assert all(words in seen for words in ("judged", "1/2", "1 right", "stopping␛"))


def test_a_terminal_that_only_writes_on_gets_lines(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, _environ={"TERM": "dumb"})
    monkeypatch.setattr(counting, "stderr", lambda: console)
    with Judging(2) as shown:
        clock[0] += 6
        shown.heard(KEY, RIGHT)
    assert written.getvalue() == "1 of 2 answers judged: 1 right\n"


def test_quiet_it_only_says_what_it_is_told_to(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Judging(2, quiet=True) as shown:
        clock[0] += 60
        shown.heard(KEY, RIGHT)
        shown.say("a line")
    assert capsys.readouterr().err == "a line\n"


@pytest.mark.parametrize("ends", [[Status.COMPLETE, Status.TOO_LONG], [Status.NO_ANSWER, None], []])
def test_there_is_no_rate_where_nothing_was_judged(tmp_path: Path, ends: list[Status | None]) -> None:
    answered(tmp_path, [asked()], {"p": ["?"] * len(ends)}, status=lambda key: ends[key.sample])
    with Reader(tmp_path) as reader:
        found = facts(reader, "tessy")
    assert found["pass_rate"] is None
    console = Console(file=io.StringIO(), width=80)
    console.print(table([{"name": "tessy", **found}]))
    assert console.file.getvalue().split()[-1] == "-"  # type: ignore[attr-defined]


def test_of_judged_answers_without_a_right_one_the_rate_is_zero(tmp_path: Path) -> None:
    ends = [Status.COMPLETE, Status.TOO_LONG]
    answered(tmp_path, [asked(answer="1")], {"p": ["no_answer", "?"]}, status=lambda key: ends[key.sample])
    asyncio.run(judge(tmp_path, [ScriptedVerifier()]))
    with Reader(tmp_path) as reader:
        assert facts(reader, "tessy") == {"results": {"no_answer": 1, "cut_off": 1}, "pass_rate": 0.0}
