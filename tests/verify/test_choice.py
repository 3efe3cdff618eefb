"""Multiple choice: which option is declared, and which is right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.trace import Label
from antiphon.verify.choice import ChoiceVerifier

from .asking import problem, verdict

VERIFIER = ChoiceVerifier()
OPTIONS = ["a red giant", "green light", "42 km", r"$\frac{1}{2}$ eV"]
GPQA = {
    "Correct Answer": "5 km\n",
    "Incorrect Answer 1": "6 km",
    "Incorrect Answer 2": "7 km",
    "Incorrect Answer 3": "8 km",
}


@pytest.mark.parametrize(
    "answer",
    [
        r"So $\boxed{B}$.",
        r"\boxed{\text{B}}",
        r"\boxed{(B)}",
        r"\boxed{\textbf{(B)}\ \text{green light}}",
        r"\boxed{B. green light}",
        r"\boxed{\text{green light}}",
        "Answer: B",
        "Answer: (B)",
        "**Answer:** B. Green light",
        "The answer is **B**.",
        "The final answer is (B) because it is green.",
        "The correct answer is option B",
        "The correct answer is: B) green light",
        "### Answer\n\nB",
        "It is green.\n\n**B**",
        "It is green.\n\nB.",
        "It is green.\n\n(B) green light",
        "It is green.\n\n**(B) green light**",
        "It is green.\n\ngreen light",
        "It cannot be A.\n\nOption B is correct.",
        "A is red, so not A. C and D are wrong.\n\nAnswer: B\n",
        "Answer: A\n\nNo, wait.\n\nAnswer: B",
        r"\boxed{A}, no: \boxed{B}",
        "Answer: B\n\nThe answer is consistent with option A.",
        "b",
        "B",
    ],
)
def test_an_option_is_declared_in_many_ways(answer: str) -> None:
    assert verdict(VERIFIER, problem(choices=OPTIONS, answer="B"), answer).label is Label.RIGHT
    assert verdict(VERIFIER, problem(choices=OPTIONS, answer="C"), answer).label is Label.WRONG


@pytest.mark.parametrize("word", ["as", "and", "because", "based", "by", "due", "is", "or", "since", "which", "with"])
def test_a_reason_may_follow_the_letter(word: str) -> None:
    answer = f"The answer is B {word} the light is green."
    label = verdict(VERIFIER, problem(choices=OPTIONS, answer="B"), answer).label
    assert label is Label.RIGHT
    assert verdict(VERIFIER, problem(choices=OPTIONS, answer="A"), "The answer is A light.").label is Label.NO_ANSWER


@pytest.mark.parametrize(
    "answer", ["Answer: A or B", r"\boxed{A/B}", "Answer: E", "Answer: **A** and **B**", "\\boxed{F}"]
)
def test_two_options_at_once_and_one_that_is_not_there_are_wrong(answer: str) -> None:
    for letter in "ABCD":
        assert verdict(VERIFIER, problem(choices=OPTIONS, answer=letter), answer).label is Label.WRONG


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I do not know.",
        "A good question",
        "The answer is a matter of taste.",
        "The answer is A quick look at it.",
        "A) a red giant\nB) green light\nC) 42 km\nD) something\n\nI cannot tell.",
    ],
)
def test_nothing_is_declared(answer: str) -> None:
    assert verdict(VERIFIER, problem(choices=OPTIONS, answer="A"), answer).label is Label.NO_ANSWER


@given(
    st.text()
    | st.lists(st.sampled_from(["A", "B", " or ", "**", "(", ")", "\n", "Answer: ", "\\boxed{", "}"])).map("".join)
)
def test_any_text_gets_a_verdict(answer: str) -> None:
    label = verdict(VERIFIER, problem(choices=OPTIONS, answer="B"), answer).label
    assert label in (Label.RIGHT, Label.WRONG, Label.NO_ANSWER)


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": OPTIONS, "answer": "B"},
        {"choices": OPTIONS, "answer": "(b)"},
        {"choices": OPTIONS, "answer": 1},
        {"choices": OPTIONS, "answer": "1"},
        {"choices": OPTIONS, "answer": "Green light"},
        {"choices": OPTIONS, "answer": "B) green light"},
        {"options": ["A) a red giant", "B) green light"], "answer_index": 1},
        {"options": {"A": "a red giant", "B": "green light"}, "answer": "B"},
        {"choices": {"label": ["A", "B"], "text": ["a red giant", "green light"]}, "answerKey": "B"},
        {"choices": ["1", "2", "0"], "answer": "2"},
    ],
)
def test_the_right_option_is_told_in_many_ways(fields: dict[str, Any]) -> None:
    assert VERIFIER.suits(problem(**fields))
    assert verdict(VERIFIER, problem(**fields), "Answer: B").label is Label.RIGHT
    text = "2" if "0" in str(fields) else "green light"
    assert verdict(VERIFIER, problem(**fields), f"The answer is {text}.").label is Label.RIGHT
    assert verdict(VERIFIER, problem(**fields), "Answer: A").label is Label.WRONG


@pytest.mark.parametrize(
    "text",
    [
        "How far?\n\nA) 6 km\nB) 5 km\nC) 7 km\nD) 8 km",
        "How far?\n(A) 6 km\n(B) 5 km\n(C) 7 km\n(D) 8 km\n\nEnd with Answer: X.",
        "How far?\n\nA. 6 km\n\nB. 5 km\n\nC. 7 km\n\nD. 8 km",
        "How far?\n**A.** 6 km\n**B.** 5 km\n**C.** 7 km\n**D.** 8 km",
    ],
)
def test_the_letters_of_gpqa_are_those_of_the_problems_text(text: str) -> None:
    asked = problem(text, **GPQA)
    assert VERIFIER.suits(asked)
    assert verdict(VERIFIER, asked, "Answer: B").label is Label.RIGHT
    assert verdict(VERIFIER, asked, "The answer is 5 km.").label is Label.RIGHT
    assert verdict(VERIFIER, asked, "Answer: A").label is Label.WRONG


@pytest.mark.parametrize(
    "fields",
    [
        GPQA,
        {"choices": OPTIONS, "answer": "E"},
        {"choices": OPTIONS, "answer": 4},
        {"choices": OPTIONS, "answer": -1},
        {"choices": OPTIONS, "answer_index": 4},
        {"choices": OPTIONS, "answer": True},
        {"choices": OPTIONS, "answer": "blue light"},
        {"choices": OPTIONS},
        {"choices": ["one"], "answer": "A"},
        {"choices": [["one"], ["two"]], "answer": "A"},
        {"choices": ["same", "same"], "answer": "same"},
        {"answer": "A"},
    ],
)
def test_a_broken_problem_is_named_with_its_place(fields: dict[str, Any]) -> None:
    given = verdict(VERIFIER, problem("How far?\nA) 6 km\nB) 5 km", **fields), "Answer: A")
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.startswith("problems.jsonl:3: ")
