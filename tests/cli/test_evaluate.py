"""`antiphon evaluate`: what it measures against counting it out, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.scripted import Fault
from antiphon.store import Reader
from tests.cli.conftest import Command, asked, write_lines
from tests.cli.pair import Pair
from tests.evaluation.evaluations import evaluated

ROOT = Path(__file__).parents[2]
JUDGE = ("--verifier", "tests.cli.judges:Number")
NUMBERS = [(347, 6), (123, 4), (588, 2), (208, 3), (467, 8), (119, 4)]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """Some at which the student forgets the carry, some at which it does not."""
    levels = ("hard", "easy", "easy", "hard", "hard", "easy")
    records = [asked(number, by, difficulty=level) for (number, by), level in zip(NUMBERS, levels, strict=True)]
    return write_lines(tmp_path / "problems.jsonl", records)


def counted_out(run: Path, problems: Path) -> dict[str, Any]:
    """Right answers and pass@k from the bare tables: answers read as text, subsets counted one by one."""
    wanted = {record["id"]: record["answer"] for record in map(json.loads, problems.read_text().splitlines())}
    marks: dict[str, list[bool]] = defaultdict(list)
    with closing(sqlite3.connect(run / "run.sqlite")) as connection:
        rows = connection.execute(
            """SELECT problems.id, group_concat(text, '') FROM
                (SELECT * FROM spans WHERE kind = 'answer' ORDER BY trace, position) AS spans
                JOIN traces ON traces.number = trace JOIN problems ON problems.number = traces.problem
                WHERE status = 'complete' GROUP BY trace"""
        )
        for id, answer in rows:
            marks[id].append(re.findall(r"\d+", answer)[-1:] == [wanted[id]])
    passes = {}
    for k in (1, 2, 4):
        shares = []
        for of_problem in marks.values():
            drawn = [any(subset) for subset in combinations(of_problem, k)]
            if drawn:
                shares.append(sum(drawn) / len(drawn))
        if shares:
            passes[k] = sum(shares) / len(shares)
    return {"right": sum(map(sum, marks.values())), "samples": sum(map(len, marks.values())), "pass": passes}


def agree(facts: dict[str, Any], run: Path, problems: Path) -> None:
    counted = counted_out(run, problems)
    assert (facts["results"].get("right", 0), facts["samples"]) == (counted["right"], counted["samples"])
    assert {rate["k"]: rate["rate"] for rate in facts["pass"]} == pytest.approx(counted["pass"])


@pytest.mark.parametrize("model", ["lab:student", "lab:teacher"])
def test_its_figures_are_those_of_counting(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, model: str
) -> None:
    run = tmp_path / "run"
    measured = command("evaluate", problems, "--model", model, "--samples", 2, "--to", run, *JUDGE, "--json")
    assert measured.code == 0
    agree(measured.json, run, problems)
    assert (measured.json["results"].get("wrong", 0) > 0) is (model == "lab:student")
    assert measured.json["model"] == model and measured.json["judges"] == ["number 1"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lab:student", "lab:teacher"])
def test_the_embedded_models_are_measured_as_counted(command: Command, tmp_path: Path, model: str) -> None:
    from antiphon import lab

    problems = write_lines(tmp_path / "problems.jsonl", lab.problems(60, seed=0))
    words = ("--samples", 4, "--to", tmp_path / "run", "--verifier", "math", "--json")
    measured = command("evaluate", problems, "--model", model, *words)
    assert measured.code == 0
    agree(measured.json, tmp_path / "run", problems)
    rates = {rate["k"]: rate["rate"] for rate in measured.json["pass"]}
    assert 0.35 < rates[1] < 0.75 if model == "lab:student" else rates[1] > 0.8
    assert rates[1] < rates[2] < rates[4]


def test_it_asks_as_the_paper_does_unless_told_otherwise(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("evaluate", problems, "--model", "lab:student", *JUDGE, "--json", "--to")
    first = command(*words, tmp_path / "a").json
    assert first["sampling"]["temperature"] == 0.6 and first["sampling"]["top_p"] == 0.95
    assert first["budget"]["thinking"] == 32768
    (tmp_path / "c.toml").write_text("method = 'tessy'\nuntil_right = 1\n[student.sampling]\ntop_p = 0.8\n")
    monkeypatch.setenv("ANTIPHON_BUDGET__THINKING", "500")
    told = ("--config", tmp_path / "c.toml", "--temperature", 0, "--samples", 3)
    second = command(*words, tmp_path / "b", *told).json
    assert second["sampling"]["temperature"] == 0 and second["sampling"]["top_p"] == 0.8
    assert second["budget"]["thinking"] == 500
    assert second["samples"] == 3 * len(NUMBERS), "all of them, right or not"


def test_the_figures_are_shown(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shown = command("evaluate", problems, "--model", "lab:student", "--samples", 2, "--to", run, *JUDGE).out
    for said in ("6 problems, 12 samples", "temperature 0.6", "judged by number 1", "pass@1", "95% interval", "easy"):
        assert said in shown
    assert "lab:student" in shown and "tokens of thinking: median" in shown
    assert max(map(len, shown.splitlines())) <= 80 + len(str(run))
    assert command("evaluate", "--to", run).out == shown, "the record alone says the same"
    assert command("evaluate", "--to", run, "--by", "answer", "--k", "2").out.count("\n") > shown.count("\n")


def test_where_it_goes_unless_told(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("evaluate", "problems.jsonl", "--model", "lab:student", *JUDGE).code == 0
    assert command("status", "evaluations/problems-lab-student").code == 0
    assert command("trace", "evaluations/problems-lab-student", "347x6").code == 0


def test_again_it_does_nothing_anew_and_more_samples_are_added(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    words = ("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "run", *JUDGE, "--json", "--samples")
    first = command(*words, 2).json
    requests = sum(engine.requests for engine in pair.engines)
    assert command(*words, 2).json == first
    assert sum(engine.requests for engine in pair.engines) == requests
    assert command(*words, 3).json["samples"] == 18
    assert command(*words, 1).json["samples"] == 6, "the figures are of the samples asked for"


def test_what_failed_or_cannot_be_judged_is_left_out_and_said(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    pair.faults = lambda request: Fault("refuse") if request.number == 3 else None
    words = ("evaluate", problems, "--model", "lab:teacher", "--to", tmp_path / "run")
    measured = command(*words, *JUDGE, "--concurrency", 1)
    assert measured.code == 1
    assert "5 problems, 5 samples" in measured.out
    assert "left out of the rates: 1 failed" in measured.err and "failed: 1 x" in measured.err
    assert "problems without a sample that counts: 1 (123x4)" in measured.err
    pair.faults = lambda request: None
    assert command(*words, *JUDGE, "--retry", "failed").code == 0
    broken = command(*words, "--verifier", "tests.cli.judges:Broken", "--variant", "again", "--json")
    assert broken.code == 1
    assert broken.json["results"] == {"cannot_judge": 6} and broken.json["pass"] == []
    assert all(reason.endswith("its tests are broken") for reason in broken.json["cannot_judge"])


def test_nothing_is_spent_where_it_could_not_be_judged(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    words = ("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "run")
    lacking = command(*words, "--verifier", "tests.cli.judges:Lacking")
    assert lacking.code == 2 and "install it with: tailor" in lacking.err
    bare = write_lines(tmp_path / "bare.jsonl", [{"question": "What is 347 times 6?"}])
    unsuited = command("evaluate", bare, *words[2:], *JUDGE)
    assert unsuited.code == 2 and "bare.jsonl:1: no verifier suits it" in unsuited.err
    assert not pair.engines and not (tmp_path / "run").exists()
    mixed = write_lines(tmp_path / "mixed.jsonl", [asked(347, 6), {"id": "x", "question": "What is 12 times 6?"}])
    half = command("evaluate", mixed, *words[2:], *JUDGE)
    assert half.code == 1 and "no verifier suits 1 of 2 problems, whose answers will not be judged: x" in half.err
    assert "left out of the rates: 1 not judged" in half.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["problems.jsonl"], "which model"),
        ([], "which problems"),
        (["--to", "run", "--write-rates", "x.jsonl"], "Give PROBLEMS, too"),
        (["problems.jsonl", "--model", "lab:student", "--k", "4"], "pass@4 needs --samples 4"),
        (["problems.jsonl", "--model", "lab:student", "--k", "x"], "list of numbers"),
        (["problems.jsonl", "--model", "lab:student", "--k", "0"], "list of numbers"),
        (["problems.jsonl", "--model", "lab:student", "--answers-for", "ojbench"], "TOOL=FILE"),
        (["problems.jsonl", "--model", "lab:student", "--answers-for", "judge=x"], "no exchange with 'judge'"),
        (["problems.jsonl", "--model", "lab:student", "--verifier", "nobody"], "no verifier 'nobody'"),
        (["problems.jsonl", "--model", "lab:nobody", *JUDGE], "no such model"),
        (["problems.jsonl", "--model", "lab:student", *JUDGE, "--by", "topic"], "no problem has that field"),
        (["problems.jsonl", "--model", "lab:student", *JUDGE, "--write-rates", "x.csv"], "must end in .jsonl"),
        (["problems.jsonl", "--model", "lab:student", *JUDGE, "--write-rates", "no/x.jsonl"], "there is no folder"),
        (["--to", "nowhere"], "not a run directory"),
        (["--compare", "nowhere", "problems.jsonl"], "not a run directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    command: Command, pair: Pair, problems: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(problems.parent)
    monkeypatch.setenv("COLUMNS", "200")
    refused = command("evaluate", *words)
    assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err
    assert [path.name for path in problems.parent.iterdir()] == ["problems.jsonl"]


def test_two_evaluations_are_compared_problem_by_problem(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    for model in ("student", "teacher"):
        command("evaluate", problems, "--model", f"lab:{model}", "--to", tmp_path / "run", *JUDGE, "--variant", model)
    facts = command("evaluate", "--compare", tmp_path / "run/student", tmp_path / "run/teacher", "--json").json
    (one,) = facts["pass"]
    assert one["b"] == 1.0 and one["difference"] == pytest.approx(one["b"] - one["a"])
    assert facts["by"] == "difficulty" and [group["name"] for group in facts["groups"]] == ["easy", "hard"]
    evaluated(tmp_path / "other", {"347x6": ["right"]})
    shown = command("evaluate", "--compare", tmp_path / "run/student", tmp_path / "run/teacher")
    assert shown.code == 0 and "B - A" in shown.out and "hard" in shown.out
    assert max(len(line) for line in shown.out.splitlines() if str(tmp_path) not in line) <= 80
    other = command("evaluate", "--compare", tmp_path / "run/student", tmp_path / "other")
    assert other.code == 2 and "share no problem" in other.err, "the same id, in other words"


def test_a_judge_who_is_named_counts_alone(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    words = ("evaluate", problems, "--model", "lab:teacher", "--to", tmp_path / "run", "--json")
    assert command(*words, *JUDGE).json["results"] == {"right": 6}
    assert command("verify", tmp_path / "run", "--verifier", "tests.cli.judges:Contrary").code == 0
    assert command("evaluate", "--to", tmp_path / "run", "--json").json["results"] == {"wrong": 6}, "the newest"
    again = command(*words, *JUDGE).json
    assert again["results"] == {"right": 6} and again["judges"] == ["number 1"]
    both = ("--compare", tmp_path / "run", tmp_path / "run", "--verifier", "tests.cli.judges:Contrary", "--json")
    assert command("evaluate", *both).json["pass"][0]["a"] == 0


def test_a_limit_on_what_it_may_cost_is_said(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    words = ("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "run", *JUDGE, "--concurrency", 1)
    stopped = command(*words, "--set", "max.tokens_total=150")
    assert stopped.code == 0 and "Stopped: " in stopped.err and "pending" in stopped.err
    assert command(*words, "--json").json["samples"] == 6


def test_rates_in_the_problems_select_what_to_write(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    rated = tmp_path / "rated.jsonl"
    words = ("--model", "lab:student", "--to", tmp_path / "run", *JUDGE, "--write-rates", rated)
    assert command("evaluate", problems, *words).code == 0
    rates = {record["id"]: record["pass_rate"] for record in map(json.loads, rated.read_text().splitlines())}
    assert len(rates) == 6 and set(rates.values()) == {0.0, 1.0}
    both = ("--teacher", "lab:teacher", "--student", "lab:student", "--boundary", "lab")
    assert command("synth", rated, "--run", tmp_path / "data", *both, "--where", "pass_rate < 0.5").code == 0
    with Reader(tmp_path / "data") as reader:
        assert {problem.id for problem in reader.problems()} == {id for id, rate in rates.items() if rate == 0}


def test_a_judge_of_its_own(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    answers, judged = tmp_path / "answers.jsonl", tmp_path / "judged.jsonl"
    words = ("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "run")
    handed = command(*words, "--answers-for", f"ojbench={answers}")
    assert handed.code == 0 and "6 answers for OJBench" in handed.err
    assert "left out of the rates: 6 not judged" in handed.err
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    for row in rows:
        row |= {"verdict": "AC" if row["id"] == "347x6" else "WA", "is_passed": row["id"] == "347x6"}
    write_lines(judged, rows)
    taken = command("evaluate", "--to", tmp_path / "run", "--verdicts-from", f"ojbench={judged}", "--json")
    assert taken.code == 0
    assert taken.json["results"] == {"right": 1, "wrong": 5} and taken.json["judges"] == ["ojbench 1"]
    assert taken.json["verdicts"]["without"] == 0


# -- killed


@contextmanager
def started(mood: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command at work in a process of its own, as soon as it waits."""
    words = [sys.executable, "-m", "tests.cli.command", mood, *map(str, arguments)]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stderr is not None
    try:
        assert any("waiting" in line for line in process.stderr), "it ended without waiting"
        yield process
    finally:
        process.kill()
        process.communicate()


def verdict_rows(run: Path) -> list[tuple[Any, ...]]:
    """The verdicts as they lie in the tables, with when they were given."""
    with closing(sqlite3.connect(run / "run.sqlite")) as connection:
        return connection.execute("SELECT trace, verifier, version, label, created FROM verdicts").fetchall()


def test_killed_while_it_writes_it_goes_on(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    words = ("evaluate", problems, "--model", "lab:teacher", "--to", tmp_path / "run", "--concurrency", 1, *JUDGE)
    with started("block", *words) as process:
        process.kill()
        process.wait()
    with Reader(tmp_path / "run") as reader:
        before = {trace.key: trace for trace in reader.traces() if trace.status is not None}
        assert before and len(before) < len(NUMBERS)
    resumed = command(*words, "--json")
    assert resumed.code == 0
    with Reader(tmp_path / "run") as reader:
        assert all(reader.trace(key).spans == trace.spans for key, trace in before.items())
    agree(resumed.json, tmp_path / "run", problems)
    assert resumed.json["samples"] == len(NUMBERS)


@pytest.mark.parametrize("checks", [1, 4])
def test_killed_while_it_judges_no_verdict_is_lost_or_double(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: int
) -> None:
    run, log = tmp_path / "run", tmp_path / "checked"
    words = ("evaluate", problems, "--model", "lab:student", "--to", run, *JUDGE)
    with started("well", *words, CHECKS=str(checks), CHECKED=str(log)) as process:
        process.kill()
        process.wait()
    before = verdict_rows(run)
    assert len(before) <= checks
    monkeypatch.setenv("CHECKED", str(log))
    resumed = command(*words, "--json")
    assert resumed.code == 0
    after = verdict_rows(run)
    assert set(before) <= set(after), "what was given stays as it was"
    assert sorted(row[0] for row in after) == list(range(1, len(NUMBERS) + 1)), "one for each trace"
    agree(resumed.json, run, problems)
    judged_twice = len(log.read_text().splitlines()) - len(NUMBERS)
    assert judged_twice == checks - len(before), "only what had not reached the disk"


@pytest.mark.parametrize(("mood", "checks", "left"), [("hang", "-1", "pending"), ("well", "2", "not judged")])
def test_stopped_everything_is_kept(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, mood: str, checks: str, left: str
) -> None:
    words = ("evaluate", problems, "--model", "lab:teacher", "--to", tmp_path / "run", "--concurrency", 1, *JUDGE)
    with started(mood, *words, CHECKS=checks) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Interrupted. Everything is kept; the same command goes on." in err
    assert left in err and "Traceback" not in err
    resumed = command(*words, "--json")
    assert resumed.code == 0 and resumed.json["results"] == {"right": len(NUMBERS)}


def test_how_long_it_may_write_is_what_the_context_allows(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    measured = command("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "run", *JUDGE)
    assert "at most 5,462 + 2,730 tokens of thinking and answer\n" in measured.out
    assert "  the question among them: a context of 8,192\n" in measured.out
    few = ("--thinking-budget", 500, "--answer-budget", 50)
    measured = command("evaluate", problems, "--model", "lab:student", "--to", tmp_path / "few", *few, *JUDGE)
    assert "at most 500 + 50 tokens of thinking and answer\n" in measured.out
