"""`prompt_completion`: two texts that a trainer joins, the prompt as the student's dialect writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.dialect import text_of
from antiphon.export.base import Exporter, Row, Unfit
from antiphon.export.columns import key_of, key_schema
from antiphon.export.messages import SPELLED
from antiphon.export.student import Student
from antiphon.problem import Problem
from antiphon.trace import Status, Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome


class PromptCompletion(Exporter):
    """`{"prompt": text, "completion": text}`: no chat template is needed, nor can one leave the thinking out.

    Where the prompt opens the thinking (DeepSeek-R1), the opening stands at its end and not in the completion. A
    complete answer has the control token that ends a turn behind it. A start token that the tokenizer adds by itself
    is in neither.
    """

    def __init__(self, student: Student):
        self._student = student
        vocabulary = student.vocabulary
        starts = [token for token, id in vocabulary.controls.items() if id == vocabulary.start_id]
        self._start = starts[0] if starts else ""

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        response = outcome.response or ""
        self._student.require_ordinary(response)
        parts, completion = self._student.prompt(problem.messages, response)
        if not completion:
            raise Unfit("nothing to train on")
        if outcome.status is Status.COMPLETE:
            completion += self._student.end
        prompt = text_of(parts)
        counts = {SPELLED: int(self._student.spells_controls(problem.messages))}
        fields = {**key_of(outcome), "prompt": prompt.removeprefix(self._start), "completion": completion}
        return Row(fields, response, text=prompt + completion, counts=counts)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        opening = text_of(self._student.dialect.think_open)
        opened = self._student.dialect.prompt_opens_thinking and fields["prompt"].endswith(opening)
        completion: str = fields["completion"]
        return (opening if opened else "") + completion.removesuffix(self._student.end)

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        return pyarrow.schema({**key_schema(), "prompt": pyarrow.string(), "completion": pyarrow.string()})
