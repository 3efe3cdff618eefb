"""Programs that read and print, in several languages: judged by what they print, which is all that comes out."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.code import CodeVerifier
from antiphon.verify.code.compare import difference
from antiphon.verify.code.languages import LANGUAGES
from antiphon.verify.sandbox import MIB, Limits, Sandbox

from .asking import problem, verdict
from .leftovers import nothing_left

SMALL = Limits(cpu=10, wall=30, memory=256 * MIB, disk=16 * MIB, output=MIB, processes=32)
SHORT = Limits(cpu=1, wall=0.5, memory=256 * MIB, disk=16 * MIB, output=MIB, processes=32)


def sums(*cases: tuple[str, str]) -> Problem:
    """To read two numbers and print their sum."""
    rows = [{"input": given, "output": expected, "testtype": "stdin"} for given, expected in cases]
    return problem(public_test_cases=json.dumps(rows or [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]))


def answer(code: str, tag: str = "python") -> str:
    return f"Here it is.\n```{tag}\n{code}\n```\nThat is all."


# What it prints decides: `1 2` is to give `3`.
HOSTILE: dict[str, tuple[str, Label, Limits]] = {
    "prints nothing and ends well": ("", Label.WRONG, SMALL),
    "exits before it prints": ("raise SystemExit(0)\nprint(3)", Label.WRONG, SMALL),
    "prints it and fails": ("print(3)\nraise SystemExit(1)", Label.CRASHED, SMALL),
    "prints it and is killed": ("import os\nprint(3, flush=True)\nos.kill(os.getpid(), 9)", Label.CRASHED, SMALL),
    "prints it and goes on for ever": ("print(3, flush=True)\nwhile True: pass", Label.TIMED_OUT, SHORT),
    "prints it to stderr": ("import sys\nprint(3, file=sys.stderr)", Label.WRONG, SMALL),
    "prints it and more": ("print(3)\nprint(3)", Label.WRONG, SMALL),
    "prints verdicts": ("print('passed\\nright\\n13\\nt2:s6:passeds0:')", Label.WRONG, SMALL),
    "prints bytes that are no text": ("import sys\nsys.stdout.buffer.write(bytes([255, 254, 51]))", Label.WRONG, SMALL),
    "prints NUL": ("print('3' + chr(0))", Label.WRONG, SMALL),
    "prints a gigabyte": ("for _ in range(10**7): print('3' * 100)", Label.CRASHED, SMALL),
    "prints a line without end": ("import os\nwhile True: os.write(1, b'3' * 65536)", Label.CRASHED, SMALL),
    "waits for more input": ("print(sum(map(int, input().split())))\ninput()", Label.CRASHED, SMALL),
    "writes to its input": ("import os\nos.write(0, b'x')", Label.CRASHED, SMALL),
    "looks for what is expected": (
        "import os\n"
        "for n in range(64):\n"
        "    for at in (f'/proc/self/fd/{n}', f'/proc/1/fd/{n}'):\n"
        "        try:\n"
        "            if os.path.isfile(at) and '987654' in open(at).read(): print(987654)\n"
        "        except OSError: pass",
        Label.WRONG,
        SMALL,
    ),
    "forks, and both print": ("import os\nif os.fork(): os.wait()\nprint(3)", Label.WRONG, SMALL),
    "closes its output": ("import os\nos.closerange(0, 64)", Label.WRONG, SMALL),
    "does not compile": ("def (", Label.CRASHED, SMALL),
    "is no text": ("print('\\ud800')", Label.CRASHED, SMALL),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_contained_and_judged(name: str, sandbox: Sandbox) -> None:
    code, label, limits = HOSTILE[name]
    expected = "987654" if "987654" in code else "3"
    with nothing_left():
        judged = verdict(CodeVerifier(sandbox, limits), sums(("1 2\n", expected + "\n")), answer(code))
    assert judged.label is label, judged


def test_a_failing_case_is_named(sandbox: Sandbox) -> None:
    judged = verdict(
        CodeVerifier(sandbox, SMALL), sums(("1 2\n", "3\n"), ("2 2\n", "4\n"), ("3 4\n", "7\n")), answer("print(3)")
    )
    assert judged.label is Label.WRONG
    assert judged.detail == "case 2 of 3: line 1 is '3', not '4'"


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("3", "3\n", True),
        ("  3 \n\n", "3", True),
        ("1 2\n3", "1 2\n3\n", True),
        ("1  2", "1 2", True),  # numbers alone: how they are spelled does not count
        ("a  b", "a b", False),
        ("1.0 2e3", "1 2000", True),
        ("0.30000000000000004", "0.3", False),
        ("1\n\n2", "1\n2", False),
        ("1 2 3", "1 2", False),
        ("YES", "yes", False),
        ("", "", True),
        ("x", "", False),
        ("NaN", "NaN", True),  # as text
        ("nan 1", "NaN 1", False),
        ("Infinity 1", "inf 1", True),
        ("sNaN", "1", False),
        ("1e999999999999", "1e999999999998", False),
    ],
)
def test_outputs_are_compared_by_line_and_number(printed: str, expected: str, same: bool) -> None:
    assert (not difference(printed, expected)) is same


PROGRAMS = {
    "cpp": "#include <bits/stdc++.h>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b; }",
    "c": '#include <stdio.h>\nint main(void) { long a, b; scanf("%ld %ld", &a, &b); printf("%ld\\n", a + b); }',
    "java": "import java.util.*;\npublic class Main { public static void main(String[] a) {\n"
    "Scanner in = new Scanner(System.in); System.out.println(in.nextLong() + in.nextLong()); } }",
    "javascript": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); console.log(a + b)",
    "rust": "use std::io::*;\nfn main() { let mut s = String::new(); stdin().read_to_string(&mut s).unwrap();\n"
    'println!("{}", s.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum::<i64>()); }',
    "go": 'package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }',
}
COMPILERS = {"cpp": "g++", "c": "gcc", "java": "java", "javascript": "node", "rust": "rustc", "go": "go"}


@pytest.mark.slow
@pytest.mark.parametrize("tag", PROGRAMS)
def test_other_languages(tag: str, sandbox: Sandbox) -> None:
    command = shutil.which(COMPILERS[tag])
    if tag == "java" and "memory of each" in sandbox.holds():
        pytest.skip("a Java machine reserves more address space than a process may have where there is no cgroup")
    judged = verdict(CodeVerifier(sandbox), sums(("1 2\n", "3\n"), ("20 22\n", "42\n")), answer(PROGRAMS[tag], tag))
    if command is None or not command.startswith("/usr"):
        assert judged.label is Label.CANNOT_JUDGE
        assert f"the sandbox has no {COMPILERS[tag]}" in judged.detail
        pytest.skip(f"{COMPILERS[tag]} is not under /usr")
    assert judged.label is Label.RIGHT, judged
    wrong = verdict(CodeVerifier(sandbox), sums(("1 2\n", "4\n")), answer(PROGRAMS[tag], tag))
    assert wrong.label is Label.WRONG, wrong


@pytest.mark.parametrize("tag", ["c", "cpp"])
def test_a_small_program_is_compiled_and_run(tag: str, sandbox: Sandbox) -> None:
    if shutil.which(COMPILERS[tag]) != f"/usr/bin/{COMPILERS[tag]}":
        pytest.skip(f"needs {COMPILERS[tag]}")
    judged = verdict(CodeVerifier(sandbox), sums(("1 2\n", "3\n")), answer(PROGRAMS["c"], tag))
    assert judged.label is Label.RIGHT, judged


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_commands_of_a_language_fit_together(name: str) -> None:
    language = LANGUAGES[name]
    if language.build:
        assert language.needs[0] in language.build
        assert language.build[language.build.index("-o") + 1] == language.built
        assert language.source in language.build
        assert language.run == (f"./{language.built}",)
    else:
        assert language.source in language.run and not language.built
        assert language.run[0] == language.needs[0] or name == "python"


@pytest.mark.skipif(shutil.which("g++") != "/usr/bin/g++", reason="needs g++")
def test_what_does_not_compile_says_why(sandbox: Sandbox) -> None:
    judged = verdict(CodeVerifier(sandbox), sums(), answer("int main() { return x; }", "c++"))
    assert judged.label is Label.CRASHED
    assert "does not compile" in judged.detail
    assert "was not declared" in judged.detail


def test_python_is_asked_for_where_functions_are_called(sandbox: Sandbox) -> None:
    of_functions = problem(tests="def check(candidate):\n    assert candidate(1) == 2", entry_point="f")
    judged = verdict(CodeVerifier(sandbox), of_functions, answer("int f(int x) { return 2; }", "c"))
    assert judged.label is Label.WRONG
    assert "the code is c" in judged.detail


def test_the_problems_language_is_that_of_a_bare_block(sandbox: Sandbox) -> None:
    fields: dict[str, Any] = dict(sums().metadata) | {"language": "C++"}
    judged = verdict(CodeVerifier(sandbox), problem(**fields), answer("print(3)", ""))
    assert judged.label in (Label.CRASHED, Label.CANNOT_JUDGE)
    assert "compile" in judged.detail or "has no g++" in judged.detail
