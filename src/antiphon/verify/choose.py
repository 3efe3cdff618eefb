"""Which verifier judges which problem."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

from antiphon.errors import AntiphonError, UsageError
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

NAMES = ("code", "sql", "choice", "schema", "regex", "math", "exact")
"""The verifiers of this package, in the order in which they are asked whether they suit a problem."""
FIELD = "verifier"
"""The field by which a problem names its verifier."""

_SPECS = (*NAMES, "sql:DATABASES", "command:PROGRAM", "package.module:Name")


def choose(problem: Problem, verifiers: Iterable[Verifier]) -> Verifier | None:
    """The verifier that judges a problem: the one that its field `verifier` names, else the first that suits it.

    A problem can name only one of those given. None: there is no such verifier, or none suits.
    """
    named = problem.metadata.get(FIELD)
    if isinstance(named, str):
        return next((verifier for verifier in verifiers if verifier.name == named), None)
    return next((verifier for verifier in verifiers if verifier.suits(problem)), None)


def verifiers(
    specs: Sequence[str] = NAMES, *, unsafe: bool = False, jobs: int | None = None, seconds: float | None = None
) -> list[Verifier]:
    """The verifiers that are named, in this order. What they share, processes for judging, is made once.

    Args:
        specs: names of `NAMES`; `sql:DATABASES` with the folder or file of databases (`SqlVerifier`);
            `command:PROGRAM ARGUMENT ...`, a program of the user's own; `package.module:Name`, a `Verifier` or what
            makes one when it is called without arguments.
        unsafe: model-written code may run without a sandbox.
        jobs: how many judgements of a kind are under way at once; unset: as many as there are cores.
        seconds: of a judgement, where the verifier's own limit does not suit.

    Raises:
        UsageError: a name that is none of these, or what it names cannot be had.
    """
    workers = Workers(jobs=jobs)
    return [_made(spec, workers, unsafe, jobs, seconds) for spec in specs]


def _made(spec: str, workers: Workers, unsafe: bool, jobs: int | None, seconds: float | None) -> Verifier:
    limit = {} if seconds is None else {"seconds": seconds}
    kind, colon, rest = spec.partition(":")
    if spec == "code":
        limits = None if seconds is None else Limits(cpu=seconds, wall=3 * seconds)
        return CodeVerifier(Sandbox(jobs, unsafe=unsafe), limits)
    if kind == "sql":
        return SqlVerifier(workers, databases=rest or None, **limit)
    if spec == "choice":
        return ChoiceVerifier()
    if spec == "schema":
        return SchemaVerifier(workers, **limit)
    if spec == "regex":
        return RegexVerifier(workers, **limit)
    if spec == "math":
        return MathVerifier(workers, **limit)
    if spec == "exact":
        return ExactVerifier()
    if kind == "command" and rest.strip():
        return CommandVerifier(rest, jobs=jobs, **limit)
    if colon and rest:
        return _own(spec)
    raise UsageError(f"there is no verifier {spec!r}; there are {', '.join(_SPECS)}")


def _own(spec: str) -> Verifier:
    """A verifier of the user's own module."""
    module, _, name = spec.partition(":")
    try:
        named = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"the verifier {spec!r} cannot be imported: {error}") from error
    try:
        made: Any = named if _is_verifier(named) and not isinstance(named, type) else named()
    except AntiphonError:
        raise
    except Exception as error:  # the user's program: whatever it raises
        raise UsageError(f"the verifier {spec!r} cannot be made: {type(error).__name__}: {error}") from error
    if not _is_verifier(made):
        raise UsageError(f"{spec!r} makes a {type(made).__name__}, not a verifier with name, version, suits and check")
    verifier: Verifier = made
    return verifier


def _is_verifier(value: Any) -> bool:
    texts = all(isinstance(getattr(value, name, None), str) for name in ("name", "version"))
    return texts and all(callable(getattr(value, name, None)) for name in ("suits", "check"))
