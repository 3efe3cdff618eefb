"""What all verifiers have in common: details of one line and bounded length, and whose fault a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.errors import MissingDependency
from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck, Checker, Finding, one_line, place, shown
from antiphon.verify.workers import Stopped

from .asking import problem, verdict


class Saying(Checker):
    """Finds what it is told to, or fails as it is told to."""

    name = "saying"
    version = "3"

    def __init__(self, found: Finding | Exception):
        self._found = found

    def suits(self, problem: Problem) -> bool:
        return True

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


@pytest.mark.parametrize(("length", "kept"), [(0, 0), (299, 299), (300, 300), (301, 300), (5000, 300)])
def test_a_detail_has_300_characters_at_most(length: int, kept: int) -> None:
    line = one_line("x" * length)
    assert len(line) == kept
    assert line.endswith("xxx..." if length > 300 else "x" * min(length, 6))


@pytest.mark.parametrize(("length", "kept"), [(80, 80), (81, 80)])
def test_a_value_in_a_detail_has_80(length: int, kept: int) -> None:
    assert len(shown("x" * length)) == kept
    assert shown("x" * length).endswith("x..." if length > 80 else "xxxx")


def test_a_value_is_shown_on_one_line() -> None:
    assert shown(" a\n\t b ") == "a b"
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown(10**5000) == "a int too large to show"
    assert one_line("a\n b") == "a b"


def test_what_was_found_is_the_verdict() -> None:
    given = verdict(Saying(Finding(Label.WRONG, "a\nb", 7.5)), problem(), "x")
    assert (given.verifier, given.version, given.label, given.detail) == ("saying", "3", Label.WRONG, "a b")
    assert given.seconds == 7.5
    assert 0 <= verdict(Saying(Finding(Label.RIGHT)), problem(), "x").seconds < 60


def test_whose_fault_it_is() -> None:
    broken = verdict(Saying(BrokenCheck("no such column")), problem(), "x")
    assert (broken.label, broken.detail) == (Label.CANNOT_JUDGE, "problems.jsonl:3: no such column")
    stopped = verdict(Saying(Stopped(Label.TIMED_OUT, "too long")), problem(), "x")
    assert (stopped.label, stopped.detail) == (Label.TIMED_OUT, "too long")
    empty = verdict(Saying(Finding(Label.RIGHT)), problem(), " \n")
    assert (empty.label, empty.detail) == (Label.NO_ANSWER, "the answer is empty")


def test_a_problem_made_in_memory_is_called_by_its_id() -> None:
    assert place(problem()) == "problems.jsonl:3"
    assert place(Problem("p7", ({"role": "user", "content": "?"},), {})) == "problem 'p7'"


def test_what_is_missing_is_said_before_an_answer_is_looked_at() -> None:
    class Needing(Saying):
        needs = {"no_such_library": "such-library"}  # noqa: RUF012

    with pytest.raises(MissingDependency, match="such-library"):
        asyncio.run(Needing(Finding(Label.RIGHT)).check(problem(), ""))
