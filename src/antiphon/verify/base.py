"""The contract of a verifier."""

from __future__ import annotations

from typing import Protocol

from antiphon.problem import Problem
from antiphon.trace import Verdict


class Verifier(Protocol):
    """Judges answers of one kind.

    `name` and `version` stand in each of its verdicts; the version grows when a verdict could come out otherwise.

    It may have two methods more. `async canonical(problem) -> str | None` gives the problem's own right answer, as a
    model would give it: that is judged before the first answer to the problem, and where it is not right the problem's
    answers are `CANNOT_JUDGE`. `require()` raises a `UsageError` where this machine lacks what it needs, so that it is
    known before a token is spent.
    """

    name: str
    version: str

    def suits(self, problem: Problem) -> bool:
        """Whether the problem's metadata hold what this verifier judges by; a look at names and shapes."""
        ...

    async def check(self, problem: Problem, answer: str) -> Verdict:
        """The verdict on the final answer (what follows the thinking, without markers).

        Any number of checks may be under way; how many work at once is the verifier's own affair. Whatever the answer
        holds or does, there is a verdict. Where the problem's own check is at fault it is `CANNOT_JUDGE`, with the
        reason and the problem's place. A check that is cancelled leaves nothing running.

        Raises:
            UsageError: what is needed to judge is missing on this machine; the message says what to install or allow.
        """
        ...
