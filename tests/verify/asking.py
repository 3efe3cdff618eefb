"""Problems to judge, and one question to a verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Verdict
from antiphon.verify.base import Verifier


def problem(text: str = "What is it?", /, **fields: Any) -> Problem:
    """A problem with these fields, as if it stood in line 3 of a file."""
    return Problem("p", ({"role": "user", "content": text},), fields, "problems.jsonl", 3)


def verdict(verifier: Verifier, problem: Problem, answer: str) -> Verdict:
    return verdicts(verifier, [(problem, answer)])[0]


def verdicts(verifier: Verifier, asked: Iterable[tuple[Problem, str]]) -> list[Verdict]:
    """The verdicts on many answers, all checked at once."""

    async def check_all() -> list[Verdict]:
        return await asyncio.gather(*(verifier.check(problem, answer) for problem, answer in asked))

    return asyncio.run(check_all())
