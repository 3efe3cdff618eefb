"""`antiphon view`: the file, and what cannot be shown."""

from __future__ import annotations

import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.view.hostile import TEXTS
from tests.view.runs import problem, span, trace, write


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_writes_a_page(command: Command, finished: Path, tmp_path: Path) -> None:
    shown = command("view", finished, "--html", tmp_path / "page.html", "--search", "347")
    assert (shown.code, shown.err) == (0, "")
    assert "page.html: 1 trace of 1 problem" in shown.out
    assert "347x6" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--status", "odd"), "there is no status 'odd'; there are complete"),
        (("--verdict", "odd"), "there is no verdict 'odd'"),
        (("--html", "nowhere/page.html"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line(command: Command, finished: Path, options: tuple[str, ...], says: str) -> None:
    refused = command("view", finished, *options)
    assert refused.code == 2 and says in refused.err and len(refused.err.splitlines()) == 1


def test_no_run_directory(command: Command, tmp_path: Path) -> None:
    for options in ((), ("--html", tmp_path / "page.html")):
        refused = command("view", tmp_path, *options)
        assert refused.code == 2 and "is not a run directory" in refused.err


def test_one_run_at_a_time_goes_into_a_file(command: Command, finished: Path, tmp_path: Path) -> None:
    refused = command("view", finished, finished, "--html", tmp_path / "page.html")
    assert refused.code == 2 and "name one" in refused.err


def test_a_port_that_is_taken(command: Command, finished: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused = command("view", finished, "--port", other.getsockname()[1])
    assert refused.code == 2 and "cannot be used" in refused.err


def test_a_cache_that_cannot_be_made(command: Command, finished: Path, cache: Path) -> None:
    cache.write_text("a file")
    refused = command("view", finished)
    assert refused.code == 2 and "let XDG_CACHE_HOME name a folder" in refused.err


def test_without_its_libraries_it_says_what_to_install(
    command: Command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refused = command("view", finished)
    assert refused.code == 2 and "pip install 'antiphon[view]'" in refused.err


def test_the_terminal_shows_the_same_hostile_texts_as_text(command: Command, tmp_path: Path) -> None:
    texts = dict(enumerate(TEXTS.values()))
    traces = [trace(f"p{n}", span("student", "style", text), cause=text) for n, text in texts.items()]
    run = write(tmp_path / "run", [problem(f"p{n}", text) for n, text in texts.items()], traces)
    for n in texts:
        shown = command("trace", run, f"p{n}/tessy/0").out
        assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n"}
        assert not set("\u202d\u202e\u2066\u2067\u2068") & set(shown)
