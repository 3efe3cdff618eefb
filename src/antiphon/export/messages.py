"""`messages`, and the same conversations for axolotl and verl: what a trainer renders with a chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.export.base import Exporter, Row, Unfit
from antiphon.export.columns import answered, key_of, key_schema, messages_schema
from antiphon.export.rendering import MOVED, Rendering
from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.export.student import Student
    from antiphon.store import Outcome

SPELLED = "prompts that spell control tokens"


class Messages(Exporter):
    """`{"messages": [..., {"role": "assistant", "content": response}]}`, and which trace it is.

    The think markers stay in the content, as the student's dialect writes them, unless its chat template looks for the
    thinking in a field of its own (gpt-oss: `thinking`). With a student each row is rendered with its chat template,
    which has to give the stored response back.
    """

    def __init__(self, student: Student | None, format: str = "messages"):
        """Without a student nothing is rendered.

        Raises:
            UsageError: the student's template cannot render thinking.
        """
        self._student = student
        self.rendering = None if student is None else Rendering(student, format)

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        response = outcome.response or ""
        if self._student is None or self.rendering is None:
            return Row({**key_of(outcome), "messages": answered(problem, {"content": response})}, response)
        if not response:
            raise Unfit("nothing to train on")
        self._student.require_ordinary(response)
        reply, rendered = self.rendering.require(problem.messages, response)
        messages = answered(problem, reply)
        counts = {
            MOVED: int(rendered.response != response),
            SPELLED: int(self._student.spells_controls(problem.messages)),
        }
        return Row({**key_of(outcome), "messages": messages}, rendered.response, text=rendered.text, counts=counts)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        if self.rendering is None:
            return str(fields["messages"][-1]["content"])
        return self.rendering.render(fields["messages"]).response

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        field = None if self.rendering is None else self.rendering.field
        names = ("role", "content") if field is None else ("role", "content", field)
        return pyarrow.schema({**key_schema(), "messages": messages_schema(names)})
