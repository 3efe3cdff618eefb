"""The lab's own judge, as `antiphon verify --verifier antiphon.lab.verifier:LabVerifier` takes it."""

from __future__ import annotations

from antiphon.lab import FAMILIES, Record, is_right
from antiphon.problem import Problem
from antiphon.trace import Label, Verdict


class LabVerifier:
    """Right is an answer that gives exactly the result, in the phrases of either author or bare."""

    name = "lab"
    version = "1"

    def suits(self, problem: Problem) -> bool:
        """Whether it is one of the lab's."""
        return problem.metadata.get("family") in FAMILIES and isinstance(problem.metadata.get("answer"), str)

    async def check(self, problem: Problem, answer: str) -> Verdict:
        """See `antiphon.verify.base.Verifier`."""
        fields = problem.metadata
        question = problem.messages[-1]["content"]
        record = Record(id=problem.id, problem=question, family=fields["family"], answer=fields["answer"])
        label = Label.RIGHT if is_right(record, answer) else Label.WRONG
        return Verdict(self.name, self.version, label, "" if label is Label.RIGHT else f"not {record['answer']}")
