"""`antiphon synth`: a whole run through the command."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from antiphon.engine.scripted import Fault
from antiphon.settings import load
from antiphon.store import Reader, Store
from antiphon.trace import Key, Status
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Letters, Pair


def test_writes_traces_and_says_what_came_out(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS)
    assert (done.code, done.err) == (0, "")
    assert "3 complete" in done.out
    with Reader(tmp_path / "run") as reader:
        assert reader.trace(Key("347x6", "tessy", 0)).answer == "I get 2082."


def test_goes_on_where_it_stood(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--json")
    assert command(*run, "--limit", 1).json["traces"] == {"complete": 1}
    again = command(*run).json
    assert (again["before"], again["planned"], again["traces"]) == (1, 2, {"complete": 3})


def test_json_is_all_that_standard_output_holds(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, "--json")
    assert done.err == ""
    assert done.json["finished"] == {"complete": 3}
    assert done.json["exit_code"] == 0
    kept = {role: tokens["kept"] for role, tokens in done.json["tokens"].items()}
    assert min(kept["student"], kept["teacher"]) > 0


def test_several_methods_share_a_run_directory(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    for method in ("tessy", "student_only", "teacher_only"):
        assert command(*run, "--method", method).code == 0
    with Reader(tmp_path / "run") as reader:
        assert [variant.name for variant in reader.variants()] == ["tessy", "student_only", "teacher_only"]


def test_18_samples_of_a_problem_are_traces_of_their_own(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    command("synth", problems, "--run", tmp_path / "run", *MODELS, "--samples", 2)
    with Reader(tmp_path / "run") as reader:
        assert len(reader.find("347x6/tessy")) == 2


def test_settings_come_from_file_environment_and_flags(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'samples = 2\nlimit = 1\nconcurrency = 5\n[teacher]\nmodel = "my-teacher"\n[student]\nmodel = "my-student"\n'
        '[boundary]\nteacher = "lab"\nstudent = "lab"\n'
    )
    monkeypatch.setenv("ANTIPHON_LIMIT", "2")
    run = ("synth", problems, "--run", tmp_path / "run", "--config", config)
    assert command(*run, "--json").json["planned"] == 4
    assert command(*run, "--json", "--set", "samples=3").json["planned"] == 2
    assert {engine.name for engine in pair.engines} == {"my-teacher", "my-student"}


def test_flags_reach_the_voices(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    flags = ("--thinking-budget", 40, "--answer-budget", 40, "--on-budget", "close", "--keep-rejected", "--limit", 1)
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *flags, "--variant", "short", "--json")
    assert done.json["variant"] == "short"
    with Reader(tmp_path / "run") as reader:
        trace = reader.trace(Key("347x6", "short", 0))
        assert trace.closed_by == "none"
        assert any(turn.rejected for turn in reader.turns(trace.key))


def test_problems_come_from_standard_input(command: Command, pair: Pair, tmp_path: Path) -> None:
    done = command("synth", "-", "--run", tmp_path / "run", *MODELS, stdin='{"question": "What is 123 times 4?"}\n')
    assert done.code == 0
    assert "1 complete" in done.out


def test_a_template_states_the_problem(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"a": 123, "b": 4}])
    template = ("--template", "What is {{ a }} times {{ b }}?")
    assert command("synth", path, "--run", tmp_path / "run", *MODELS, *template).code == 0


def test_a_field_states_the_problem(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"text": "What is 123 times 4?"}])
    assert command("synth", path, "--run", tmp_path / "run", *MODELS, "--field", "text").code == 0


# -- failures


def test_failed_traces_are_named_and_tried_again_when_asked(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    pair.faults = lambda request: Fault("refuse") if "588" in request.situation.text else None
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    failed = command(*run)
    assert failed.code == 1
    assert "588x2/tessy/0: lab:teacher refused the request" in failed.err
    assert "--retry failed" in failed.err
    pair.faults = lambda request: None
    assert command(*run).code == 1, "a failed trace is left until it is asked for"
    assert command(*run, "--retry", "failed").code == 0


def test_13_a_silent_engine_ends_the_command_and_leaves_traces_pending(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    pair.faults = lambda request: Fault("gone", after=3)
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--set", "outage=0.05")
    gone = command(*run)
    assert gone.code == 3
    assert "lab:teacher does not answer" in gone.err
    with Reader(tmp_path / "run") as reader:
        assert reader.counts() == {None: 3}
    pair.faults = lambda request: None
    assert command(*run).code == 0


def test_18_a_changed_configuration_is_refused_with_the_difference(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    command(*run)
    changed = command(*run, "--set", "student.sampling.temperature=0")
    assert changed.code == 2
    assert "temperature: 0.7 -> 0.0" in changed.err
    assert "--variant NAME" in changed.err
    assert command(*run, "--set", "student.sampling.temperature=0", "--variant", "greedy").code == 0


def test_17_a_second_writer_is_refused(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "run"):
        second = command("synth", problems, "--run", tmp_path / "run", *MODELS)
    assert second.code == 2
    assert "is being written by process" in second.err


def test_20_a_newer_run_directory_is_refused(command: Command, finished: Path, problems: Path) -> None:
    with sqlite3.connect(finished / "run.sqlite") as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    for arguments in (("synth", problems, "--run", finished, *MODELS), ("status", finished)):
        newer = command(*arguments)
        assert newer.code == 2
        assert "written by a newer version" in newer.err


def test_20_another_programs_database_is_refused(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    with sqlite3.connect(directory / "run.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    refused = command("synth", problems, "--run", directory, *MODELS)
    assert refused.code == 2
    assert "another program" in refused.err


# -- the configuration


def test_init_writes_a_configuration_that_gives_the_defaults(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "antiphon.toml"
    written = command("synth", "--init", path)
    assert written.code == 0
    assert str(path) in written.out
    assert load(path, environment={}) == load(environment={})


def test_init_describes_every_setting(command: Command) -> None:
    text = command("synth", "--init", "-").out
    for name in ("method", "limit", "model", "temperature", "on_budget", "repetition", "outage"):
        assert f"\n{name} =" in text or f"\n# {name} =" in text


def test_init_overwrites_nothing(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    refused = command("synth", "--init", path)
    assert (refused.code, path.read_text()) == (2, "mine")


def test_unset_settings_can_be_uncommented(command: Command, tmp_path: Path) -> None:
    text = command("synth", "--init", "-").out.replace("# limit =", "limit = 7")
    (tmp_path / "c.toml").write_text(text)
    assert load(tmp_path / "c.toml", environment={}).limit == 7


# -- progress


def test_plain_progress_lines(command: Command, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from antiphon.cli import progress

    monkeypatch.setattr(progress, "_EVERY", 0.001)
    pair.delay = 0.0001
    pair.faults = lambda request: Fault("refuse") if "119 times" in request.situation.text else None
    path = write_lines(tmp_path / "p.jsonl", [asked(number, 2) for number in range(100, 120)])
    done = command("synth", path, "--run", tmp_path / "run", *MODELS, "--concurrency", 4)
    lines = done.err.splitlines()
    assert any("/20 traces" in line and "tokens/s (student" in line and " left" in line for line in lines)
    assert any("x lab:teacher refused the request" in line for line in lines)


def test_only_wanted_statuses_are_written_anew(command: Command, finished: Path, problems: Path) -> None:
    wrong = command("synth", problems, "--run", finished, *MODELS, "--retry", "nonsense")
    assert wrong.code == 2
    assert "--retry nonsense" in wrong.err and Status.TOO_LONG in wrong.err


def test_a_fault_nobody_foresaw_is_shown_once(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> None:
        raise RuntimeError("a fault in the engine")

    monkeypatch.setattr(Letters, "encode", lambda self, text: broken(text))
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS)
    assert done.code == 1
    assert done.err.count("Traceback") == 1
    assert done.err.count("unexpected RuntimeError: a fault in the engine") == 3
