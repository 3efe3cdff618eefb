"""`messages`: conversations as TRL, the OpenAI format and most trainers take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.export.base import Row
from antiphon.export.columns import answered, key_of, key_schema, messages_schema
from antiphon.export.container import SUFFIXES
from antiphon.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome


class Messages:
    """`{"messages": [..., {"role": "assistant", "content": response}]}`, and which trace it is.

    The think markers stay in the content, as the student's dialect writes them.
    """

    name = "messages"
    suffixes = SUFFIXES

    def row(self, problem: Problem, outcome: Outcome) -> Row:
        """See `Exporter.row`."""
        response = outcome.response or ""
        return Row({**key_of(outcome), "messages": answered(problem, {"content": response})}, response)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(fields["messages"][-1]["content"])

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        return pyarrow.schema({**key_schema(), "messages": messages_schema()})
