"""The twelve support problems of docs/narrow.md: what counts as right, and the way from them to a training file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import models
from antiphon.engine.base import Engine
from antiphon.engine.scripted import Control, ScriptedEngine, Situation, Token
from antiphon.problem import Problem, load
from antiphon.trace import Label
from antiphon.verify.schema import SchemaVerifier
from antiphon.verify.workers import Workers
from tests.cli.conftest import Command, command  # noqa: F401
from tests.cli.pair import Letters
from tests.verify.asking import verdicts

FILE = Path(__file__).parents[2] / "docs" / "support.jsonl"
PROBLEMS = load([FILE]).problems
ACTIONS = ("refund", "replace", "cancel", "change_address", "escalate", "refuse", "ask")
Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def verifier(workers: Workers) -> SchemaVerifier:
    return SchemaVerifier(workers)


def outcome(problem: Problem) -> Outcome:
    found = problem.metadata["outcome"]
    assert isinstance(found, dict)
    return found


def labels(verifier: SchemaVerifier, asked: list[tuple[Problem, str]]) -> set[Label]:
    return {one.label for one in verdicts(verifier, asked)}


def altered(right: Outcome) -> Iterator[Outcome]:
    """An outcome with one thing otherwise, in every way that matters."""
    yield from ({**right, "action": action} for action in ACTIONS if action != right["action"])
    yield from ({**right, "amount": amount} for amount in (right["amount"] + 1, right["amount"] + 0.01, -1, "0", None))
    yield from ({**right, "order": order} for order in ("T-1000", "1041", "", 0) if order != right["order"])
    yield {**right, "order": None} if right["order"] else {**right, "order": "null"}
    yield from ({key: value for key, value in right.items() if key != left_out} for left_out in right)
    yield {**right, "note": "as the policy says"}
    if "address" in right:
        yield {**right, "address": right["address"].lower()}
    else:
        yield {**right, "address": "8 Orchard Row, Fenwick"}


def test_there_are_twelve_of_every_kind() -> None:
    assert len({problem.id for problem in PROBLEMS}) == 12
    assert {outcome(problem)["action"] for problem in PROBLEMS} == set(ACTIONS)
    for problem in PROBLEMS:
        roles = [message["role"] for message in problem.messages]
        assert roles[:2] == ["system", "user"] and roles[-1] == "user"
        told = outcome(problem)["order"]
        assert told is None or any(told in str(message["content"]) for message in problem.messages[1:]), problem.id


@pytest.mark.parametrize("shape", ["{}", "So it is.\n\n```json\n{}\n```", "The rules allow it.\n{}"])
def test_every_right_outcome_is_right(verifier: SchemaVerifier, shape: str) -> None:
    asked = [(problem, shape.replace("{}", json.dumps(outcome(problem)))) for problem in PROBLEMS]
    assert labels(verifier, asked) == {Label.RIGHT}


def test_every_altered_outcome_is_wrong(verifier: SchemaVerifier) -> None:
    asked = [(problem, json.dumps(other)) for problem in PROBLEMS for other in altered(outcome(problem))]
    assert len(asked) > 12 * 15
    assert labels(verifier, asked) == {Label.WRONG}


def test_an_outcome_is_right_for_its_own_problem_alone(verifier: SchemaVerifier) -> None:
    asked = [(one, json.dumps(outcome(other))) for one in PROBLEMS for other in PROBLEMS if one is not other]
    assert labels(verifier, asked) == {Label.WRONG}


def test_words_are_no_outcome(verifier: SchemaVerifier) -> None:
    asked = [(problem, f"I would {outcome(problem)['action']} it.") for problem in PROBLEMS]
    assert labels(verifier, asked) == {Label.NO_ANSWER}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.sampled_from(PROBLEMS), st.sampled_from(("action", "order", "amount")), SCALARS)
def test_no_other_value_passes(verifier: SchemaVerifier, problem: Problem, field: str, value: Any) -> None:
    right = outcome(problem)
    same = type(value) is not bool and value == right[field]
    expected = Label.RIGHT if same else Label.WRONG
    assert labels(verifier, [(problem, json.dumps({**right, field: value}))]) == {expected}


# -- from problems to a training file


def speaker(role: str) -> Any:
    """Thinks a line in its manner, and answers what is right, but for every third problem by the student."""
    asked = {str(problem.messages[-1]["content"]): problem for problem in PROBLEMS}

    def script(here: Situation) -> Iterator[Token]:
        problem = next(problem for text, problem in asked.items() if text in here.text)
        right = outcome(problem)
        if "</think>" not in here.text.rpartition("<|im_start|>")[2]:
            yield from (" Okay,", f" {right['action']}", f" {right['order']}.", "\n", Control("</think>"))
            return
        wrong = role == "student" and PROBLEMS.index(problem) % 3 == 0
        yield json.dumps({**right, "amount": -1} if wrong else right)
        yield Control("<|im_end|>")

    return script


def test_from_problems_to_a_training_file(
    command: Command,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(reference: str, *, context: int | None = None, **_: object) -> Engine:
        return ScriptedEngine(reference, speaker(reference.partition(":")[2]), vocabulary=Letters(), context=16384)

    monkeypatch.setattr(models, "open_engine", opened)
    run, file = tmp_path / "support", tmp_path / "support-train.jsonl"
    pair = ("--teacher", "lab:teacher", "--student", "lab:student", "--boundary", "support")
    assert command("synth", FILE, "--run", run, *pair).code == 0
    judged = command("verify", run, "--json")
    assert judged.code == 0
    assert command("export", run, "--format", "messages", "--only", "right", "--to", file).code == 0
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    kept = [problem for number, problem in enumerate(PROBLEMS) if number % 3]
    assert {row["problem_id"] for row in rows} == {problem.id for problem in kept}
    answers = {row["problem_id"]: row["messages"][-1]["content"].partition("</think>")[2] for row in rows}
    assert {id: json.loads(answer) for id, answer in answers.items()} == {one.id: outcome(one) for one in kept}


def test_the_schema_says_what_the_outcome_does() -> None:
    for problem in PROBLEMS:
        schema = problem.metadata["schema"]
        assert isinstance(schema, dict)
        assert {name: one["const"] for name, one in schema["properties"].items()} == outcome(problem)
        assert set(schema["required"]) == outcome(problem).keys() and schema["additionalProperties"] is False


def test_each_problem_is_judged_by_its_schema() -> None:
    from antiphon.verify.choose import VERIFIERS, verifiers
    from antiphon.verify.judge import Judges

    judges = Judges(verifiers(VERIFIERS))
    judges.require(PROBLEMS)
    problem = PROBLEMS[0]
    found = asyncio.run(judges.check(problem, json.dumps(outcome(problem))))
    assert (found.verifier, found.label) == ("schema", Label.RIGHT)
