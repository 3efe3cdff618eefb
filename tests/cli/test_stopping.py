"""Ctrl-C and SIGTERM, in real processes."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from antiphon.store import Reader
from antiphon.trace import Key
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Pair

ROOT = Path(__file__).parents[2]


@contextmanager
def started(mood: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command at work, as soon as it waits."""
    words = [sys.executable, "-m", "tests.cli.command", mood, *map(str, arguments)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        read_until(process, "waiting")
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], said: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if said in line:
            return
    raise AssertionError(f"it ended without saying {said!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_17_stopped_once_everything_is_kept(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--concurrency", 1)
    with started("hang", *run) as process:
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "stopping; everything is kept" in err
    assert "3 pending" in out and "the same command goes on" in err
    with Reader(tmp_path / "run") as reader:
        before = reader.trace(Key("347x6", "tessy", 0)).response
        assert "units 7x6=42" in before
    again = command(*run, "--json")
    assert again.code == 0 and again.json["repaired"] is None
    with Reader(tmp_path / "run") as reader:
        assert reader.trace(Key("347x6", "tessy", 0)).response.startswith(before)


def test_17_stopped_twice_it_ends_at_once(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--concurrency", 1)
    with started("block", *run) as process:
        process.send_signal(signal.SIGINT)
        read_until(process, "stopping")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    again = command(*run)
    assert again.code == 0 and "3 complete" in again.out


def test_17_what_a_killed_writer_left_is_said(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--concurrency", 1)
    with started("hang", *run) as process:
        process.send_signal(signal.SIGINT)
        process.communicate()
    (tmp_path / "run" / "writer.lock").write_text("process 4321 on elsewhere")  # what a killed one leaves
    again = command(*run)
    assert again.code == 0
    assert "process 4321 on elsewhere ended without closing this run" in again.err


def test_stopped_with_json_the_summary_says_so(problems: Path, tmp_path: Path) -> None:
    with started("hang", "synth", problems, "--run", tmp_path / "run", *MODELS, "--json") as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    summary = json.loads(out)
    assert summary["interrupted"] and summary["exit_code"] == process.returncode == 130


def test_a_duet_is_stopped_at_once(tmp_path: Path) -> None:
    with started("hang", "duet", "What is 347 times 6?", *MODELS) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "units 7x6=42" in out and "Traceback" not in err


def test_17_a_full_disk_ends_the_command_and_keeps_what_is_finished(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [asked(number, 2) for number in range(100, 400)])
    words = ["synth", path, "--run", tmp_path / "run", *MODELS, "--concurrency", 2]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    full = subprocess.run(
        [sys.executable, "-m", "tests.cli.command", "well", *map(str, words)],
        cwd=ROOT,
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert full.returncode == 3
    assert "All that was reported finished is safe" in full.stderr
    assert "Traceback" not in full.stderr
    with Reader(tmp_path / "run") as reader:
        assert sum(reader.counts().values()) == 300


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("synth", "--help")], ids=lambda a: a[0])
def test_help_loads_no_heavy_library(arguments: tuple[str, ...]) -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow", "numpy", "tokenizers", "jinja2")
    code = f"""
import sys
sys.argv = ["antiphon", *{arguments!r}]
from antiphon.cli import main
try:
    main()
finally:
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.stderr == "[]\n"
    assert "antiphon" in shown.stdout


def test_python_m_antiphon_is_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "antiphon", "--version"], capture_output=True, text=True)
    assert shown.stdout.startswith("antiphon ")


def test_a_demo_that_was_stopped_goes_on(command: Command, pair: Pair, tmp_path: Path) -> None:
    demo = ("demo", "--to", tmp_path / "demo", "--problems", 3)
    with started("hang", *demo) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in err and "Traceback" not in err
    assert command(*demo).code == 0
