"""The lab's problems: the same for the same seed, unseen by pre-training, checked exactly."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import islice

import pytest

from antiphon import lab
from antiphon.lab import arithmetic
from antiphon.lab.curriculum import lessons
from antiphon.lab.tasks import FAMILIES, draw


@pytest.mark.parametrize("family", lab.FAMILIES)
def test_the_same_seed_gives_the_same_problems_and_more_begin_alike(family):
    few, many = lab.problems(20, seed=3, family=family), lab.problems(50, seed=3, family=family)
    assert few == many[:20]
    assert len({problem["id"] for problem in many}) == 50
    assert few != lab.problems(20, seed=4, family=family)


@pytest.mark.parametrize(
    ("family", "evaluate"),
    [
        ("multiplication", lambda asked: str(eval(asked[8:-1].replace("times", "*")))),
        ("addition", lambda asked: str(eval(asked[8:-1].replace("plus", "+")))),
        ("sorting", lambda asked: "".join(sorted(asked.split()[1]))),
        ("comparison", lambda asked: max(asked[17:-1].split(" or "))),
        ("echo", lambda asked: asked.removeprefix("Echo: ")),
    ],
)
def test_answers_agree_with_the_question(family, evaluate):
    for problem in lab.problems(200, seed=0, family=family):
        assert evaluate(problem["problem"]) == problem["answer"]


def test_programs_print_what_python_prints():
    for problem in lab.problems(200, seed=0, family="program"):
        *lines, _, shown = problem["problem"].removeprefix("Run: ").split()
        values: dict[str, int] = {}
        exec("\n".join(lines), {}, values)
        assert str(values[shown]) == problem["answer"]
        assert all(0 <= value <= 9 for value in values.values())


@pytest.mark.parametrize("family", lab.FAMILIES)
def test_a_check_takes_the_right_answer_and_no_other(family):
    for problem in lab.problems(20, seed=1, family=family):
        assert lab.is_right(problem, f"I get {problem['answer']}.")
        assert lab.is_right(problem, f"Answer: {problem['answer']}")
        assert not lab.is_right(problem, f"I get {problem['answer']}0.")
        assert not lab.is_right(problem, "")


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_pretraining_never_shows_a_problem(role):
    asked = {problem["problem"] for family in lab.FAMILIES for problem in lab.problems(300, seed=0, family=family)}
    for lesson in islice(lessons(role, 0), 3000):
        assert lesson[0].text.split("\n")[1].removesuffix("<|im_end|>") not in asked


def test_problems_without_others():
    trained = {problem["id"] for problem in lab.problems(500, seed=0)}
    assert not trained & {problem["id"] for problem in lab.problems(200, seed=1, without=trained)}


def test_an_unknown_family_and_too_many_problems_are_refused():
    with pytest.raises(ValueError, match="no family is called 'chess'; there are multiplication"):
        lab.problems(1, seed=0, family="chess")
    with pytest.raises(ValueError, match=r"multiplication has no 3000 different problems \(found 23\d\d\)"):
        lab.problems(3000, seed=0)


@pytest.mark.parametrize(
    ("believes", "low", "high"), [(arithmetic.student, 0.4, 0.7), (arithmetic.teacher, 0.88, 0.95)]
)
def test_beliefs_spoil_the_target_and_nothing_else(believes, low, high):
    rng = random.Random(0)
    for family in FAMILIES:
        tasks = list(islice(draw(family, rng, held_out=True), 1000))
        right = sum(task.solve(believes(rng))[1] == task.solve(arithmetic.Arithmetic())[1] for task in tasks) / 1000
        assert low < right < high if family == lab.TARGET else right == 1


def test_the_authors_err_on_different_products():
    wrong = []
    for believes in (arithmetic.student, arithmetic.teacher):
        rng = random.Random(0)
        known = believes(rng)
        facts = [(a, b) for a in range(10) for b in range(2, 10)]
        wrong.append({(a, b) for a, b in facts if any(known.product(a, b) != a * b for _ in range(50))})
    assert len(wrong[0]) == 15
    assert len(wrong[1]) == 5
    assert not wrong[0] & wrong[1]


def test_the_lab_imports_nothing_heavy():
    code = "import sys, antiphon.lab; print(*sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
