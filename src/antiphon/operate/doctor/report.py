"""What an examination comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Trace


class Grade(StrEnum):
    """`WARNING`: a run works, and costs more or says less than it could. `FAILURE`: it would not work."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to.

    Attributes:
        says: what is so, for people.
        advice: what to change, and where; "" where nothing is to be changed or nothing can be.
        facts: the same for programs, as JSON has it (times in milliseconds).
        check: which check it was.
    """

    grade: Grade
    says: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""


def ok(says: str, **facts: Any) -> Finding:
    """All is well."""
    return Finding(Grade.OK, says, facts=facts)


def warning(says: str, advice: str = "", **facts: Any) -> Finding:
    """A run works, but."""
    return Finding(Grade.WARNING, says, advice, facts)


def failure(says: str, advice: str = "", **facts: Any) -> Finding:
    """A run would not work."""
    return Finding(Grade.FAILURE, says, advice, facts)


@dataclass(slots=True)
class Chart:
    """The findings about one server, or about the roles together, in the order of the checks.

    Attributes:
        title: `student`, `teacher` or `together`.
        where: the model as it was named, without secrets.
    """

    title: str
    where: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def works(self) -> bool:
        """Whether nothing in it would stop a run."""
        return all(finding.grade is not Grade.FAILURE for finding in self.findings)


@dataclass(slots=True)
class Report:
    """All charts; `trace` is the one that was written, of `problem`, if it came to that."""

    charts: list[Chart] = field(default_factory=list)
    problem: Problem | None = None
    trace: Trace | None = None

    def count(self, grade: Grade) -> int:
        """How many findings have this grade."""
        return sum(finding.grade is grade for chart in self.charts for finding in chart.findings)

    @property
    def works(self) -> bool:
        """Whether a run would work."""
        return all(chart.works for chart in self.charts)
