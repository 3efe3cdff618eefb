"""Mathematics: gold results in many shapes are right, changed ones wrong, and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.math import MathVerifier
from antiphon.verify.workers import Workers

from .asking import problem, verdict, verdicts

PLAIN = re.compile(r"[\d,]*\.?\d+")


@pytest.fixture(scope="module")
def verifier(workers: Workers) -> MathVerifier:
    return MathVerifier(workers)


def with_unit(gold: str) -> str:
    return gold + r"\text{ cm}" if gold[-1].isdigit() else gold


def as_equation(gold: str) -> str:
    return gold if re.search("[a-z]{3}|=", gold.replace("frac", "").replace("sqrt", "")) else f"n = {gold}"


def written_out(gold: str) -> str:
    """The same value in another form: a fraction as a quotient or other commands, a number with zeros or groups."""
    if PLAIN.fullmatch(gold):
        value = gold.replace(",", "")
        return f"{int(value):,}" if value.isdigit() and len(value) > 3 else value + ("0" if "." in value else ".0")
    gold = re.sub(r"(?<!\d)\\d?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", gold)
    return (
        gold.replace("(", "\\left(")
        .replace(")", "\\right)")
        .replace("\\left\\left", "\\left")
        .replace("\\right\\right", "\\right")
    )


SHAPES: Mapping[str, Callable[[str], str]] = {
    "in a box": lambda gold: f"We add 3 and 5.\n\\[\n\\boxed{{{gold}}}\n\\]",
    "in a box with a unit": lambda gold: f"So it is $\\boxed{{{with_unit(gold)}}}$.",
    "in the last of several boxes": lambda gold: f"\\boxed{{17}}? No: $\\boxed{{x^2}}$.\n\nWait, $\\boxed{{{gold}}}$",
    "written otherwise": lambda gold: f"\\boxed{{ {written_out(gold)} }}",
    "as an equation": lambda gold: f"Hence $\\boxed{{{as_equation(gold)}}}$.",
    "the answer is": lambda gold: f"There are 2 cases.\n\nThe answer is ${gold}$.",
    "final answer, I hope": lambda gold: f"The final answer is: \\({gold}\\). I hope it is correct.",
    "answer, in bold": lambda gold: f"First 12, then 9.\n\n**Answer:** ${gold}$",
    "under a heading": lambda gold: f"Of 7 there are 3.\n\n### Final Answer\n\\[ {gold} \\]\n",
    "the last formula": lambda gold: f"With $x = 3$ this fits.\n\nThus, for all 4 of them, we have \\({gold}\\).",
}
NUMBERS: Mapping[str, Callable[[str], str]] = {
    "as GSM8K has it": lambda gold: f"He has 3 * 4 = 12.\n#### {gold}",
    "in a sentence": lambda gold: f"There are 12.\n\nThe answer is {gold} apples per day.",
    "in dollars": lambda gold: f"Each of the 3 costs 9.\n\nShe pays **${gold}** for 5.",
    "as a sum": lambda gold: f"**Answer: 12 + 5 = {gold} apples**",
    "last": lambda gold: f"He has 12 and gives 5.\nSo he keeps 12 - 5 = {gold}",
}


def gold_rows(shared: Path, *names: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for name in names for line in (shared / "problems" / f"{name}.jsonl").read_text().splitlines()
    ]


def changed(gold: str, random: Random) -> str:
    """Another result: one digit or letter is another, or a sign."""
    digits = [i for i, letter in enumerate(gold) if letter.isdigit()]
    if not digits:
        words = re.search(r"[A-Za-z]{4,}(?!.*[A-Za-z]{4,})", gold)
        return gold.replace(words[0], words[0] + "x") if words and "\\" + words[0] not in gold else f"{gold} + 1"
    if random.random() < 0.2 and gold.strip("0.") and not gold.startswith("-") and "=" not in gold:
        return f"-{gold}" if "(" not in gold and "\\begin" not in gold and "," not in gold else f"2 + {gold}"
    at = random.choice(digits)
    return gold[:at] + str((int(gold[at]) + random.randint(1, 9)) % 10) + gold[at + 1 :]


def right_in_shapes(verifier: MathVerifier, rows: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """How many answers were tried, and those that were not right: gold result and shape."""
    asked: list[tuple[str, str, Problem, str]] = []
    for row in rows:
        gold = row["answer"]
        shapes = SHAPES | NUMBERS if PLAIN.fullmatch(gold) else SHAPES
        asked += [(gold, name, problem(answer=gold), shape(gold)) for name, shape in shapes.items()]
    given = verdicts(verifier, [(each[2], each[3]) for each in asked])
    return len(asked), [
        f"{gold} {name}: {verdict.label} {verdict.detail}"
        for (gold, name, _, _), verdict in zip(asked, given, strict=True)
        if verdict.label is not Label.RIGHT
    ]


def test_gold_results_are_right_in_every_shape(verifier: MathVerifier, shared: Path) -> None:
    rows = Random(7).sample(gold_rows(shared, "gsm8k_test", "math500"), 25)
    _, missed = right_in_shapes(verifier, rows)
    assert not missed


@pytest.mark.slow
def test_all_gold_results_are_right_in_every_shape(verifier: MathVerifier, shared: Path) -> None:
    tried, missed = right_in_shapes(verifier, gold_rows(shared, "gsm8k_test", "math500"))
    print(f"{len(missed)} of {tried}:", *missed, sep="\n  ")
    assert len(missed) <= tried / 100


def test_changed_gold_results_are_wrong(verifier: MathVerifier, shared: Path) -> None:
    random = Random(11)
    rows = random.sample(gold_rows(shared, "gsm8k_test", "math500"), 300)
    wrong = [(row["answer"], changed(row["answer"], random)) for row in rows]
    given = verdicts(verifier, [(problem(answer=gold), f"So $\\boxed{{{other}}}$.") for gold, other in wrong])
    others = [(pair, verdict) for pair, verdict in zip(wrong, given, strict=True) if verdict.label is not Label.WRONG]
    assert not others


def test_the_solutions_of_the_problems_are_right(verifier: MathVerifier, shared: Path) -> None:
    rows = gold_rows(shared, "gsm8k_test", "math500")
    given = verdicts(verifier, [(problem(**row), row["solution"]) for row in rows])
    assert {verdict.label for verdict in given} == {Label.RIGHT}


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("72", r"\boxed{72.0}"),
        (72, "72"),
        (0.5, r"\boxed{\frac{1}{2}}"),
        (["one", "1"], r"\boxed{1}"),
        ("He has 70 + 2 = 72.\n#### 72", "#### 72"),
        (r"Thus $\boxed{72}$", r"\boxed{72}"),
        ("2,125", r"\boxed{2125}"),
        (r"10,\!080", r"\boxed{10{,}080}"),
        (r"\$32,\!348", "The answer is $32,348."),
        ("3000000", r"\boxed{\$3 million}"),
        ("3000000", r"\boxed{$3 million$}"),
        ("3", r"\boxed{ $ 3 \text{ cm} $ }"),
        ("300", "The answer is 3 hundred dollars."),
        ("3000", "The answer is 3 thousand dollars."),
        ("2000000", "The answer is 2 million dollars."),
        ("3000000000", "The answer is 3 billion dollars."),
        ("3000000000000", "The answer is 3 trillion dollars."),
        ("20", r"\boxed{20\%}"),
        ("20", "Answer: 20.\n\nThe answer is plausible."),
        ("20%", r"\boxed{20}"),
        ("0.2", r"\boxed{20\%}"),
        (r"\frac43", r"\boxed{\dfrac{4}{3}}"),
        (r"1\frac{4}{5}", r"\boxed{\frac{9}{5}}"),
        (r"\frac{1}{3}", r"\boxed{0.3333333}"),
        (r"90^\circ", r"\boxed{90}"),
        ("90", r"\boxed{90^{\circ}}"),
        ("52_8", r"\boxed{52_{8}}"),
        ("52_8", r"\boxed{52}"),
        ("x=5", r"\boxed{5}"),
        ("5", r"\boxed{x = 5}"),
        ("3, 5, 7", r"\boxed{7, 3, 5}"),
        ("1,-2", r"$\boxed{1}$ and $\boxed{-2}$"),
        (r"1 \pm \sqrt{19}", r"\boxed{1+\sqrt{19}, 1-\sqrt{19}}"),
        (r"\text{Evelyn}", "The answer is Evelyn."),
        (r"\text{(C)}", r"\boxed{C}"),
        (r"\text{even}", r"\boxed{\textbf{Even}}"),
        (r"(2,\infty)", r"\boxed{(2, ∞)}"),
        (r"(a+5)(b+2)", r"\boxed{ab + 2a + 5b + 10}"),
        (r"\cot x", r"\boxed{\frac{\cos x}{\sin x}}"),
        (r"\begin{pmatrix} -2 \\ 4 \end{pmatrix}", r"\boxed{\begin{bmatrix} -2 \\ 4 \end{bmatrix}}"),
    ],
)
def test_the_same_result_otherwise_written_is_right(verifier: MathVerifier, gold: Any, answer: str) -> None:
    assert verdict(verifier, problem(answer=gold), answer).label is Label.RIGHT


SPELLINGS = {
    r"\frac{1}{2}": [r"\tfrac12", r"\cfrac{1}{2}", r"\dfrac{1}2", r"\frac1{2}", r" \frac 1 2 "],
    "5": ["$5$", r"\$5", "5.", "€5", "£5"],
    "-5": ["-$5", "−5", "–5"],
    "5%": [r"5\%"],
    "90": [r"90^\circ", r"90^{\circ}", "90°", "90 degrees", "90 degree", r"90\degree"],
    "even": [r"\text{ Even}", r"\mathrm{EVEN}", "Even."],
    "x^{2}": ["x^2", "x ^ 2", r"x~^2", r"\displaystyle x^2"],
    "x_{1}": ["x_1", r"x\limits_1"],
    r"\sqrt{2}": [r"\sqrt2", "√2"],
    "C": ["(C)", "C", "$(C)$"],
    "(1,2)": [r"\left(1,2\right)", r"(1,\,2)", r"(1{,}2)", r"(1,\quad2)"],
    "1234567": ["1,234,567", r"1{,}234{,}567", r"1,\!234,\!567"],
    "1,23": ["1,23"],
    "(ab)": ["(ab)"],
    r"\pi": ["π"],
    r"\infty": ["∞"],
    r"2\times3": ["2×3"],
    r"2\cdot3": ["2·3"],
    "xY": ["x Y"],
}


@pytest.mark.parametrize("normal", SPELLINGS)
def test_spellings_of_the_same(workers: Workers, normal: str) -> None:
    async def spelled() -> list[str]:
        asked = [workers.ask("antiphon.verify.equal:normal", text, seconds=9) for text in SPELLINGS[normal]]
        return [reply.value for reply in await asyncio.gather(*asked)]

    assert asyncio.run(spelled()) == [normal] * len(SPELLINGS[normal])


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("72", r"\boxed{72} or \boxed{71}"),
        ("72", r"\boxed{72}. Wait, no: \boxed{71}"),
        ("72", "#### 72\n\n\\boxed{71}"),
        ("0.0000672", r"\boxed{0.0000673}"),
        ("123456789012345678", r"\boxed{123456789012345679}"),
        ("2", "The answer is 2 million."),
        ("2", r"\boxed{2\pi}"),
        ("20%", r"\boxed{2}"),
        ("0.2", r"\boxed{2\%}"),
        ("2", r"\boxed{2x}"),
        ("52_8", r"\boxed{52_9}"),
        ("(1,2)", r"\boxed{(2,1)}"),
        (r"\text{Evelyn}", r"\boxed{\text{Briana}}"),
        (r"\text{(C)}", r"\boxed{B}"),
        ("3, 5, 7", r"\boxed{3, 5}"),
        ("[2,3)", r"\boxed{[2,3]}"),
        ("5", r"\boxed{5, 6}"),
        ("5", r"\boxed{x \ge 5}"),
        ("5", "\\boxed{" + "5" * 6000 + "}"),
    ],
)
def test_another_result_is_wrong(verifier: MathVerifier, gold: Any, answer: str) -> None:
    assert verdict(verifier, problem(answer=gold), answer).label is Label.WRONG


@pytest.mark.parametrize(
    "answer", ["", " \n", "I do not know.", "There are 72 of them.\n\nDone.", r"\boxed{}", r"\boxed{72"]
)
def test_an_answer_that_declares_nothing(verifier: MathVerifier, answer: str) -> None:
    assert verdict(verifier, problem(answer="72"), answer).label is Label.NO_ANSWER


@pytest.mark.parametrize("gold", ["", "  ", r"\frac{1}{", "#### ", True, [], {"a": 1}, [["1"]], "x" * 1000])
def test_a_broken_gold_result_is_named_with_its_place(verifier: MathVerifier, gold: Any) -> None:
    given = verdict(verifier, problem(answer=gold), r"\boxed{72}")
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.startswith("problems.jsonl:3: ")


@pytest.mark.parametrize("tower", ["9^{9^{9^{9^9}}}", r"\int_0^1 x^{x^{x^x}} \sin(x^{x}) dx"])
def test_a_result_that_sympy_cannot_finish_is_stopped(workers: Workers, tower: str) -> None:
    impatient = MathVerifier(workers, seconds=0.3)
    given = verdict(impatient, problem(answer="72"), f"\\boxed{{{tower}}}")
    assert given.label in (Label.TIMED_OUT, Label.CRASHED, Label.WRONG)
    assert verdict(impatient, problem(answer="72"), r"\boxed{72}").label is Label.RIGHT


def test_a_gold_result_that_sympy_cannot_finish_is_the_problems_fault(workers: Workers) -> None:
    given = verdict(MathVerifier(workers, seconds=0.3), problem(answer="9^{9^{9^{9^9}}}"), r"\boxed{x+1}")
    assert given.label is Label.CANNOT_JUDGE
    assert "problems.jsonl:3" in given.detail


@pytest.mark.parametrize(
    ("fields", "suits"),
    [
        ({"answer": "72"}, True),
        ({"answer": 72}, True),
        ({"gold": "72"}, True),
        ({"answer": None, "final_answer": ["72"]}, True),
        ({"solution": r"so \boxed{72}"}, True),
        ({"reference": "#### 72"}, True),
        ({"answer": "long words " * 100 + "\n#### 72"}, True),
        ({"answer": "long words " * 100}, False),
        ({"answer": {"text": "72"}}, False),
        ({"solution": "so it is 72"}, False),
        ({}, False),
    ],
)
def test_what_it_suits(verifier: MathVerifier, fields: dict[str, Any], suits: bool) -> None:
    assert verifier.suits(problem(**fields)) is suits
