"""HumanEval and MBPP: their own answers are right, mutants of these whose results differ are not."""

from __future__ import annotations

import ast
import asyncio
import copy
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.problem import Problem, load
from antiphon.trace import Label, Verdict
from antiphon.verify.code import CodeVerifier
from antiphon.verify.code.answer import code_in
from antiphon.verify.sandbox import Limits, Sandbox

QUICK = 10  # problems in the quick suite
LIMITS = Limits(cpu=4, wall=30)
PATIENT = Limits(cpu=15, wall=90)  # some of their own answers take seconds, and more where others work beside them


def problems(shared: Path) -> list[Problem]:
    files = [shared / "problems" / name for name in ("humaneval.jsonl", "mbpp.jsonl")]
    return list(load(files).problems)


def judged(answers: list[tuple[Problem, str]], limits: Limits) -> list[Verdict]:
    async def all_of_them() -> list[Verdict]:
        verifier = CodeVerifier(Sandbox(), limits)
        return await asyncio.gather(*(verifier.check(problem, answer) for problem, answer in answers))

    return asyncio.run(all_of_them())


def own_answer(problem: Problem) -> str:
    answer = asyncio.run(CodeVerifier(Sandbox()).canonical(problem))
    assert answer is not None
    return answer


# -- mutants


COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


class Mutator(ast.NodeTransformer):
    """Makes the change number `at` of those that can be made: another comparison, one more, a negated condition,
    nothing returned."""

    def __init__(self, at: int):
        self.at = at
        self.seen = 0

    def turn(self) -> bool:
        self.seen += 1
        return self.seen - 1 == self.at

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        other = COMPARISONS.get(type(node.ops[0]))
        if other is not None and self.turn():
            node.ops[0] = other()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self.turn():
            return ast.copy_location(ast.Constant(node.value + 1), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if self.turn():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and self.turn():
            return ast.Return(ast.Constant(None))
        return node


def mutants(code: str, entry: str) -> Iterator[str]:
    """Programs with one change in the function each, returns of nothing last."""
    with warnings.catch_warnings(action="ignore"):
        tree = ast.parse(code)
    at = 0
    while True:
        mutant = copy.deepcopy(tree)
        mutator = Mutator(at)
        for node in mutant.body:
            if isinstance(node, ast.FunctionDef) and node.name == entry:
                mutator.visit(node)
        if mutator.seen <= at:
            return
        yield ast.unparse(ast.fix_missing_locations(mutant))
        at += 1


# What calls give outside of the verifier: the tests are run by a plain Python, with a function that notes each result.
OUTSIDE = """
import json, random, sys
code, tests, entry = json.load(sys.stdin)
space = {"__name__": "program"}
exec(code, space)
results = []
def noting(*args, **named):
    try:
        result = space_function(*args, **named)
    except BaseException as error:
        results.append(type(error).__name__)
        raise
    results.append(repr(result))
    return result
space_function = space[entry]
exec(tests, space)
space[entry] = noting
random.seed(0)
try:
    space["check"](noting)
    passed = True
except BaseException:
    passed = False
print(json.dumps([passed, results]))
"""


def outside(problem: Problem, code: str) -> tuple[bool, list[str]]:
    """Whether the tests pass, and what each call gave."""
    asked = json.dumps([code, problem.metadata["tests"], problem.metadata["entry_point"]])
    try:
        done = subprocess.run(
            ["prlimit", "--cpu=4", "--as=2000000000", sys.executable, "-I", "-c", OUTSIDE],
            input=asked,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONHASHSEED": "0"},
        )
    except subprocess.TimeoutExpired:
        return False, ["no end"]
    if done.returncode != 0:
        return False, [f"ends with status {done.returncode}"]
    passed, results = json.loads(done.stdout.splitlines()[-1])
    return passed, results


def check_mutants(chosen: list[Problem]) -> list[str]:
    """Judges a mutant of each problem's own answer, and holds that against what its calls give outside.

    Returns:
        Those whose results are the same, or that the problem's tests do not tell from the answer.
    """
    mutated = []
    for number, problem in enumerate(chosen):
        own = code_in(own_answer(problem))
        assert own is not None
        made = list(mutants(own.text, problem.metadata["entry_point"]))
        mutated.append((problem, own.text, made[number % len(made)]))
    verdicts = judged([(problem, f"~~~~\n{mutant}\n~~~~") for problem, _, mutant in mutated], LIMITS)
    undetected, mistaken = [], []
    for (problem, own, mutant), verdict in zip(mutated, verdicts, strict=True):
        passes, results = outside(problem, mutant)
        right = verdict.label is Label.RIGHT
        if right is not passes:
            mistaken.append(f"{problem.id}: {verdict}, though outside it {'passes' if passes else 'fails'}: {results}")
        elif passes:
            same = results == outside(problem, own)[1]
            undetected.append(f"{problem.id}: {'the same results' if same else 'others, which its tests let pass'}")
    assert not mistaken, "\n".join(mistaken)
    return undetected


def test_their_own_answers_are_right(shared: Path, sandbox: Sandbox) -> None:
    chosen = problems(shared)[:: 464 // QUICK]
    verdicts = judged([(problem, own_answer(problem)) for problem in chosen], PATIENT)
    assert [verdict.label for verdict in verdicts] == [Label.RIGHT] * len(chosen)


def test_mutants_are_not(shared: Path, sandbox: Sandbox) -> None:
    chosen = problems(shared)[:: 464 // QUICK]
    assert len(check_mutants(chosen)) < len(chosen) / 2


@pytest.mark.slow
def test_all_their_own_answers_are_right(shared: Path, sandbox: Sandbox) -> None:
    everything = problems(shared)
    assert len(everything) == 464
    verdicts = judged([(problem, own_answer(problem)) for problem in everything], PATIENT)
    assert [p.id for p, verdict in zip(everything, verdicts, strict=True) if verdict.label is not Label.RIGHT] == []


@pytest.mark.slow(minutes=1)
def test_all_mutants_are_not(shared: Path, sandbox: Sandbox) -> None:
    undetected = check_mutants(problems(shared))
    print(*undetected, sep="\n")  # pytest -rP lists them
    assert len(undetected) < 100
