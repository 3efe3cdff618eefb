"""Wrong use of the command: one clear message with its place, exit code 2, no traceback, nothing spent."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import MODELS, Command, Outcome, asked, write_lines
from tests.cli.pair import Pair

GOOD = json.dumps(asked(347, 6)).encode()


def refused(outcome: Outcome, *said: str) -> None:
    """Exit 2, a message that says all this, no traceback."""
    assert outcome.code == 2, outcome
    flat = " ".join(outcome.err.split())
    for text in said:
        assert text in flat
    assert "Traceback" not in outcome.err


BAD_RECORDS = {
    "no text": b'{"id": 1}',
    "null": b'{"question": null}',
    "wrong type": b'{"question": {"a": 1}}',
    "not an object": b"[1, 2]",
    "broken JSON": b'{"question": "What',
    "not UTF-8": b'{"question": "\xff"}',
    "empty messages": b'{"messages": []}',
    "unknown role": b'{"messages": [{"role": "robot", "content": "x"}]}',
}


@pytest.mark.parametrize("bad", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_19_a_bad_record_is_fatal_with_its_line(command: Command, pair: Pair, tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(GOOD + b"\r\n" + bad + b"\r\n")
    refused(command("synth", path, "--run", tmp_path / "run", *MODELS), f"{path}:2:", "--skip-bad")
    assert not pair.engines, "no model was loaded"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bad", BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_19_a_bad_record_is_passed_over_when_asked(command: Command, pair: Pair, tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\n" + bad + b"\n")
    done = command("synth", path, "--run", tmp_path / "run", *MODELS, "--skip-bad")
    assert done.code == 0
    assert f"skipped: {path}:2:" in done.err
    assert "1 complete" in done.out


def test_19_nothing_but_bad_records(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"id": 1}])
    refused(
        command("synth", path, "--run", tmp_path / "run", *MODELS, "--skip-bad"), f"{path}:1:", "no problem is left"
    )


def test_19_an_empty_file(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.touch()
    refused(command("synth", path, "--run", tmp_path / "run", *MODELS), str(path), "no record")


def test_19_a_torn_gzip_file(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD * 50)[:-20])
    refused(command("synth", path, "--run", tmp_path / "run", *MODELS), str(path))


def test_19_many_bad_records_are_counted(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"id": number} for number in range(30)])
    refused(command("synth", path, "--run", tmp_path / "run", *MODELS), f"{path}:10:", "and 20 more")


def test_18_duplicates_are_reported(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [asked(347, 6), asked(347, 6)])
    done = command("synth", path, "--run", tmp_path / "run", *MODELS)
    assert done.code == 0
    assert f"{path}:2: the same as {path}:1" in done.err
    assert "1 complete" in done.out


def test_a_missing_problem_file(command: Command, pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    refused(command("synth", path, "--run", tmp_path / "run", *MODELS), f"{path}: there is no such file")


def test_a_template_that_is_not_valid(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    refused(command(*run, "--template", "{{ a"), "the template is not valid")
    refused(command(*run, "--template", "x", "--field", "y"), "a field and a template")


def test_no_problems_and_no_directory(command: Command, problems: Path) -> None:
    refused(command("synth"), "PROBLEMS")
    refused(command("synth", problems), "--run")


def test_an_unknown_flag(command: Command, problems: Path) -> None:
    refused(command("synth", problems, "--sample", 3), "--sample")


def test_a_value_of_the_wrong_type(command: Command, problems: Path, tmp_path: Path) -> None:
    refused(command("synth", problems, "--run", tmp_path / "run", "--samples", "many"), "--samples", "integer")
    refused(command("synth", problems, "--run", tmp_path / "run", "--samples", 0), "--samples")


def test_no_model_is_named(command: Command, problems: Path, tmp_path: Path) -> None:
    refused(command("synth", problems, "--run", tmp_path / "run", "--teacher", "lab:teacher"), "--student MODEL")


def test_an_unknown_method(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    refused(command(*run, "--method", "duo"), "no method 'duo'", "tessy, student_only, teacher_only")


def test_an_unknown_setting(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    refused(command(*run, "--set", "budget.thoughts=3"), "no setting 'budget.thoughts'", "synth --init")
    refused(command(*run, "--set", "samples"), "--set samples", "NAME=VALUE")
    refused(command(*run, "--set", "samples=x"), "samples: Input should be", "'x'")
    refused(command(*run, "--on-budget", "explode"), "budget.on_budget", "'stop' or 'close'")


def test_an_unknown_setting_in_the_environment(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_BUDGETT", "3")
    refused(command("synth", problems, "--run", tmp_path / "run", *MODELS), "ANTIPHON_BUDGETT", "no setting 'budgett'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("samples = ", "not valid TOML"),
        ("samples = 0", "samples"),
        ("[teacher]\ntemperature = 1", "teacher.temperature"),
    ],
    ids=["broken", "out of range", "misplaced"],
)
def test_a_configuration_with_an_error(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, text: str, said: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    refused(command("synth", problems, "--run", tmp_path / "run", "--config", config, *MODELS), f"{config}:", said)


def test_a_missing_configuration(command: Command, problems: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    refused(command("synth", problems, "--run", tmp_path / "run", "--config", path), f"{path}: there is no such")


def test_a_missing_model(command: Command, problems: Path, tmp_path: Path) -> None:
    models = ("--teacher", tmp_path / "nowhere", "--student", tmp_path / "nowhere")
    refused(command("synth", problems, "--run", tmp_path / "run", *models), str(tmp_path / "nowhere"))
    refused(command("duet", "What?", *models), str(tmp_path / "nowhere"))
    assert not (tmp_path / "run").exists()


def test_a_model_without_a_tokenizer(command: Command, problems: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}')
    (folder / "model.safetensors").touch()
    models = ("--teacher", folder, "--student", folder)
    refused(command("synth", problems, "--run", tmp_path / "run", *models), str(folder), "tokenizer")


def test_nobody_listens_at_the_address(command: Command, problems: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    models = ("--teacher", f"http://user:secret@127.0.0.1:{port}/v1", "--student", "lab:student")
    outcome = command("synth", problems, "--run", tmp_path / "run", *models, "--method", "teacher_only")
    assert outcome.code == 3
    assert f"http://127.0.0.1:{port}: nothing answers there (Connection refused)" in outcome.err
    assert "secret" not in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("page", ["maths", "no/such.toml", "no_such_module:Name", "json:loads"])
def test_an_unknown_boundary(command: Command, pair: Pair, problems: Path, tmp_path: Path, page: str) -> None:
    models = ("--teacher", "lab:teacher", "--student", "lab:student")
    refused(command("synth", problems, "--run", tmp_path / "run", *models, "--boundary", page), page)


def test_a_rule_page_with_an_error(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.toml"
    page.write_text('lookahead = 1\n\n[[style]]\nphrases = ["so"]\nconfidense = 0.9\n')
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--boundary-teacher", page)
    refused(command(*run), f"{page}:5")


def test_the_run_directory_is_a_file(command: Command, pair: Pair, problems: Path) -> None:
    refused(command("synth", problems, "--run", problems, *MODELS), "is a file")


@pytest.mark.parametrize(
    "arguments", [("status",), ("trace", "x"), ("export", "--format", "messages", "--to", "x.jsonl")]
)
def test_not_a_run_directory(command: Command, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    name, *rest = arguments
    refused(command(name, tmp_path, *rest), f"{tmp_path} is not a run directory")


def test_an_unknown_trace(command: Command, finished: Path) -> None:
    refused(command("trace", finished, "999x9"), "no trace '999x9'", "347x6/tessy/0")


def test_an_unknown_format_variant_or_status(command: Command, finished: Path, tmp_path: Path) -> None:
    export = ("export", finished, "--to", tmp_path / "x.jsonl")
    refused(command(*export, "--format", "alpaca"), "no export format 'alpaca'", "messages, ")
    refused(command(*export, "--format", "messages", "--variant", "other"), "no variant 'other'", "tessy")
    refused(command(*export, "--format", "messages", "--status", "good"), "--status good", "complete")
    refused(command("export", finished, "--format", "messages", "--to", tmp_path / "x.txt"), ".jsonl")
    assert not (tmp_path / "x.jsonl").exists()
