"""Which verifier judges which problem, and making them by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import MissingDependency, UsageError
from antiphon.problem import Problem, load
from antiphon.trace import Label
from antiphon.verify.base import Verifier
from antiphon.verify.choose import VERIFIERS, choose, verifiers
from antiphon.verify.math import MathVerifier
from antiphon.verify.schema import SchemaVerifier
from antiphon.verify.sql import SqlVerifier
from antiphon.verify.text import ExactVerifier

from .asking import problem, verdict


@pytest.fixture(scope="module")
def all_of_them() -> list[Verifier]:
    return verifiers()


def name_of(verifier: Verifier | None) -> str | None:
    return None if verifier is None else verifier.name


def test_they_are_called_as_they_are_named(all_of_them: list[Verifier]) -> None:
    assert [verifier.name for verifier in all_of_them] == list(VERIFIERS)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tests": "def check(candidate): pass", "entry_point": "f", "answer": "1"}, "code"),
        ({"gold_sql": "SELECT 1", "db_id": "x", "schema": "CREATE TABLE t(a)", "answer": "1"}, "sql"),
        ({"choices": ["a", "b"], "answer": "A"}, "choice"),
        ({"Correct Answer": "a", "Incorrect Answer 1": "b"}, "choice"),
        ({"schema": {"type": "object"}}, "schema"),
        ({"expected_calls": []}, "schema"),
        ({"pattern": "x", "answer": "1"}, "regex"),
        ({"answer": "1"}, "math"),
        ({"answer": "Paris"}, "math"),
        ({"solution": r"\boxed{1}"}, "math"),
        ({"answer": "Paris", "verifier": "exact"}, "exact"),
        ({"answer": "1", "choices": ["1", "2"], "verifier": "math"}, "math"),
        ({"verifier": "math"}, "math"),
        ({"answer": "1", "verifier": "command:rm"}, None),
        ({"answer": "1", "verifier": "os:system"}, None),
        ({"answer": "1", "verifier": {"kind": "rule"}}, "math"),
        ({"answer": "words " * 200}, None),
        ({"difficulty": "hard"}, None),
        ({}, None),
    ],
)
def test_who_judges(all_of_them: list[Verifier], fields: dict[str, Any], name: str | None) -> None:
    assert name_of(choose(problem(**fields), all_of_them)) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("humaneval", "code"),
        ("mbpp", "code"),
        ("gsm8k_test", "math"),
        ("math500", "math"),
        ("text2sql_sqlite", "sql"),
    ],
)
def test_who_judges_real_problems(all_of_them: list[Verifier], shared: Path, file: str, name: str) -> None:
    problems = load(shared / "problems" / f"{file}.jsonl").problems
    assert {name_of(choose(problem, all_of_them)) for problem in problems} == {name}


def test_only_those_that_are_named(tmp_path: Path) -> None:
    (only,) = verifiers(["exact"])
    assert choose(problem(answer="Paris"), [only]) is only
    assert choose(problem(tests="x", entry_point="f"), [only]) is None
    assert choose(problem(answer="Paris", verifier="math"), [only]) is None


def test_a_program_and_a_place_of_databases(tmp_path: Path) -> None:
    command, sql = verifiers([f"command:{sys.executable} -c pass", f"sql:{tmp_path}"])
    assert verdict(command, problem(), "7").label is Label.RIGHT
    given = verdict(sql, problem(gold_sql="SELECT 1", db_id="x"), "SELECT 1")
    assert given.label is Label.CANNOT_JUDGE
    assert str(tmp_path) in given.detail


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_judges.py").write_text(
        """
class Judge:
    name, version = "own", "1"
    def suits(self, problem): return True
    async def check(self, problem, answer): return None
judge = Judge()
def make(): return Judge()
def fail(): raise RuntimeError("out of luck")
def nothing(): return 7
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "own_judges"


@pytest.mark.parametrize("name", ["Judge", "judge", "make"])
def test_a_verifier_of_ones_own(module: str, name: str) -> None:
    (own,) = verifiers([f"{module}:{name}"])
    assert own.name == "own"
    assert choose(problem(), [own]) is own


def test_a_line_of_the_table_makes_a_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    class Anything(ExactVerifier):
        name = "anything"

        def suits(self, problem: Problem) -> bool:
            return True

    monkeypatch.setitem(VERIFIERS, "anything", lambda given: Anything())
    assert name_of(choose(problem(), verifiers())) == "anything"
    assert name_of(choose(problem(answer="1"), verifiers(["anything", "math"]))) == "anything"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("sql:", "there is no verifier 'sql:'"),
        ("maths", "there are code, sql, choice, schema, regex, math, exact"),
        ("", "there is no verifier ''"),
        ("command:", "there is no verifier 'command:'"),
        ("command:no-such-program-anywhere", "there is no program"),
        ("own_judges:Nobody", "cannot be imported"),
        ("no_such_module_anywhere:x", "cannot be imported"),
        (":x", "cannot be imported"),
        ("own_judges:fail", "RuntimeError: out of luck"),
        ("own_judges:nothing", "makes a int, not a verifier"),
        ("own_judges:__name__", "cannot be made"),
    ],
)
def test_what_is_no_verifier(module: str, spec: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        verifiers([spec])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "library", "fields"),
    [
        (MathVerifier, "math_verify", {"answer": "1"}),
        (SqlVerifier, "sqlglot", {"gold_sql": "SELECT 1", "schema_sql": "CREATE TABLE t(a)"}),
        (SchemaVerifier, "jsonschema", {"schema": {}}),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: type[Verifier], library: str, fields: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match=r"pip install 'antiphon\[verify\]'"):
        verdict(kind(), problem(**fields), "SELECT 1")
