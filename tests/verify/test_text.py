"""Answers as text: exact ones, and patterns that may be as bad as they like."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.trace import Label
from antiphon.verify.text import ExactVerifier, RegexVerifier
from antiphon.verify.workers import Workers

from .asking import problem, verdict

EXACT = ExactVerifier()


@pytest.mark.parametrize(
    ("gold", "answer", "label"),
    [
        ("Paris", "Paris", Label.RIGHT),
        ("Paris", " Paris\n", Label.RIGHT),
        ("New  York", "New\nYork", Label.RIGHT),
        ("Paris", "The answer is Paris.", Label.RIGHT),
        ("Paris", r"\boxed{Paris}", Label.RIGHT),
        ("Paris", "paris", Label.WRONG),
        ("Paris", "It is Paris", Label.WRONG),
        (["Paris", "Lutetia"], "Lutetia", Label.RIGHT),
        (7, "7", Label.RIGHT),
        ("caf\u00e9", "cafe\u0301", Label.RIGHT),
        ("Paris", "", Label.NO_ANSWER),
        ({"city": "Paris"}, "Paris", Label.CANNOT_JUDGE),
        ([], "Paris", Label.CANNOT_JUDGE),
        (None, "Paris", Label.CANNOT_JUDGE),
    ],
)
def test_exact(gold: Any, answer: str, label: Label) -> None:
    given = verdict(EXACT, problem(answer=gold), answer)
    assert given.label is label
    assert (given.detail == "") is (label is Label.RIGHT), given.detail


def test_exact_suits_short_texts_alone() -> None:
    assert EXACT.suits(problem(answer="Paris"))
    assert not EXACT.suits(problem(answer="long " * 100))
    assert not EXACT.suits(problem())


@pytest.mark.parametrize(
    ("pattern", "answer", "label"),
    [
        (r"\bParis\b", "It is Paris.", Label.RIGHT),
        (r"\bParis\b", "Parisian", Label.WRONG),
        (r"(?i)paris", "PARIS", Label.RIGHT),
        ([r"^a$", r"^b$"], "b", Label.RIGHT),
        (r"\A\d+\Z", "42", Label.RIGHT),
        ("Paris", " ", Label.NO_ANSWER),
        ("(", "x", Label.CANNOT_JUDGE),
        ("a{99999999999999999999}", "x", Label.CANNOT_JUDGE),
        ("(" * 5000 + ")" * 5000, "x", Label.CANNOT_JUDGE),
        ([1], "x", Label.CANNOT_JUDGE),
        (None, "x", Label.CANNOT_JUDGE),
        ("(a+)+$", "a" * 50 + "b", Label.CANNOT_JUDGE),
        ("(.*)*(.*)*(.*)*x$", "y" * 1000, Label.CANNOT_JUDGE),
    ],
    ids=range(13),
)
def test_regex(workers: Workers, pattern: Any, answer: str, label: Label) -> None:
    given = verdict(RegexVerifier(workers, seconds=0.2), problem(pattern=pattern), answer)
    assert given.label is label
    assert given.detail.startswith("problems.jsonl:3: ") is (label is Label.CANNOT_JUDGE)


def test_regex_suits_what_has_a_pattern(workers: Workers) -> None:
    verifier = RegexVerifier(workers)
    assert verifier.suits(problem(pattern="x"))
    assert verifier.suits(problem(pattern=["x"]))
    assert not verifier.suits(problem(pattern=[]))
    assert not verifier.suits(problem(answer="x"))
