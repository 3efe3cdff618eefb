"""Looking for what an answer declares takes time in proportion to its length, whatever it is made of.

It is done in the process that judges everything else, too, so that nothing could stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.verify import declared
from antiphon.verify.choice import ChoiceVerifier
from antiphon.verify.fences import fenced
from antiphon.verify.math import result_of
from antiphon.verify.schema import json_of
from antiphon.verify.sql import query_of
from antiphon.verify.text import ExactVerifier

from .asking import problem, verdict

SIZE = 200_000
CHOICE = problem(choices=["one", "two"], answer="A")
PARTS = [
    " ",
    "\n",
    "\n\n",
    "#",
    "*",
    "**",
    "_",
    "$",
    "$$",
    "\\(",
    "\\[",
    "\\boxed{",
    "\\text{",
    "{",
    "}",
    "(",
    "`",
    "=",
    "-",
]
PARTS += [
    "```",
    "~~~",
    "1",
    "1,",
    "1,234",
    "1 ",
    "a",
    "a ",
    "/ ",
    "A) ",
    "**A",
    "or ",
    "option A ",
    "the ",
    "####",
    "#### 1",
]
PARTS += ["answer", "answer ", "answer is ", "answer:\n", "SELECT ", "(SELECT ", "--", "/*", "-- \n", "`SELECT "]
PARTS += ["<tool_call>", "[", "[\n", "{\n", '{"a":\n']
FRAMES = ["{}", "x{}", "{}x", "answer {}x", "#### 1{}x", "```{}`", "(A{}", "answer is {}"]
WORST = [" ", "a", "("]

LOOKS: dict[str, Callable[[str], Any]] = {
    "a result": lambda text: result_of(text, plain=True),
    "a formula": lambda text: result_of(text, plain=False),
    "a bare text": declared.bare,
    "blocks": fenced,
    "a query": query_of,
    "an option": lambda text: verdict(ChoiceVerifier(), CHOICE, text),
    "a text": lambda text: verdict(ExactVerifier(), problem(answer="x"), text),
}


def slow_ones(look: Callable[[str], Any], parts: list[str]) -> dict[str, float]:
    """The answers, three repetitions of each shown, that took more than a second."""
    found = {}
    for part in parts:
        for frame in FRAMES:
            text = frame.replace("{}", part * (SIZE // len(part)))
            began = time.process_time()
            look(text)
            if (took := time.process_time() - began) > 1:
                found[frame.replace("{}", part * 3)] = round(took, 1)
    return found


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_worst_answers_do_not_take_long_to_look_at(look: Callable[[str], Any]) -> None:
    assert not slow_ones(look, WORST)


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_no_answer_takes_long_to_look_at(look: Callable[[str], Any]) -> None:
    assert not slow_ones(look, PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_no_answer_takes_long_to_find_json_in(part: str) -> None:
    began = time.process_time()
    try:
        json_of(part * (SIZE // len(part)))
    except ValueError:
        pass
    assert time.process_time() - began < 2
