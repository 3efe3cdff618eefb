"""Rows as LiveCodeBench and others publish them, made here with the documented encodings; hostile ones among them."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck
from antiphon.verify.code import CodeVerifier
from antiphon.verify.code.tests import Case, Cases, checks_of, unpacked
from antiphon.verify.sandbox import Sandbox

from .asking import problem, verdict


def packed(value: Any, protocol: int = 4) -> str:
    """base64 of zlib of a pickle, as private test cases are published."""
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol))).decode()


def stdin(given: str, expected: str) -> dict[str, str]:
    return {"input": given, "output": expected, "testtype": "stdin"}


def call(given: str, expected: str) -> dict[str, str]:
    return {"input": given, "output": expected, "testtype": "functional"}


def row(public: list[Any], private: str | list[Any] = "", **fields: Any) -> dict[str, Any]:
    """The fields of a row that matter here, beside others."""
    return {
        "question_title": "Sum",
        "platform": "leetcode",
        "difficulty": "easy",
        "starter_code": "",
        "metadata": "{}",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        **fields,
    }


PROGRAM = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
LONG = [stdin(f"{n} {n * n}\n", f"{n + n * n}\n") for n in range(5)]


@pytest.mark.parametrize("private", ["", json.dumps(LONG), packed(json.dumps(LONG)), packed(json.dumps(LONG), 0), LONG])
def test_public_and_private_cases(private: Any, sandbox: Sandbox) -> None:
    rows = row([stdin("1 2", "3")], private)
    cases = checks_of(problem(**rows))
    assert isinstance(cases, Cases)
    assert cases.cases[0] == Case("1 2", "3")
    assert len(cases.cases) == (6 if private else 1)
    assert CodeVerifier(sandbox).suits(problem(**rows))
    assert verdict(CodeVerifier(sandbox), problem(**rows), PROGRAM).label is Label.RIGHT
    wrong = verdict(CodeVerifier(sandbox), problem(**rows), PROGRAM.replace("a + b", "3"))
    assert wrong.label is (Label.WRONG if private else Label.RIGHT)


STARTER = "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n        "
SOLVED = f"```python\n{STARTER}seen = defaultdict(int)\n" + (
    "        for at, each in enumerate(nums):\n"
    "            if target - each in seen: return (seen[target - each], at)\n"
    "            seen[each] = at\n```"
)


@pytest.mark.parametrize("metadata", ['{"func_name": "twoSum"}', "{}", "", None, "no JSON"])
def test_a_function_with_starter_code(metadata: Any, sandbox: Sandbox) -> None:
    cases = [call("[2, 7, 11]\n9", "[0, 1]"), call("[3, 3]\n6\n", "[0, 1]")]
    asked = problem(**row(cases[:1], packed(json.dumps(cases)), starter_code=STARTER, metadata=metadata))
    right = verdict(CodeVerifier(sandbox), asked, SOLVED)  # a tuple is a list there; List and defaultdict are imported
    assert right.label is Label.RIGHT, right
    wrong = verdict(CodeVerifier(sandbox), asked, SOLVED.replace("at)", "0)"))
    assert (wrong.label, wrong.detail) == (Label.WRONG, "case 1 of 3: gave (0, 0), not [0, 1]")
    crashed = verdict(CodeVerifier(sandbox), asked, SOLVED.replace("at)", "atx)"))
    assert (crashed.label, "NameError" in crashed.detail) == (Label.CRASHED, True)
    missing = verdict(CodeVerifier(sandbox), asked, "```python\nclass Solution: pass\n```")
    assert (missing.label, "defines no 'twoSum'" in missing.detail) == (Label.CRASHED, True)


def test_a_function_cannot_print_its_value(sandbox: Sandbox) -> None:
    asked = problem(**row([call("1", "2")], starter_code="def twice(x):"))
    for code in (
        "import os\nfor to in range(64):\n    try: os.write(to, b'22\\nl3:s5:valuei2;t1:i1;')\n"
        "    except OSError: pass\nos._exit(0)",
        "class Any:\n    __eq__ = lambda *_: True\ndef twice(x): return Any()",
        "class Int(int):\n    __eq__ = lambda *_: True\ndef twice(x): return Int(0)",
        "import sys\nsys.exit(0)",
        "def twice(x): print(2)",
    ):
        judged = verdict(CodeVerifier(sandbox), asked, f"```python\n{code}\n```")
        assert judged.label in (Label.WRONG, Label.CRASHED), (code, judged)
    assert verdict(CodeVerifier(sandbox), asked, "```\ndef twice(x): return 2 * x\n```").label is Label.RIGHT


def test_what_a_function_prints_and_would_read_is_nobodys(sandbox: Sandbox) -> None:
    asked = problem(**row([call("1", "2")], starter_code="def twice(x):"))
    for code in (
        "def twice(x):\n    print('debug', flush=True)\n    return 2 * x",
        "import os\ndef twice(x):\n    os.write(1, b'9' * 99)\n    return 2 * x",
        "import sys\ndef twice(x): return 2 * x if sys.stdin.read() == '' else 0",
        "print('loaded', flush=True)\ndef twice(x): return 2 * x",
    ):
        judged = verdict(CodeVerifier(sandbox), asked, f"```python\n{code}\n```")
        assert judged.label is Label.RIGHT, (code, judged)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("{1, 2}", "what JSON cannot spell"),
        ("{1: 2}", "what JSON cannot spell"),
        ("10**5000", "a int too large to show"),
        ("[[]] * 400_000", "gave [[], "),
        ("deep", ""),
        ("open('/dev/null')", "gave an object"),
        ("float('nan')", "gave nan"),
        ("b'2'", "gave b'2'"),
    ],
)
def test_values_that_are_not_as_expected(value: str, detail: str, sandbox: Sandbox) -> None:
    code = f"deep = []\nfor _ in range(600): deep = [deep]\ndef f(x): return {value}"
    judged = verdict(
        CodeVerifier(sandbox), problem(**row([call("1", "2")], starter_code="def f(x):")), f"```\n{code}\n```"
    )
    assert (judged.label, detail in judged.detail) == (Label.WRONG, True), judged


def test_inputs_and_outputs_of_apps(sandbox: Sandbox) -> None:
    printed = problem(input_output=json.dumps({"inputs": ["1 2\n", ["3 4", ""]], "outputs": ["3\n", ["7"]]}))
    assert verdict(CodeVerifier(sandbox), printed, PROGRAM).label is Label.RIGHT
    called = problem(input_output={"fn_name": "add", "inputs": [[1, 2], [[1], [2]]], "outputs": [3, [1, 2]]})
    assert verdict(CodeVerifier(sandbox), called, "```\ndef add(a, b): return a + b\n```").label is Label.RIGHT


# -- what must not be believed


class Hostile:
    """Reduces to a call that would leave a file."""

    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_harmless(protocol: int, tmp_path: Path, sandbox: Sandbox) -> None:
    bait = tmp_path / "touched"
    for value in (Hostile(bait), [json.dumps(LONG), Hostile(bait)], {"a": Hostile(bait)}):
        asked = problem(**row([stdin("1 2", "3")], packed(value, protocol)))
        judged = verdict(CodeVerifier(sandbox), asked, PROGRAM)
        assert judged.label is Label.CANNOT_JUDGE
        assert judged.detail.startswith("problems.jsonl:3: test cases are a pickle of more than a text")
    assert not bait.exists()
    pickle.loads(pickle.dumps(Hostile(bait), protocol))
    assert bait.exists()  # it would have done it


@pytest.mark.parametrize(
    ("private", "reason"),
    [
        ("no base64!", "neither JSON nor base64 of zlib"),
        (base64.b64encode(b"no zlib").decode(), "neither JSON nor base64 of zlib"),
        (base64.b64encode(zlib.compress(b"no pickle")).decode(), "pickle"),
        (base64.b64encode(zlib.compress(pickle.dumps("[]")[:-3])).decode(), "pickle"),
        (base64.b64encode(zlib.compress(pickle.dumps("[]"))[:-7]).decode(), "broken pickle"),
        (packed(b"[]"), "more than a text"),
        (packed(["[]"]), "more than a text"),
        (packed("no JSON"), "no JSON"),
        (packed("[" * 100_000), "no JSON"),
        ('{"a": 1}', "no list of cases"),
        ("[1]", "case 2 is no object"),
        ('[{"input": 1, "output": "2"}]', "no texts"),
        ('[{"input": "1", "output": "2", "testtype": "functional"}]', "'testtype'"),
        ('[{"input": "1", "output": "2", "testtype": "odd"}]', "'testtype'"),
        ('[{"input": "1", "output": "2", "testtype": []}]', "'testtype'"),
    ],
)
def test_broken_cases_are_named(private: str, reason: str, sandbox: Sandbox) -> None:
    judged = verdict(CodeVerifier(sandbox), problem(**row([stdin("1 2", "3")], private)), PROGRAM)
    assert judged.label is Label.CANNOT_JUDGE
    assert judged.detail.startswith("problems.jsonl:3: ")
    assert reason in judged.detail


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (row([]), "there are no test cases"),
        (row([call("1", "2")]), "neither 'metadata' nor 'starter_code' names one"),
        (row([call("1", "2")], metadata='{"func_name": "a b"}'), "names one"),
        (row([call("x", "2")], starter_code="def f(x):"), "is no JSON"),
        (row([call("1", "")], starter_code="def f(x):"), "is no JSON"),
        ({"input_output": "[]"}, "'inputs' and 'outputs'"),
        ({"input_output": {"inputs": ["1"], "outputs": []}}, "'inputs' and 'outputs'"),
        ({"input_output": {"inputs": [1], "outputs": ["2"]}}, "case 1 has no texts"),
        ({"input_output": {"fn_name": "f", "inputs": [1], "outputs": ["2"]}}, "inputs that are no arguments"),
    ],
)
def test_broken_rows_are_named(fields: dict[str, Any], reason: str, sandbox: Sandbox) -> None:
    judged = verdict(CodeVerifier(sandbox), problem(**fields), PROGRAM)
    assert judged.label is Label.CANNOT_JUDGE
    assert reason in judged.detail


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes((256 << 20) + 1), level=1)
    with pytest.raises(BrokenCheck, match="unpack to more than 256 MiB"):
        unpacked(base64.b64encode(bomb).decode())


def test_a_pickle_that_names_a_huge_place_takes_no_memory() -> None:
    text = "[]"
    with_memo = pickle.PROTO + b"\x02" + pickle.BINUNICODE + (2).to_bytes(4, "little") + text.encode()
    with_memo += pickle.LONG_BINPUT + (0xFFFFFFFF).to_bytes(4, "little") + pickle.STOP
    assert unpacked(base64.b64encode(zlib.compress(with_memo)).decode()) == []


@given(st.lists(st.fixed_dictionaries({"input": st.text(), "output": st.text()})), st.sampled_from(range(6)))
def test_what_was_packed_is_unpacked(cases: list[dict[str, str]], protocol: int) -> None:
    assert unpacked(packed(json.dumps(cases), protocol)) == cases


@given(st.binary())
def test_any_bytes_are_cases_or_broken(data: bytes) -> None:
    try:
        unpacked(base64.b64encode(zlib.compress(data)).decode())
    except BrokenCheck:
        pass
