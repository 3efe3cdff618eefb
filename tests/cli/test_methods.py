"""All methods through the command, side by side in one run directory: killed, taken up, judged, exported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.store import Reader
from antiphon.synth.methods import METHODS, Method, Turns
from antiphon.trace import Author, Kind, Status
from tests.cli.conftest import MODELS, Command
from tests.cli.grading import GradingPair
from tests.cli.pair import Pair, install

ROOT = Path(__file__).parents[2]
NEEDS = {"random_boundaries": ("--like", "tessy"), "fixed_boundaries": ("--like", "tessy")}
NEEDS |= {"revoice": ("--from", "teacher_only"), "teacher_score": ("--set", "candidates=2")}


BEFORE = {"random_boundaries": "tessy", "fixed_boundaries": "tessy", "revoice": "teacher_only"}


def flags(method: str) -> tuple[str, ...]:
    return (*MODELS, "--method", method, *NEEDS.get(method, ()), "--concurrency", "2")


def test_every_method_is_written_judged_and_exported(
    command: Command, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(GradingPair(), monkeypatch.setattr)
    run = tmp_path / "run"
    for method in METHODS:
        done = command("synth", problems, "--run", run, *flags(method), "--json")
        assert (done.code, done.json["traces"]) == (0, {"complete": 3}), method
    assert command("verify", run, "--verifier", "tests.verify.scripted:Telling").code == 0
    for method in METHODS:
        to = tmp_path / f"{method}.jsonl"
        done = command("export", run, "--variant", method, "--format", "messages", "--to", to, "--json")
        assert done.json["rows"] == 3, method
    with Reader(run) as reader:
        names = [variant.name for variant in reader.variants()]
        assert set(names) == {*METHODS, "teacher_score.student_only"}
        for variant in METHODS:
            for trace in reader.traces(variant=variant):
                assert trace.verdicts, trace.key
                answers = {span.author for span in trace.spans if span.kind is Kind.ANSWER}
                assert len(answers) == 1
                if variant not in ("teacher_only", "teacher_answer", "teacher_mix"):
                    assert answers == {Author.STUDENT}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on_after_kill_9_and_pays_once(method: str, tmp_path: Path, problems: Path) -> None:
    prepared = tmp_path / "prepared"
    if method in BEFORE:
        synth(0, problems, prepared, BEFORE[method])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        if prepared.exists():
            shutil.copytree(prepared, directory)
    reference = synth(0, problems, whole, method)
    assert reference is not None
    for dies_at in (1, 2, 3, 5, 8, 4, 2):
        if synth(dies_at, problems, killed, method) is not None:
            break
    again = synth(0, problems, killed, method)
    assert again is not None and again["traces"] == reference["traces"] == {"complete": 3}
    with Reader(whole) as one, Reader(killed) as other_run:
        for trace in one.traces(variant=method):
            same = other_run.trace(trace.key)
            assert same.status is Status.COMPLETE
            assert same.response == trace.response
            assert same.made_from == trace.made_from
        for variant in one.variants():  # what was in flight is not counted; all else is, once
            assert received(other_run, variant.name) <= received(one, variant.name)


def received(reader: Reader, variant: str) -> int:
    return sum(total.received for total in reader.totals(variant).values())


def synth(dies_at: int, problems: Path, directory: Path, method: str) -> dict[str, object] | None:
    """What the command says, in a process of its own; None where it was killed."""
    command = [sys.executable, "-m", "tests.cli.grading", str(dies_at), "synth", str(problems), "--run", str(directory)]
    done = subprocess.run([*command, *flags(method), "--json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, -9), done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_without_problems_those_of_the_run_are_taken(command: Command, pair: Pair, finished: Path) -> None:
    done = command("synth", "--run", finished, *flags("student_only"), "--json")
    assert done.json["traces"] == {"complete": 3}
    done = command("synth", "--run", finished, *flags("swapped"), "--where", "answer == '2082'", "--json")
    assert done.json["traces"] == {"complete": 1}


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("random_boundaries", "give --like VARIANT"),
        ("revoice", "give --from VARIANT"),
    ],
)
def test_what_a_method_lacks_is_wrong_use(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, method: str, says: str
) -> None:
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, "--method", method)
    assert done.code == 2
    assert says in done.err
    assert not pair.engines
    assert not (tmp_path / "run").exists()


def test_one_trace_alone_cannot_be_made_of_others(command: Command, pair: Pair) -> None:
    done = command("duet", "What is 347 times 6?", *MODELS, "--method", "teacher_score")
    assert done.code == 2
    assert "needs a run: antiphon synth --run DIR --method teacher_score" in done.err


def test_status_tells_what_grades_cost(
    command: Command, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(GradingPair(), monkeypatch.setattr)
    run = tmp_path / "run"
    priced = ("--set", "teacher.price_out=1000000")
    command("synth", problems, "--run", run, *flags("teacher_score"), *priced)
    (parts,) = (facts for facts in command("status", run, "--json").json["variants"] if "." in facts["name"])
    assert parts["calls"] == {}
    (facts,) = (facts for facts in command("status", run, "--json").json["variants"] if "." not in facts["name"])
    asked = facts["calls"]["teacher"]
    assert asked["requests"] >= 6
    assert facts["cost"] == asked["cost"] == asked["received"]
    assert f"asked of the teacher beside the traces: {asked['requests']} requests" in command("status", run).out


def test_a_line_of_the_table_makes_a_method(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Method("mine", Turns(style=Author.TEACHER), Author.TEACHER, "turned round, and the teacher answers", "here")
    monkeypatch.setitem(METHODS, "mine", mine)
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, "--method", "mine", "--json")
    assert (done.code, done.json["traces"]) == (0, {"complete": 3})
