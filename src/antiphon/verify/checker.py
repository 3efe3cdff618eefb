"""What the verifiers of this package have in common: from a finding to a verdict, and whose fault a failure is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from time import monotonic
from typing import Any, ClassVar, NamedTuple

from antiphon.errors import MissingDependency
from antiphon.problem import Problem
from antiphon.trace import Label, Verdict
from antiphon.verify.workers import Stopped

_LONGEST = 300  # characters of a detail


class Finding(NamedTuple):
    """What was found of an answer: the label, a line of detail, and the seconds it took without waiting for a turn
    (None: no turn was waited for)."""

    label: Label
    detail: str = ""
    seconds: float | None = None


class BrokenCheck(Exception):
    """The problem's own check is at fault. The text says how, without the problem's place."""


class Checker(ABC):
    """A `Verifier` that says in `_judge` what it found.

    `needs` are the libraries it judges with, of the extra `verify`: what they are called when imported, and installed.
    """

    name: str
    version: str
    needs: ClassVar[Mapping[str, str]] = {}

    def require(self) -> None:
        """Sees that what is needed to judge is there.

        Raises:
            MissingDependency: it is not.
        """
        for module, library in self.needs.items():
            if find_spec(module) is None:
                raise MissingDependency(library, "verify", f"the verifier {self.name}")

    @abstractmethod
    def suits(self, problem: Problem) -> bool:
        """As `Verifier.suits`."""

    @abstractmethod
    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        """Judges an answer that is not blank by the problem's metadata, `fields`.

        Raises:
            BrokenCheck: the problem is at fault.
            Stopped: judging took more time or memory than it may have, and the answer is to blame.
            UsageError: what is needed to judge is missing on this machine.
        """

    async def check(self, problem: Problem, answer: str) -> Verdict:
        """As `Verifier.check`."""
        self.require()
        began = monotonic()
        if not answer.strip():
            found = Finding(Label.NO_ANSWER, "the answer is empty")
        else:
            try:
                found = await self._judge(problem.metadata, problem, answer)
            except BrokenCheck as error:
                found = Finding(Label.CANNOT_JUDGE, f"{place(problem)}: {error}")
            except Stopped as error:
                found = Finding(error.label, str(error))
        seconds = monotonic() - began if found.seconds is None else found.seconds
        return Verdict(self.name, self.version, found.label, one_line(found.detail), seconds)


def place(problem: Problem) -> str:
    """What messages call a problem: its file and line, or its id where it was made in memory."""
    return problem.place or f"problem {problem.id!r}"


def one_line(text: str) -> str:
    """Text as a verdict's detail: one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def shown(value: Any) -> str:
    """A value within a detail."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, lists in lists
        text = f"a {type(value).__name__} too large to show"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
