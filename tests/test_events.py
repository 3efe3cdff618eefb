"""The log: one JSON object a line, with the trace that it concerns, and no secrets."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import events
from antiphon.errors import UsageError


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def logged(path: Path) -> AbstractContextManager[None]:
    return events.written_to(path, pytest.fail)


def test_events_of_tasks_name_their_own_traces(tmp_path: Path) -> None:
    async def write(trace: str) -> None:
        with events.concerning(trace):
            await asyncio.sleep(0)
            events.warned("trace_failed", cause="no reason", server=None)
            with events.concerning(None):
                events.happened("server_back", server=trace)

    async def both() -> None:
        await asyncio.gather(write("a"), write("b"))

    with logged(tmp_path / "log"):
        asyncio.run(both())
    events.happened("unheard")
    said = lines(tmp_path / "log")
    assert [(one["event"], one.get("trace"), one["level"]) for one in said] == [
        ("trace_failed", "a", "warning"),
        ("server_back", None, "info"),
        ("trace_failed", "b", "warning"),
        ("server_back", None, "info"),
    ]
    assert {frozenset(one) for one in said[::2]} == {frozenset({"time", "level", "event", "trace", "cause"})}
    assert all(one["time"].endswith("+00:00") for one in said)


def test_faults_of_ours_come_with_their_traceback(tmp_path: Path) -> None:
    with logged(tmp_path / "log"):
        try:
            raise KeyError("http://me:open-sesame@host/x")
        except KeyError:
            logging.getLogger("antiphon.synth.run").exception("trace %s failed", "p/tessy/0")
    (said,) = lines(tmp_path / "log")
    assert (said["event"], said["level"], said["text"]) == ("message", "error", "trace p/tessy/0 failed")
    assert "KeyError" in said["traceback"] and "sesame" not in said["traceback"]


@given(cause=st.text(), user=st.from_regex(r"[a-z]{1,5}:sesame[0-9]*", fullmatch=True))
def test_any_text_is_one_line_without_secrets(tmp_path_factory: pytest.TempPathFactory, cause: str, user: str) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    with logged(path):
        events.happened("retry", cause=f"{cause} https://{user}@host:8000/v1")
    (said,) = lines(path)
    assert said["cause"].endswith("https://host:8000/v1") and "sesame" not in path.read_text("utf-8")


def test_it_is_added_to(tmp_path: Path) -> None:
    for number in range(2):
        with logged(tmp_path / "log"):
            events.happened("session_began", number=number)
    assert [one["number"] for one in lines(tmp_path / "log")] == [0, 1]
    with pytest.raises(UsageError, match="the log cannot be written: Is a directory"), logged(tmp_path):
        pass


def test_a_disk_that_is_full_ends_the_log_and_is_said_once() -> None:
    said: list[str] = []
    with events.written_to(Path("/dev/full"), said.append):
        events.happened("retry")
        events.happened("retry")
    assert said == ["/dev/full: the log cannot be written any more: [Errno 28] No space left on device"]


def test_nobody_is_told_who_does_not_listen(capfd: pytest.CaptureFixture[str]) -> None:
    events.warned("outage", cause="silence")
    assert capfd.readouterr() == ("", "")
