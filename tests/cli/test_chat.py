"""The command on a chat endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from antiphon.engine.scripted import Control, Situation
from antiphon.store import Reader
from antiphon.trace import Author, Key
from tests.cli.conftest import Command
from tests.cli.pair import STUDENT, TEACHER, Manner, speaker
from tests.engine.http.chat_server import ChatServer, Says
from tests.engine.http.prefix_server import PrefixServer, Script, counting


def solved(messages: Sequence[dict[str, str]]) -> Says:
    found = re.search(r"(\d+) times (\d+)", messages[-1]["content"])
    if found is None:
        return Says("1 2 3")
    return Says(f"It is {int(found[1]) * int(found[2])}.", f"{found[1]} by {found[2]}.", field="reasoning")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solved).beside() as server:
        yield server


def test_whole_replies_are_written_and_exported(
    command: Command, server: ChatServer, problems: Path, tmp_path: Path
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", "--teacher", server.base, "--method", "teacher_only")
    done = command(*run, "--set", "teacher.price_out=2", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["finished"] == {"complete": 3}
    assert done.json["tokens"]["teacher"]["kept"] == 21
    with Reader(tmp_path / "run") as reader:
        trace = reader.trace(Key("347x6", "teacher_only", 0))
    assert trace.response == "<think>\n347 by 6.\n</think>\n\nIt is 2082."
    (variant,) = command("status", tmp_path / "run", "--json").json["variants"]
    assert variant["cost"] == pytest.approx(42e-6)
    exported = command("export", tmp_path / "run", "--format", "messages", "--to", tmp_path / "train.jsonl")
    assert exported.code == 0
    assert "It is 2082." in (tmp_path / "train.jsonl").read_text("utf-8")


def speaking(manner: Manner) -> Script:
    """A voice of the scripted pair, over text."""

    def script(question: str, reply: str) -> Iterator[str]:
        if "times" not in question:
            yield from counting(question, reply)
            return
        for token in speaker(manner)(Situation(0, 0, lambda: question + reply)):
            assert not isinstance(token, bytes)
            yield token.text if isinstance(token, Control) else token

    return script


@pytest.mark.parametrize("mode", ["continue_final_message", "prefix"])
def test_turns_are_written_where_a_reply_can_be_gone_on_with(
    command: Command, problems: Path, tmp_path: Path, mode: str
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", "--boundary", "lab", "--json")
    with (
        PrefixServer(speaking(TEACHER), mode=mode).beside() as teacher,
        PrefixServer(
            speaking(STUDENT._replace(answer="So.\nQuestion: done.\nI get {}.")), mode=mode
        ).beside() as student,
    ):
        prefixes = [f"{role}.server.prefix={mode}" for role in ("teacher", "student")]
        flags = [flag for prefix in prefixes for flag in ("--set", prefix)]
        done = command(*run, "--teacher", teacher.url, "--student", student.url, *flags)
    assert (done.code, done.json["finished"]) == (0, {"complete": 3})
    with Reader(tmp_path / "run") as reader:
        trace = reader.trace(Key("347x6", "tessy", 0))
    assert trace.answer == "So.\nQuestion: done.\nI get 2082."  # words of a prompt that is never sent end no turn
    assert {span.author for span in trace.spans} == {Author.NONE, Author.STUDENT, Author.TEACHER}
    assert trace.thinking.startswith("Okay, let me see units 7x6=42")


def test_an_unfaithful_prefix_is_refused_before_anything_is_spent(
    command: Command, problems: Path, tmp_path: Path
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", "--method", "teacher_only")
    with PrefixServer(speaking(TEACHER), flaw="strips").beside() as teacher:
        how = ("--set", "teacher.server.prefix=continue_final_message")
        done = command(*run, "--teacher", teacher.url, *how)
    assert done.code == 2
    (line,) = done.err.strip().splitlines()
    assert "cut behind a blank, it writes as without" in line
    assert not (tmp_path / "run").exists()


def test_turns_are_refused_in_one_line_before_anything_is_spent(
    command: Command, server: ChatServer, problems: Path, tmp_path: Path
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", "--boundary", "lab")
    done = command(*run, "--teacher", server.url, "--student", server.base)
    assert done.code == 2
    (line,) = done.err.strip().splitlines()
    assert "a chat endpoint cannot go on from the middle of a reply" in line
    assert len(server.asked) == 2  # one token each at start-up
