"""`antiphon synth --until-right`: traces until answers are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Key, Label
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Pair
from tests.verify.scripted import ScriptedVerifier, label_counts

ROOT = Path(__file__).parents[2]


class Said(ScriptedVerifier):
    """Right is an answer that ends in the problem's."""

    def label(self, problem: Problem, answer: str) -> Label:
        return Label.RIGHT if answer.endswith(f" {problem.metadata['answer']}.") else Label.WRONG


class Unequipped(Said):
    """Needs what is not there."""

    def require(self) -> None:
        from antiphon.errors import UsageError

        raise UsageError("there is no sandbox here")


UNTIL = ("--until-right", 1, "--max-samples", 2, "--verifier", "tests.cli.test_until_right:Said")


def test_goes_on_until_right_and_says_how_far(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    """The student alone forgets a carry in the last."""
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--method", "student_only", *UNTIL)
    done = command(*run)
    assert done.code == 0
    assert "problems with 1 right: 2 of 3, 1 given up" in done.out
    with Reader(tmp_path / "run") as reader:
        assert [len(them) for them in reader.standings()] == [1, 1, 2]
    again = command(*run, "--json").json
    assert again["until_right"] == {"problems": 3, "settled": 3, "reached": 2}
    assert (again["planned"], again["before"], again["judged"]) == (0, 4, {})


def test_problems_that_cannot_be_judged_are_refused_before_anything_is_loaded(
    command: Command, pair: Pair, tmp_path: Path
) -> None:
    problems = write_lines(tmp_path / "p.jsonl", [asked(347, 6), {"id": "b", "question": "Is it?"}])
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *UNTIL)
    assert done.code == 2
    assert f"{problems}:2: no verifier suits it; its fields are: none" in done.err.replace("\n", "")
    assert pair.engines == [] and not (tmp_path / "run").exists()
    unequipped = (*UNTIL[:-1], "tests.cli.test_until_right:Unequipped", "--limit", 1)
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *unequipped)
    assert done.code == 2 and "there is no sandbox here" in done.err
    assert pair.engines == []


def test_what_could_not_be_judged_ends_with_1(command: Command, pair: Pair, tmp_path: Path) -> None:
    problems = write_lines(tmp_path / "p.jsonl", [asked(347, 6, canonical="wrong")])
    verifier = ("--until-right", 1, "--verifier", "tests.verify.scripted:SelfTested")
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *verifier)
    assert done.code == 1
    assert "1 answer could not be judged; why: antiphon verify" in done.err
    assert command("verify", tmp_path / "run", *verifier[2:]).code == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--until-right", 1, "--samples", 1], "cannot be with --until-right"),
        (["--max-samples", 2], "it is for --until-right"),
        (["--verifier", "math"], "it is for --until-right"),
        (["--unsafe-local"], "it is for --until-right"),
        (["--until-right", 3, "--max-samples", 2], "3 right ones of at most 2 traces"),
        (["--until-right", 1, "--set", "samples=2"], "samples and until_right exclude each other"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, flags: list[object], says: str
) -> None:
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *flags)
    assert done.code == 2
    assert says in " ".join(done.err.replace("│", " ").split())
    assert pair.engines == []


def test_killed_before_a_verdict_the_trace_is_judged_and_not_written_again(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--limit", 1, "--until-right", 1, "--max-samples", 2, "--verifier")
    arguments = ("synth", problems, "--run", run, *MODELS, *flags)
    words = [sys.executable, "-m", "tests.cli.command", "well", *map(str, arguments), "tests.verify.scripted:Telling"]
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "347x6: I get 2082.\n"
    process.kill()
    process.communicate()
    key = Key("347x6", "tessy", 0)
    with Reader(run) as reader:
        written, turns = reader.trace(key), reader.turns(key)
        assert written.status == "complete" and written.verdicts == ()
    assert command(*arguments, "tests.verify.scripted:ScriptedVerifier").code == 0
    with Reader(run) as reader:
        assert [len(them) for them in reader.standings()] == [2]
        assert label_counts(reader) == {Label.WRONG: 2}
        assert (reader.trace(key).spans, reader.turns(key)) == (written.spans, turns)
