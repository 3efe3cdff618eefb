"""`antiphon demo`, told from its run."""

from __future__ import annotations

import json
from pathlib import Path

from antiphon.store import Reader
from tests.cli.conftest import Command
from tests.cli.pair import Pair


def test_tells_the_whole_story(command: Command, pair: Pair, tmp_path: Path) -> None:
    to = tmp_path / "demo"
    shown = command("demo", "--to", to, "--problems", 12)
    assert shown.code == 0
    for title in ("A trace", "Who wrote the traces in turns", "Right answers by method", "Files, after", "Try next"):
        assert f"\n{title}" in shown.out
    assert "student: style, answer" in shown.out
    assert (to / "problems.jsonl").exists() and len((to / "train.jsonl").read_text().splitlines()) == 12
    assert shown.out.split("Try next")[1].count("antiphon ") == 3
    assert max(map(len, shown.out.splitlines())) <= 80 + len(str(to))


def test_its_figures_come_from_the_run(command: Command, pair: Pair, tmp_path: Path) -> None:
    to = tmp_path / "demo"
    story = command("demo", "--to", to, "--problems", 30, "--json").json
    answers = {line["id"]: line["answer"] for line in map(json.loads, (to / "problems.jsonl").read_text().splitlines())}
    assert len(answers) == story["rows"] == 30
    with Reader(to / "run") as reader:
        for arm in story["methods"]:
            traces = list(reader.traces(variant=arm["method"]))
            right = sum(f" {answers[trace.key.problem]}" in f" {trace.answer.rstrip('.')}" for trace in traces)
            assert (arm["traces"], arm["complete"], arm["right"]) == (30, 30, right)
    rights = {arm["method"]: arm["right"] for arm in story["methods"]}
    assert rights["tessy"] == rights["teacher_only"] == 30 > rights["student_only"]
    assert story["shown"].endswith("/tessy/0")


def test_the_commands_it_names_work(command: Command, pair: Pair, tmp_path: Path) -> None:
    import shlex

    shown = command("demo", "--to", tmp_path / "demo", "--problems", 3).out
    lines = [line.strip() for line in shown.split("Try next")[1].splitlines() if line.strip()]
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "antiphon"
        assert command(*words).code == 0


def test_again_it_does_nothing_anew(command: Command, pair: Pair, tmp_path: Path) -> None:
    first = command("demo", "--to", tmp_path / "demo", "--problems", 3, "--json").json
    spoken = sum(engine.requests for engine in pair.engines)
    again = command("demo", "--to", tmp_path / "demo", "--problems", 3, "--json").json
    assert sum(engine.requests for engine in pair.engines) == spoken
    del first["seconds"], again["seconds"]
    assert first == again


def test_another_demo_in_its_folder_is_refused(command: Command, pair: Pair, tmp_path: Path) -> None:
    command("demo", "--to", tmp_path / "demo", "--problems", 3)
    refused = command("demo", "--to", tmp_path / "demo", "--problems", 3, "--seed", 2)
    assert refused.code == 2 and "another demo" in refused.err


def test_a_folder_that_cannot_be_made(command: Command, pair: Pair, problems: Path) -> None:
    refused = command("demo", "--to", problems)
    assert refused.code == 2 and "cannot be written" in refused.err
