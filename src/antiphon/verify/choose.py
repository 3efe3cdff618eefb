"""Which verifier judges which problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from antiphon import own
from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.verify.base import Verifier
from antiphon.verify.choice import ChoiceVerifier
from antiphon.verify.code import CodeVerifier
from antiphon.verify.command import CommandVerifier
from antiphon.verify.math import MathVerifier
from antiphon.verify.sandbox import Limits, Sandbox
from antiphon.verify.schema import SchemaVerifier
from antiphon.verify.sql import SqlVerifier
from antiphon.verify.text import ExactVerifier, RegexVerifier
from antiphon.verify.workers import Workers

FIELD = "verifier"
"""The field by which a problem names its verifier."""


class Given(NamedTuple):
    """What the verifiers of a run are made with.

    Attributes:
        workers: the processes that they share.
        jobs: how many judgements of a kind are under way at once.
        unsafe: whether programs may run without a sandbox.
        seconds: of a judgement, where the verifier's own limit does not suit.
    """

    workers: Workers
    jobs: int | None
    unsafe: bool
    seconds: float | None

    @property
    def limit(self) -> dict[str, float]:
        """`seconds` as an argument, where they are given."""
        return {} if self.seconds is None else {"seconds": self.seconds}

    @property
    def limits(self) -> Limits | None:
        """The same of a program, which may wait longer than it may compute."""
        return None if self.seconds is None else Limits(cpu=self.seconds, wall=3 * self.seconds)


VERIFIERS: dict[str, Callable[[Given], Verifier]] = {
    "code": lambda given: CodeVerifier(Sandbox(given.jobs, unsafe=given.unsafe), given.limits),
    "sql": lambda given: SqlVerifier(given.workers, databases=None, **given.limit),
    "choice": lambda given: ChoiceVerifier(),
    "schema": lambda given: SchemaVerifier(given.workers, **given.limit),
    "regex": lambda given: RegexVerifier(given.workers, **given.limit),
    "math": lambda given: MathVerifier(given.workers, **given.limit),
    "exact": lambda given: ExactVerifier(),
}
"""The verifiers of this package by name, in the order in which they are asked whether they suit a problem."""

_OF_SOMETHING: dict[str, Callable[[Given, str], Verifier]] = {
    "sql": lambda given, place: SqlVerifier(given.workers, databases=place, **given.limit),
    "command": lambda given, program: CommandVerifier(program, jobs=given.jobs, **given.limit),
}
"""Those that a name with something behind a colon makes."""

_SPECS = (*VERIFIERS, "sql:DATABASES", "command:PROGRAM", "package.module:Name")


def choose(problem: Problem, verifiers: Iterable[Verifier]) -> Verifier | None:
    """The verifier that judges a problem: the one that its field `verifier` names, else the first that suits it.

    A problem can name only one of those given. None: there is no such verifier, or none suits.
    """
    named = problem.metadata.get(FIELD)
    if isinstance(named, str):
        return next((verifier for verifier in verifiers if verifier.name == named), None)
    return next((verifier for verifier in verifiers if verifier.suits(problem)), None)


def verifiers(
    specs: Iterable[str] = VERIFIERS, *, unsafe: bool = False, jobs: int | None = None, seconds: float | None = None
) -> list[Verifier]:
    """The verifiers that are named, in this order. What they share, processes for judging, is made once.

    Args:
        specs: names of `VERIFIERS`; `sql:DATABASES` with the folder or file of databases (`SqlVerifier`);
            `command:PROGRAM ARGUMENT ...`, a program of the user's own; `package.module:Name`, a `Verifier` or what
            makes one when it is called without arguments.
        unsafe: model-written code may run without a sandbox.
        jobs: how many judgements of a kind are under way at once; unset: as many as there are cores.
        seconds: of a judgement, where the verifier's own limit does not suit.

    Raises:
        UsageError: a name that is none of these, or what it names cannot be had.
    """
    given = Given(Workers(jobs=jobs), jobs, unsafe, seconds)
    return [_made(spec, given) for spec in specs]


def is_verifier(value: Any) -> bool:
    """Whether this keeps the contract of `Verifier`, as far as its attributes tell; a class does not."""
    texts = all(isinstance(getattr(value, name, None), str) for name in ("name", "version"))
    calls = all(callable(getattr(value, name, None)) for name in ("suits", "check"))
    return texts and calls and not isinstance(value, type)


def _made(spec: str, given: Given) -> Verifier:
    if spec in VERIFIERS:
        return VERIFIERS[spec](given)
    kind, _, rest = spec.partition(":")
    if kind in _OF_SOMETHING and rest.strip():
        return _OF_SOMETHING[kind](given, rest)
    if rest and kind not in _OF_SOMETHING:
        return _own(spec)
    raise UsageError(f"there is no verifier {spec!r}; there are {', '.join(_SPECS)}")


def _own(spec: str) -> Verifier:
    """A verifier of the user's own module."""
    what = f"the verifier {spec!r}"
    found: Any = own.named(spec, what, UsageError)
    made: Any = found if is_verifier(found) else own.made(found, what, UsageError)
    if not is_verifier(made):
        raise UsageError(f"{spec!r} makes a {type(made).__name__}, not a verifier with name, version, suits and check")
    verifier: Verifier = made
    return verifier
