"""`antiphon doctor` and what `antiphon synth` says of the same servers: one clear line each, no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from antiphon.engine.scripted import Control, Situation
from tests.cli.conftest import Command, Outcome, asked, write_lines
from tests.cli.pair import STUDENT, speaker
from tests.engine.http.chat_server import ChatServer, Says
from tests.engine.http.prefix_server import PrefixServer, counting
from tests.operate.servers import TEACHER, Lively, LivelyLlama, LivelyVLLM, up

LAB = ("--boundary", "lab", "--concurrency", 2)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_line_for_each_check_and_a_trace(command: Command) -> None:
    student, teacher = LivelyVLLM(), LivelyVLLM(TEACHER, name="teacher")
    with up(student, teacher):
        done = command("doctor", "--student", student.url, "--teacher", teacher.url, *LAB)
    assert done.code == 0, done
    lines = done.out.splitlines()
    checks = [line.split()[1] for line in lines if line.startswith("ok ")]
    assert checks[:3] == ["reachable", "version", "model"] and checks[-2:] == ["models", "trace"]
    assert "[Okay, let me see] {units 7x6=42}" in done.out, "who wrote what"
    assert lines[-1] == "A run would work."
    assert all(len(line) <= 80 for line in lines), "it reads well in a narrow terminal"
    assert not done.err


def test_json_says_the_same(command: Command) -> None:
    server = LivelyLlama(slots=1)
    with up(server):
        done = command("doctor", "--student", server.url, *LAB, "--json")
    told = done.json
    assert (done.code, told["exit_code"], told["works"]) == (0, 0, True)
    (chart, together) = told["charts"]
    assert (chart["title"], chart["where"], together["title"]) == ("student", server.url, "together")
    findings = {finding["check"]: finding for finding in chart["findings"]}
    assert findings["slots"]["grade"] == "warning" and findings["slots"]["facts"] == {"slots": 1}
    assert findings["clock"]["facts"]["turn"] > 0


def test_a_configuration_says_what_flags_would(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "antiphon.toml"
    server = LivelyVLLM()
    with up(server):
        config.write_text(f'[student]\nmodel = "{server.url}"\n')
        assert command("doctor", "--config", config).code == 0
    assert command("doctor", "--config", tmp_path / "none.toml").code == 2


def test_wrong_use(command: Command) -> None:
    assert command("doctor").code == 2
    outcome = command("doctor", "--student", "lab:student", "--set", "student.dialekt=x")
    assert outcome.code == 2 and "no setting 'student.dialekt'" in outcome.err


def test_a_model_that_is_not_there(command: Command, tmp_path: Path) -> None:
    outcome = command("doctor", "--student", tmp_path / "nowhere")
    assert outcome.code == 3
    assert "failure  reachable" in outcome.out and "A run would not work as it is: 1 failure." in outcome.out


BAD: dict[str, tuple[Callable[[], Lively], str, tuple[object, ...], str]] = {
    "no key": (lambda: LivelyVLLM(key="secret"), "", (), "set server.key to the name"),
    "a wrong key": (
        lambda: LivelyVLLM(key="secret"),
        "",
        ("--set", "student.server.key=WRONG_KEY"),
        "the variable WRONG_KEY holds the key that it refuses",
    ),
    "a key that is not in the environment": (
        lambda: LivelyVLLM(key="secret"),
        "",
        ("--set", "student.server.key=NO_SUCH_KEY"),
        "no variable NO_SUCH_KEY",
    ),
    "a wrong model name": (
        lambda: LivelyVLLM(),
        "",
        ("--set", "student.server.served=other"),
        "it does not serve 'other'; it serves student",
    ),
    "an address beyond the server's own": (lambda: LivelyVLLM(), "/proxy", (), "give the address before"),
    "a vLLM without token ids": (lambda: LivelyVLLM(ids=False), "", (), "it gives no token ids (vLLM does from 0.10.2"),
    "a context too small": (
        lambda: LivelyVLLM(context=256),
        "",
        ("--answer-budget", 250),
        "no room",
    ),
}


@pytest.mark.parametrize(("make", "path", "flags", "said"), BAD.values(), ids=BAD)
def test_a_server_that_cannot_serve_is_one_clear_line(
    command: Command,
    problems: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Lively],
    path: str,
    flags: tuple[object, ...],
    said: str,
) -> None:
    monkeypatch.setenv("WRONG_KEY", "not-it")
    server = make()
    with up(server):
        model = ("--student", server.url + path, "--boundary", "lab", *flags)
        doctor = command("doctor", *model)
        synth = command("synth", problems, "--run", tmp_path / "run", "--method", "student_only", *model)
    assert doctor.code == 3 and said in flat(doctor.out), doctor
    assert synth.code == 2 and said in flat(synth.err), synth
    assert len(synth.err.splitlines()) == 1
    for text in (doctor.out, synth.err):
        assert "Traceback" not in text and "secret" not in text and "not-it" not in text


@pytest.mark.parametrize("path", ["", "/v1", "/v1/completions", "/"])
def test_the_path_of_the_route_may_be_given_or_not(command: Command, problems: Path, tmp_path: Path, path: str) -> None:
    server = LivelyVLLM()
    with up(server):
        done = synth(command, problems, tmp_path, server.url + path, "--method", "student_only")
    assert done.code == 0 and "3 complete" in done.out


def synth(command: Command, problems: Path, folder: Path, student: str, *flags: object) -> Outcome:
    return command("synth", problems, "--run", folder / "run", "--student", student, "--boundary", "lab", *flags)


def test_fewer_slots_than_traces_are_warned_of(command: Command, problems: Path, tmp_path: Path) -> None:
    server = LivelyLlama(slots=2)
    with up(server):
        done = synth(command, problems, tmp_path, server.url, "--method", "student_only", "--concurrency", 8)
    assert done.code == 0 and "3 complete" in done.out
    assert "warning:" in done.err and "2 traces at once" in done.err and "--parallel" in done.err
    assert server.most <= 2 and not server.collisions


def test_the_same_model_in_both_roles_is_allowed_and_warned_of(
    command: Command, problems: Path, tmp_path: Path
) -> None:
    server = LivelyVLLM()
    with up(server):
        done = synth(command, problems, tmp_path, server.url, "--teacher", server.url, "--concurrency", 2)
    assert done.code == 0
    assert "student is teacher and student" in done.err


def test_a_model_without_template_is_said(command: Command, problems: Path, tmp_path: Path) -> None:
    """Nothing is known to compare with, and the doctor says which dialect was taken."""
    server = LivelyVLLM(files=False)
    with up(server):
        done = command("doctor", "--student", server.url, *LAB)
    assert done.code == 0
    assert "no chat template is known to compare with; the dialect 'qwen3' was found" in flat(done.out)


def test_a_proxy_that_cuts_streams_is_survived(command: Command, tmp_path: Path) -> None:
    """Every answer is cut after twelve events; what came stands, and the trace goes on from there."""
    problems = write_lines(tmp_path / "p.jsonl", [asked(347, 6)])
    server = LivelyVLLM(breaks=12)
    with up(server):
        done = synth(command, problems, tmp_path, server.url, "--method", "student_only", "--set", "guards.breaks=40")
    assert done.code == 0 and "1 complete" in done.out, done


def test_a_server_that_restarts_under_way(command: Command, tmp_path: Path) -> None:
    problems = write_lines(tmp_path / "p.jsonl", [asked(100 + number, 6) for number in range(6)])
    server = LivelyVLLM(restarts=4)
    with up(server):
        done = synth(command, problems, tmp_path, server.url, "--method", "student_only", "--concurrency", 2)
    assert done.code == 0 and "6 complete" in done.out, done
    assert server.restarted is not None


def test_a_server_that_changes_its_model_under_way(command: Command, tmp_path: Path) -> None:
    problems = write_lines(tmp_path / "p.jsonl", [asked(100 + number, 6) for number in range(6)])
    server = LivelyVLLM(restarts=4, becomes="another")
    with up(server):
        done = synth(
            command, problems, tmp_path, server.url, "--method", "student_only", "--concurrency", 2, "--set", "outage=1"
        )
    assert done.code == 3, done
    assert "it serves another now, and this run began with student" in done.err
    assert "Traceback" not in done.err


def test_a_chat_endpoint_is_enough_for_whole_replies_and_not_for_turns(command: Command) -> None:
    def solved(messages: Sequence[dict[str, str]]) -> Says:
        return Says("It is 2082.", "347 by 6.", field="reasoning")

    with ChatServer(solved).beside() as server:
        alone = command("doctor", "--teacher", server.base)
        turns = command("doctor", "--teacher", server.base, "--student", server.base)
    assert alone.code == 0 and "whole replies, no turns" in alone.out and "It is 2082." in alone.out
    assert turns.code == 3 and "teacher_only" in turns.out


def test_a_chat_endpoint_that_goes_on_from_a_beginning_serves_turns(command: Command) -> None:
    def script(question: str, reply: str) -> Iterator[str]:
        if "times" in question:
            for token in speaker(STUDENT)(Situation(0, 0, lambda: question + reply)):
                yield token.text if isinstance(token, Control) else str(token)
        else:
            yield from counting(question, reply)

    mode = "continue_final_message"
    with PrefixServer(script, mode=mode).beside() as server:
        settings = ("--set", f"student.server.prefix={mode}", "--set", "run_ahead=16")  # it writes in no time
        done = command("doctor", "--student", server.url, *settings, *LAB)
    assert done.code == 0, done
    assert "the server's own: it is given messages" in flat(done.out)
