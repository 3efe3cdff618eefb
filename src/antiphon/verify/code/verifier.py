"""The verifier of code: runs what the answer gives in the sandbox, and judges outside."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.problem import Problem
from antiphon.trace import Label, Verdict
from antiphon.verify.code.answer import Code, code_in, is_program
from antiphon.verify.code.compare import difference, same_value
from antiphon.verify.code.inside.values import Unfit, decode, encode
from antiphon.verify.code.languages import LANGUAGES, PYTHON, Language, language_of
from antiphon.verify.code.tests import BrokenTests, Cases, FunctionTests, suits, tests_of
from antiphon.verify.sandbox import MIB, Completed, Limits, Program, Sandbox

_INSIDE = {path.name: path.read_bytes() for path in (Path(__file__).parent / "inside").glob("*.py")}
_BUILD = Limits(cpu=60, wall=120, output=64 * MIB)

# What LiveCodeBench imports before every answer, here only where one of the names is used.
_IMPORTS = {
    "typing": "List Dict Set Tuple Optional Union Any Callable Iterable Iterator",
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "functools": "cache cmp_to_key lru_cache reduce",
    "itertools": "accumulate chain combinations count groupby pairwise permutations product",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "bisect": "bisect bisect_left bisect_right insort",
    "math": "ceil comb factorial floor gcd inf lcm log2 sqrt",
    "sys": "",
    "re": "",
    "string": "",
    "random": "",
    "operator": "",
}


class Finding(NamedTuple):
    """A label and why, without whose it is."""

    label: Label
    detail: str = ""


class CodeVerifier:
    """Judges programs and functions by the problem's tests (see `tests.tests_of`).

    Function tests are Python; programs that read and print may be in any of `languages.LANGUAGES`. The code is the last
    complete fenced block of the answer (see `answer.code_in`). The verdict is found outside of what runs the answer's
    code; what that can still do is told by `docs/sandbox.md`.

    Args:
        sandbox: where it is run.
        limits: of each run: a case, or all function tests of a problem together.
    """

    name = "code"
    version = "1"

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None):
        self._sandbox = sandbox
        self._limits = limits or Limits()

    def suits(self, problem: Problem) -> bool:
        """Whether the problem has tests of code."""
        return suits(problem)

    async def check(self, problem: Problem, answer: str) -> Verdict:
        """The verdict: `CRASHED` where the code does not compile, raises, ends early or passes a limit other than
        that on time, `WRONG` where what it gives is not what is expected.

        Raises:
            UsageError: there is no sandbox, and nobody asked to do without.
        """
        self._sandbox.require()
        began = time.monotonic()
        label, detail = await self._find(problem, answer)
        return Verdict(self.name, self.version, label, _line(detail, 500), time.monotonic() - began)

    async def canonical(self, problem: Problem) -> str | None:
        """The answer that the problem itself gives as right, to test its tests by; None where it gives none."""
        return canonical(problem)

    async def _find(self, problem: Problem, answer: str) -> Finding:
        try:
            tests = tests_of(problem)
        except BrokenTests as error:
            return Finding(Label.CANNOT_JUDGE, f"{problem.place or problem.id}: {error}")
        code = code_in(answer, language_of(str(problem.metadata.get("language")).lower()) or PYTHON)
        if code is None:
            return Finding(Label.NO_ANSWER, "the answer holds no complete block of code")
        functions = isinstance(tests, FunctionTests) or tests.function
        if functions and code.language != PYTHON:
            return Finding(Label.WRONG, f"the tests call Python functions, the code is {code.language}")
        if isinstance(tests, FunctionTests):
            found = await self._by_functions(tests, code.text)
        else:
            found = await self._by_cases(tests, code)
        if found.label is Label.CANNOT_JUDGE:
            return Finding(found.label, f"{problem.place or problem.id}: {found.detail}")
        return found

    async def _by_functions(self, tests: FunctionTests, code: str) -> Finding:
        """The tests in one sandbox, the code in another, plain values between them."""
        context = {"context.py": _bytes(tests.context)}
        asking = {"tests.py": _bytes(tests.source), **context}
        asked = {"solution.py": _bytes(code), **context}
        checked, ran = await self._sandbox.run_beside(
            self._python("checker.py", tests.entry_point, files=asking),
            self._python("candidate.py", "serve", tests.entry_point, files=asked),
        )
        how, why = _finding(checked.stdout)
        match how:
            case "passed":
                return Finding(Label.RIGHT)
            case "failed":
                return Finding(Label.WRONG, why)
            case "raised":
                return Finding(Label.CRASHED, why)
            case "tests":
                return Finding(Label.CANNOT_JUDGE, f"the tests fail by themselves: {why}")
            case "gone":
                return _ended(ran) or Finding(Label.CRASHED, _ending(ran))
        if checked.timed_out or checked.out_of_memory or checked.cut:
            return _ended(ran) or _ended(checked) or Finding(Label.CRASHED)
        return Finding(Label.CANNOT_JUDGE, f"the tests end without a finding: {_ending(checked)}")

    async def _by_cases(self, tests: Cases, code: Code) -> Finding:
        """Each case in a sandbox of its own; what is expected never goes in."""
        if not tests.function and code.language != PYTHON:
            built = await self._built(code)
            if isinstance(built, Finding):
                return built
        else:
            built = {"solution.py": _bytes(_with_imports(code.text)), "context.py": b""}
        for number, case in enumerate(tests.cases, 1):
            if tests.function:
                found = await self._call(tests.function, case.input, case.output, built)
            else:
                command = tuple(part.format(python=self._sandbox.python) for part in LANGUAGES[code.language].run)
                program = Program(command, built, _bytes(case.input), self._limits)
                found = _printed(await self._sandbox.run(program), case.output)
            if found.label is not Label.RIGHT:
                return Finding(found.label, f"case {number} of {len(tests.cases)}: {found.detail}")
        return Finding(Label.RIGHT)

    async def _call(self, function: str, given: str, expected: str, files: dict[str, bytes]) -> Finding:
        """One call of a function."""
        arguments = tuple(json.loads(line) for line in given.split("\n") if line.strip())
        request = encode((function, "__call__", arguments, {}), _no_number)
        stdin = b"%d\n" % len(request) + request
        done = await self._sandbox.run(self._python("candidate.py", "once", function, files=files, stdin=stdin))
        if ended := _ended(done):
            return ended
        match _message(done.stdout):
            case ["value", value, _]:
                wanted = json.loads(expected) if expected.strip() else None
                right = same_value(value, wanted)
                return (
                    Finding(Label.RIGHT)
                    if right
                    else Finding(Label.WRONG, f"gave {_short(value)}, not {_short(wanted)}")
                )
            case ["raised", [str(name), *_], str(text)]:
                return Finding(Label.CRASHED, f"{name}: {text}")
        return Finding(Label.CRASHED, _ending(done))

    async def _built(self, code: Code) -> dict[str, bytes] | Finding:
        """The files to run a program by: what its compiler made, or its source."""
        language = LANGUAGES[code.language]
        missing = await self._missing(language)
        if missing:
            return Finding(Label.CANNOT_JUDGE, missing)
        source = {language.source: _bytes(code.text)}
        if not language.build:
            return source
        script = f'"$@" 1>&2 && cat {language.built}'
        done = await self._sandbox.run(Program(("sh", "-c", script, "sh", *language.build), source, limits=_BUILD))
        if ended := _ended(done):
            return Finding(ended.label, f"while it was compiled: {ended.detail}")
        if done.status != 0:
            return Finding(Label.CRASHED, f"does not compile: {_first_error(done.stderr)}")
        return {language.built: done.stdout}

    async def _missing(self, language: Language) -> str:
        command, package = language.needs
        done = await self._sandbox.run(Program(("sh", "-c", f"command -v {command}")))
        if done.status == 0:
            return ""
        return f"the answer needs {command}, which the sandbox does not find under /usr; apt-get install {package}"

    def _python(self, script: str, *arguments: str, files: dict[str, bytes], stdin: bytes = b"") -> Program:
        """A program of this package's, run by the sandbox's Python beside files."""
        own = {name: _INSIDE[name] for name in ("values.py", script)}
        return Program((self._sandbox.python, "-B", script, *arguments), {**own, **files}, stdin, self._limits)


def canonical(problem: Problem) -> str | None:
    """The answer that a problem gives as right: `canonical_solution`, or `code` as in MBPP's own rows."""
    given = problem.metadata.get("canonical_solution") or problem.metadata.get("code")
    if not isinstance(given, str):
        return None
    stated = problem.messages[-1]["content"]
    program = given if not is_program(stated) else stated + given
    return f"~~~~~~python\n{program}\n~~~~~~"


def _printed(done: Completed, expected: str) -> Finding:
    if ended := _ended(done):
        return ended
    if done.status != 0:
        return Finding(Label.CRASHED, _ending(done))
    differs = difference(done.stdout.decode("utf-8", "replace"), expected)
    return Finding(Label.WRONG, differs) if differs else Finding(Label.RIGHT)


def _ended(done: Completed) -> Finding | None:
    """What a limit says, if one ended it."""
    if done.timed_out:
        return Finding(Label.TIMED_OUT, f"no end after {done.seconds:.1f} s")
    if done.out_of_memory:
        return Finding(Label.CRASHED, "took more memory than allowed")
    if done.cut:
        return Finding(Label.CRASHED, "printed more than allowed")
    return None


def _ending(done: Completed) -> str:
    """How a program ended that should have gone on."""
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"ended with status {done.status}" + (f": {last}" if last else "")


def _first_error(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _message(stdout: bytes) -> Any:
    """The value of the message that a program of ours left; None where it left none."""
    length, _, message = stdout.partition(b"\n")
    try:
        return decode(message, _Object) if length == b"%d" % len(message) else None
    except Unfit:
        return None


def _finding(stdout: bytes) -> tuple[str, str]:
    match _message(stdout):
        case [str(how), str(why)]:
            return how, why
    return "", ""


class _Object:
    """An object that is not plain, and so equals nothing."""

    def __init__(self, number: int):
        pass

    def __repr__(self) -> str:
        return "an object"


def _no_number(value: object) -> int:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _with_imports(code: str) -> str:
    if "from __future__" in code:
        return code
    words = set(re.findall(r"\w+", code))
    lines = [f"import {module}" for module in _IMPORTS if module in words]
    lines += [f"from {module} import *" for module, names in _IMPORTS.items() if words & set(names.split())]
    return "\n".join([*lines, code])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _short(value: object) -> str:
    return _line(repr(value), 100)


def _line(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
