"""`antiphon duet`: one problem live."""

from __future__ import annotations

from pathlib import Path

from antiphon.engine.scripted import Fault
from tests.cli.conftest import MODELS, Command
from tests.cli.pair import Pair


def test_shows_both_voices_and_what_is_rolled_back(command: Command, pair: Pair) -> None:
    shown = command("duet", "What is 347 times 6?", *MODELS)
    assert (shown.code, shown.err) == (0, "")
    assert "[student] lab:student   {teacher} lab:teacher" in shown.out
    assert "[Okay, let me see] ~~[units" in shown.out
    assert "~~ {units 7x6=42}" in shown.out
    assert "[I get 2082.]" in shown.out
    assert "~~{teacher: rolled back}~~" in shown.out
    assert "complete" in shown.out and "tokens, " in shown.out


def test_without_models_the_embedded_pair_sings(command: Command, pair: Pair) -> None:
    shown = command("duet")
    assert shown.code == 0
    assert "What is 347 times 6?" in shown.out and "I get 2082." in shown.out
    assert {engine.name for engine in pair.engines} == {"lab:student", "lab:teacher"}


def test_json_is_the_record(command: Command, pair: Pair) -> None:
    facts = command("duet", "What is 123 times 4?", "--json").json
    assert facts["status"] == "complete" and facts["answer"] == "I get 492."
    assert any(turn["rejected"] for turn in facts["turns"])
    assert {span["author"] for span in facts["spans"]} == {"none", "student", "teacher"}


def test_one_voice_alone(command: Command, pair: Pair) -> None:
    shown = command("duet", "What is 123 times 4?", "--student", "my-student", "--method", "student_only")
    assert shown.code == 0
    assert "{" not in shown.out and "student: thinking, answer" in shown.out
    assert [engine.name for engine in pair.engines] == ["my-student"]


def test_a_configuration_names_the_models(command: Command, pair: Pair, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[teacher]\nmodel = "a-teacher"\n[student]\nmodel = "a-student"\n')
    assert "a-teacher" in command("duet", "What is 123 times 4?", "--config", config, "--boundary", "lab").out


def test_a_failure_is_said(command: Command, pair: Pair) -> None:
    pair.faults = lambda request: Fault("refuse")
    shown = command("duet", "What is 123 times 4?", *MODELS)
    assert shown.code == 1
    assert "failed: lab:teacher refused the request" in shown.out


def test_a_silent_engine(command: Command, pair: Pair) -> None:
    pair.faults = lambda request: Fault("gone")
    shown = command("duet", "What is 123 times 4?", *MODELS)
    assert shown.code == 3
    assert "error: lab:teacher does not answer" in shown.err


def test_budgets_reach_it(command: Command, pair: Pair) -> None:
    shown = command("duet", "What is 123 times 4?", "--thinking-budget", 20)
    assert "too_long: thinking reached its budget of 20 tokens" in shown.out
