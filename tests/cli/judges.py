"""Verifiers for tests of the command, as `--verifier tests.cli.judges:Name`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.trace import Label, Verdict


def _note(checked: str) -> None:
    if "CHECKED" in os.environ:
        with Path(os.environ["CHECKED"]).open("a") as file:
            file.write(f"{checked}\n")


class Number:
    """Right is an answer with the problem's `answer` as its only number. Each check is a line in the file that
    `CHECKED` names; after as many as `CHECKS` says it says "waiting" and never ends."""

    name = "number"
    version = "1"

    def __init__(self) -> None:
        self._left = int(os.environ.get("CHECKS", "-1"))

    def suits(self, problem: Problem) -> bool:
        return "answer" in problem.metadata

    async def check(self, problem: Problem, answer: str) -> Verdict:
        if self._left == 0:
            print("waiting", file=sys.stderr, flush=True)
            await asyncio.Event().wait()
        self._left -= 1
        _note(f"{problem.id} {answer}")
        numbers = [word.strip(".") for word in answer.split() if word.strip(".").isdecimal()]
        right = numbers == [str(problem.metadata["answer"])]
        return Verdict(self.name, self.version, Label.RIGHT if right else Label.WRONG, f"{numbers}")


class Broken(Number):
    """Cannot judge."""

    async def check(self, problem: Problem, answer: str) -> Verdict:
        return Verdict(self.name, self.version, Label.CANNOT_JUDGE, f"{problem.place}: its tests are broken")


class Lacking(Number):
    """Needs what is not here."""

    def require(self) -> None:
        raise UsageError("the judge needs a robe; install it with: tailor")


class Contrary(Number):
    """Calls everything wrong."""

    name = "contrary"

    async def check(self, problem: Problem, answer: str) -> Verdict:
        return Verdict(self.name, self.version, Label.WRONG)
