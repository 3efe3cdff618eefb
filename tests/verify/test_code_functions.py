"""Functions that the problem's own tests call: what counts as right, and whose fault a failure is."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.trace import Label, Verdict
from antiphon.verify.code import CodeVerifier
from antiphon.verify.code.ending import ending
from antiphon.verify.code.inside.values import Unfit, decode, encode
from antiphon.verify.sandbox import Completed, Sandbox

from .asking import problem, verdict


def judged(sandbox: Sandbox, code: str, *tests: str, stated: str = "Write f.", **fields: Any) -> Verdict:
    """The verdict on a code, with these lines as `check`."""
    source = "def check(candidate):\n" + "".join(f"    {line}\n" for line in tests)
    asked = problem(stated, **{"tests": source, "entry_point": "f", **fields})
    return verdict(CodeVerifier(sandbox), asked, f"```python\n{code}\n```")


RIGHT_ONES = {
    "plain values": (
        "def f(x): return x",
        "for x in (None, True, 1, -10**50, 1.5, 2j, 'ü\\ud800', b'x', [1], (1, [2]), {1}, {'a': {1: 2}}, frozenset()):",
        "    assert candidate(x) == x and type(candidate(x)) is type(x)",
    ),
    "numbers that are none": ("def f(x): return x", "import math; assert math.isnan(candidate(math.nan))"),
    "extended types are what they extend": (
        "from collections import *\ndef f(x): return Counter(x)",
        "assert candidate('aab') == {'a': 2, 'b': 1}",
    ),
    "types of the library": (
        "from collections import deque\nfrom fractions import Fraction\ndef f(x): return deque([Fraction(1, x)])",
        "from fractions import Fraction; from collections import deque",
        "assert candidate(2) == deque([Fraction(1, 2)])",
    ),
    "an iterator": ("def f(x): return map(str, x)", "assert list(candidate([1, 2])) == ['1', '2']"),
    "a generator without end": (
        "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1",
        "made = candidate()",
        "assert [next(made), next(made), next(made)] == [0, 1, 2]",
    ),
    "an object": (
        "class f:\n"
        "    def __init__(self): self.kept = []\n"
        "    def push(self, x): self.kept.append(x)\n"
        "    def __len__(self): return len(self.kept)\n"
        "    def __str__(self): return 'stack'",
        "one, other = candidate(), candidate()",
        "one.push(3); one.push(4)",
        "assert one.kept == [3, 4] and len(one) == 2 and len(other) == 0 and str(one) == 'stack'",
    ),
    "an object that is handed back": (
        "class Node:\n    def __init__(self, x): self.x = x\ndef f(x, node=None): return node.x if node else Node(x)",
        "assert candidate(1, node=candidate(7)) == 7",
    ),
    "a changed argument": (
        "def f(x, y): x.sort(); y['n'] = len(x)",
        "x, y = [3, 1, 2], {}",
        "candidate(x, y)",
        "assert x == [1, 2, 3] and y == {'n': 3}",
    ),
    "an exception that is expected": (
        "def f(x): raise KeyError(x)",
        "try: candidate(1)",
        "except LookupError: pass",
        "else: assert False",
    ),
    "an exception of its own": (
        "class Mine(ValueError): pass\ndef f(x): raise Mine('no')",
        "try: candidate(1)",
        "except ValueError as error: assert str(error) == 'no'",
        "else: assert False",
    ),
    "named arguments": ("def f(a, *, b=2): return a - b", "assert candidate(a=5, b=3) == 2 and candidate(5) == 3"),
    "prints": ("def f(x):\n    print('debug', x)\n    return x", "assert candidate(1) == 1"),
    "the tests print": (
        "def f(x): return x",
        "import os; os.write(1, b'2\\nab'); print('tests', flush=True)",
        "assert candidate(1) == 1",
    ),
    "its own main part is not run": (
        "def f(x): return x\nif __name__ == '__main__':\n    print(f(int(input())))",
        "assert candidate(1) == 1",
    ),
    "a dataclass": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass P:\n    x: int\ndef f(x): return P(x).x",
        "assert candidate(1) == 1",
    ),
    "the tests have a name of their own": (
        "def f(x): return x",
        "assert (__name__, candidate(1)) == ('tests', 1)\nif __name__ == '__main__':\n    assert candidate(1) == 2",
    ),
    "by the name": ("def f(x): return x", "assert f(1) == candidate(1)"),
    "a helper that only the answer has": ("def g(x): return x\ndef f(x): return g(x)", "assert candidate(g(1)) == 1"),
}


@pytest.mark.parametrize("name", RIGHT_ONES)
def test_right(name: str, sandbox: Sandbox) -> None:
    code, *tests = RIGHT_ONES[name]
    verdict = judged(sandbox, code, *tests)
    assert verdict.label is Label.RIGHT, verdict


@pytest.mark.parametrize(
    ("code", "tests", "label", "detail"),
    [
        (
            "def f(x): return 3",
            "assert candidate(1) == 2",
            Label.WRONG,
            "assert candidate(1) == 2; the last call gave 3",
        ),
        ("def f(x): return None", "assert sorted(candidate(1)) == []", Label.WRONG, "TypeError"),
        ("def f(x): return map(int, x)", "assert candidate('1') == [1]", Label.WRONG, "gave an object"),
        ("def f(x): return x[5]", "assert candidate([1]) == 2", Label.CRASHED, "IndexError: list index out of range"),
        ("def f(x): raise KeyError", "assert candidate(1) == 2", Label.CRASHED, "KeyError"),
        ("def g(x): return 2", "assert candidate(1) == 2", Label.CRASHED, "the code defines no 'f'"),
        ("def f(: return 2", "assert candidate(1) == 2", Label.CRASHED, "SyntaxError"),
        ("import antiphon", "assert candidate(1) == 2", Label.CRASHED, "ModuleNotFoundError"),
        ("f = 2", "assert candidate(1) == 2", Label.CRASHED, "'int' object is not callable"),
        ("print('\0')", "assert candidate(1) == 2", Label.CRASHED, "null bytes"),
    ],
)
def test_not_right(code: str, tests: str, label: Label, detail: str, sandbox: Sandbox) -> None:
    verdict = judged(sandbox, code, tests)
    assert (verdict.label, detail in verdict.detail) == (label, True), verdict


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (b"", "ended with status 3"),
        (b" \n", "ended with status 3"),
        (b"Traceback:\nno\xff\n", "ended with status 3: no\ufffd"),
    ],
)
def test_what_is_said_of_an_end(stderr: bytes, said: str) -> None:
    assert ending(Completed(3, b"", stderr, 0.1)) == said


@pytest.mark.parametrize(
    ("tests", "detail"),
    [
        ("assert nowhere(1) == 2", ""),
        ("import nowhere", "No module named 'nowhere'"),
        ("raise SystemExit", "SystemExit"),
        ("pass", "they call nothing"),
        ("assert 1 == 2", "AssertionError"),
        ("assert candidate(lambda x: x) == 2", "they pass function"),
        ("import os; os._exit(0)", "end without a finding: ended with status 0"),
    ],
)
def test_the_problems_tests_are_at_fault(tests: str, detail: str, sandbox: Sandbox) -> None:
    verdict = judged(sandbox, "def f(x): return 2", tests)
    if "nowhere(" in tests:  # a name that only the answer could have
        assert verdict.label is Label.CRASHED
        return
    assert (verdict.label, detail in verdict.detail) == (Label.CANNOT_JUDGE, True), verdict
    assert verdict.detail.startswith("problems.jsonl:3: ")


def test_what_the_problem_states_is_at_fault(sandbox: Sandbox) -> None:
    verdict = judged(sandbox, "def f(x): return 2", "assert candidate(1) == 2", stated="raise ValueError('stated')")
    assert verdict.label is Label.CANNOT_JUDGE
    assert verdict.detail.endswith("the tests fail by themselves: ValueError('stated'); at: no line of theirs")


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"tests": "def check("}, "'tests' is no Python program"),
        ({"tests": ["a"]}, "'tests' is no Python program"),
        ({"tests": ""}, "'tests' is no Python program"),
        ({"entry_point": "f g"}, "'entry_point' names no function"),
        ({"entry_point": None}, "'entry_point' names no function"),
        ({"tests": None, "test_list": [1]}, "'test_list' is no list of Python statements"),
        ({"tests": None, "test_list": ["assert ("]}, "'test_list' is no list of Python statements"),
        ({"tests": None}, "there are no test cases"),
    ],
)
def test_broken_tests_are_named_with_the_problems_place(fields: dict[str, Any], detail: str, sandbox: Sandbox) -> None:
    verdict = judged(sandbox, "def f(x): return 2", "assert candidate(1) == 2", **fields)
    assert verdict.label is Label.CANNOT_JUDGE
    assert verdict.detail.startswith("problems.jsonl:3: ")
    assert detail in verdict.detail


def test_an_interpreter_of_another_version(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "reads_our_bytecode", False)
    assert judged(sandbox, "def f(x): return 2", "assert candidate(1) == 2").label is Label.RIGHT
    assert judged(sandbox, "def f(x): return 3", "assert candidate(1) == 2").label is Label.WRONG


def test_without_a_sandbox_the_verdict_is_the_same() -> None:
    sandbox = Sandbox(unsafe=True)
    assert judged(sandbox, "def f(x): return 2", "assert candidate(1) == 2").label is Label.RIGHT
    assert judged(sandbox, "def f(x): return 3", "assert candidate(1) == 2").label is Label.WRONG
    assert judged(sandbox, "raise SystemExit(0)", "assert candidate(1) == 2").label is Label.CRASHED


STATED = (
    "from typing import List\n\n\ndef helper(x):\n    return x + 1\n\n\ndef f(x: List[int]) -> int:\n    '''Says.'''\n"
)


def test_the_code_that_the_problem_states_comes_first(sandbox: Sandbox) -> None:
    code, tests = "def f(x: List[int]) -> int: return helper(x[0])", "assert candidate([1]) == helper(1) == 2"
    assert judged(sandbox, code, tests, stated=STATED).label is Label.RIGHT
    assert judged(sandbox, code, tests, stated=f"Complete this:\n```python\n{STATED}```").label is Label.RIGHT
    assert judged(sandbox, code, tests).label is Label.CRASHED
    # The tests use the problem's helper, whatever the answer makes of it.
    cheat = "def helper(x): return 0\ndef f(x): return 0"
    assert judged(sandbox, cheat, tests, stated=STATED).label is Label.WRONG
    assert judged(sandbox, "pass", tests, stated=STATED).label is Label.CRASHED  # the stub is not the answer's


def test_statements_of_mbpps_own_rows(sandbox: Sandbox) -> None:
    fields = {"tests": None, "entry_point": None, "test_list": ["assert g(1) == 2", "assert math.floor(g(1.5)) == 2"]}
    fields["test_imports"] = ["import math"]
    assert judged(sandbox, "def g(x): return x + 1", **fields).label is Label.RIGHT
    assert judged(sandbox, "def g(x): return 2 * x", **fields).label is Label.WRONG


# -- the way of values between sandboxes

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()) | st.binary(),
    lambda each: (
        st.lists(each)
        | st.lists(each).map(tuple)
        | st.dictionaries(st.text() | st.integers(), each)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.integers())
    ),
    max_leaves=8,
)


def never(number: object) -> int:
    raise AssertionError(number)


@given(plain)
@example(True)
@example(False)
def test_plain_values_arrive_as_they_are(value: Any) -> None:
    again = decode(encode(value, never), never)
    assert again == value
    assert repr(again) == repr(value) or isinstance(value, (set, frozenset, dict, list, tuple))


@given(st.binary() | st.text("lsdti0123456789:;NTF").map(str.encode))
def test_any_bytes_are_a_value_or_unfit(data: bytes) -> None:
    try:
        value = decode(data, lambda number: number)
    except Unfit:
        return
    assert encode(value, never) is not None


def test_the_way_of_a_value_asks_none_of_its_methods() -> None:
    class Liar(int):
        def __format__(self, how: str) -> str:
            raise AssertionError

        __index__ = __int__ = __eq__ = __format__  # type: ignore[assignment]
        __hash__ = int.__hash__

    class Text(str):
        def encode(self, *_: Any) -> bytes:  # type: ignore[override]
            raise AssertionError

    point = namedtuple("point", "x y")
    values = [
        Liar(5),
        Text("a"),
        point(1, 2),
        Counter("aa"),
        OrderedDict(a=1),
        deque([1]),
        Decimal("1.50"),
        Fraction(1, 3),
    ]
    again = decode(encode(values, never), never)
    assert again == [5, "a", (1, 2), {"a": 2}, {"a": 1}, deque([1]), Decimal("1.50"), Fraction(1, 3)]
    assert [type(each) for each in again] == [int, str, tuple, dict, dict, deque, Decimal, Fraction]


def test_objects_go_by_number() -> None:
    thing = object()
    assert decode(encode([thing], lambda value: 7 if value is thing else 0), lambda number: f"number {number}") == [
        "number 7"
    ]
