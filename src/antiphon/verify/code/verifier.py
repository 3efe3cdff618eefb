"""The verifier of code: runs what the answer gives in the sandbox, and judges outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown
from antiphon.verify.code.answer import Code, code_in, is_program
from antiphon.verify.code.compare import difference, same_value
from antiphon.verify.code.ending import early, ending, limited, message
from antiphon.verify.code.imports import with_imports
from antiphon.verify.code.inside import script_files
from antiphon.verify.code.inside.values import encode
from antiphon.verify.code.languages import LANGUAGES, PYTHON, Language, language_of
from antiphon.verify.code.tests import Case, Cases, FunctionTests, checks_of, suits
from antiphon.verify.sandbox import MIB, Completed, Limits, Program, Sandbox

_BUILD = Limits(cpu=60, wall=120, output=64 * MIB)


class CodeVerifier(Checker):
    """Judges programs and functions by the problem's tests (see `tests.checks_of`).

    Function tests are Python; programs that read and print may be in any of `languages.LANGUAGES`. The code is the last
    complete fenced block of the answer (see `answer.code_in`). `CRASHED` is code that does not compile, raises, ends
    early or takes more than it may, other than time. The verdict is found outside of what runs the answer's code; what
    that can still do is told by `docs/sandbox.md`.

    Args:
        sandbox: where it is run.
        limits: of each run: a case, or all function tests of a problem together.
    """

    name = "code"
    version = "1"

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None):
        self._sandbox = sandbox
        self._limits = limits or Limits()

    def require(self) -> None:
        """Makes sure that there is a sandbox, or that somebody asked to do without.

        Raises:
            UsageError: neither; the message says what to install or to allow.
        """
        self._sandbox.require()

    def suits(self, problem: Problem) -> bool:
        return suits(problem.metadata)

    async def canonical(self, problem: Problem) -> str | None:
        """The answer that the problem itself gives as right, to test its tests by; None where it gives none."""
        given = problem.metadata.get("canonical_solution") or problem.metadata.get("code")
        if not isinstance(given, str):
            return None
        stated = problem.messages[-1]["content"]
        program = stated + given if is_program(stated) else given
        return f"~~~~~~python\n{program}\n~~~~~~"

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        self.require()
        tests = checks_of(problem)
        code = code_in(answer, language_of(str(fields.get("language")).lower()) or PYTHON)
        if code is None:
            return Finding(Label.NO_ANSWER, "it holds no complete block of code")
        if code.language != PYTHON and (isinstance(tests, FunctionTests) or tests.function):
            return Finding(Label.WRONG, f"the tests call Python functions, the code is {code.language}")
        if isinstance(tests, FunctionTests):
            return await self._by_functions(tests, code.text)
        return await self._by_cases(tests, code)

    async def _by_functions(self, tests: FunctionTests, code: str) -> Finding:
        """The tests in one sandbox, the code in another, plain values between them."""
        context = {"context.py": _bytes(tests.context)}
        asking = {"tests.py": _bytes(tests.source), **context}
        asked = {"solution.py": _bytes(code), **context}
        checked, ran = await self._sandbox.run_beside(
            self._python("checker", tests.entry_point, files=asking),
            self._python("candidate", "serve", tests.entry_point, files=asked),
        )
        if found := limited(ran):  # it may have answered before that was seen
            return found
        match message(checked):
            case ["passed", _]:
                return Finding(Label.RIGHT, "", checked.seconds)
            case ["failed", str(why)]:
                return Finding(Label.WRONG, why, checked.seconds)
            case ["raised", str(why)]:
                return Finding(Label.CRASHED, why, checked.seconds)
            case ["gone", _]:
                return early(ran)
            case ["tests", str(why)]:
                raise BrokenCheck(f"the tests fail by themselves: {why}")
        if limited(checked):  # they were waiting for the code, or had too much from it
            return early(checked)
        raise BrokenCheck(f"the tests end without a finding: {ending(checked)}")

    async def _by_cases(self, tests: Cases, code: Code) -> Finding:
        """Each case in a sandbox of its own, up to the first that fails; what is expected never goes in."""
        files = await self._made(code)
        if isinstance(files, Finding):
            return files
        seconds = 0.0
        for number, case in enumerate(tests.cases, 1):
            if tests.function:
                found = await self._called(tests.function, case, files)
            else:
                found = await self._printed(LANGUAGES[code.language], case, files)
            seconds += found.seconds or 0.0
            if found.label is not Label.RIGHT:
                return Finding(found.label, f"case {number} of {len(tests.cases)}: {found.detail}", seconds)
        return Finding(Label.RIGHT, "", seconds)

    async def _printed(self, language: Language, case: Case, files: Mapping[str, bytes]) -> Finding:
        """What a program prints, against what it should."""
        command = tuple(part.format(python=self._sandbox.python) for part in language.run)
        room = replace(self._limits, output=max(self._limits.output, 4 * len(case.output)))
        done = await self._sandbox.run(Program(command, files, _bytes(case.input), room))
        if limited(done) or done.status != 0:
            return early(done)
        differs = difference(done.stdout.decode("utf-8", "replace"), case.output)
        return Finding(Label.WRONG if differs else Label.RIGHT, differs, done.seconds)

    async def _called(self, function: str, case: Case, files: Mapping[str, bytes]) -> Finding:
        """What a function gives, against what it should."""
        arguments = tuple(json.loads(line) for line in case.input.split("\n") if line.strip())
        request = encode((function, "__call__", arguments, {}), _no_number)
        asking = b"%d\n" % len(request) + request
        program = self._python("candidate", "once", function, files={**files, "context.py": b""}, stdin=asking)
        done = await self._sandbox.run(program)
        if limited(done):
            return early(done)
        return await asyncio.to_thread(_of_value, done, json.loads(case.output))  # a large one takes its time

    async def _made(self, code: Code) -> dict[str, bytes] | Finding:
        """The files to run a program by: what its compiler made of it, or its source."""
        language = LANGUAGES[code.language]
        if code.language == PYTHON:
            return {language.source: _bytes(with_imports(code.text))}
        command, package = language.needs
        there = await self._sandbox.run(Program(("sh", "-c", f"command -v {command}")))
        if there.status != 0:
            return Finding(
                Label.CANNOT_JUDGE,
                f"the code is {code.language}, and the sandbox has no {command} under /usr; apt-get install {package}",
            )
        source = {language.source: _bytes(code.text)}
        if not language.build:
            return source
        script = f'"$@" 1>&2 && cat {language.built}'
        done = await self._sandbox.run(Program(("sh", "-c", script, "sh", *language.build), source, limits=_BUILD))
        if found := limited(done):
            return found._replace(detail=f"while it was compiled: {found.detail}")
        if done.status != 0:
            return Finding(Label.CRASHED, f"does not compile: {_first_error(done.stderr)}", done.seconds)
        return {language.built: done.stdout}

    def _python(self, script: str, *arguments: str, files: Mapping[str, bytes], stdin: bytes = b"") -> Program:
        """A script of this package, run by the sandbox's Python beside files."""
        name, own = script_files(script, compiled=self._sandbox.reads_our_bytecode)
        command = (self._sandbox.python, "-B", name, *arguments)
        return Program(command, {**own, **files}, stdin, self._limits)


def _of_value(done: Completed, expected: Any) -> Finding:
    """What is found of a call, against the value that it should have given."""
    match message(done):
        case ["value", value, _]:
            if same_value(value, expected):
                return Finding(Label.RIGHT, "", done.seconds)
            return Finding(Label.WRONG, f"gave {shown(value)}, not {shown(expected)}", done.seconds)
        case ["raised", [str(name), *_], str(text)]:
            return Finding(Label.CRASHED, f"{name}: {text}", done.seconds)
    if done.status == 0 and done.stdout:
        return Finding(Label.WRONG, f"gave what JSON cannot spell, not {shown(expected)}", done.seconds)
    return early(done)


def _first_error(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _no_number(value: object) -> int:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
