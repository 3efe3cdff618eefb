"""`tessy`: the shape of the TESSY authors' data sets, for code that reads those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antiphon.export.base import Exporter, Row
from antiphon.export.columns import answered, messages_schema
from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome


class Tessy(Exporter):
    """`{"id_ddm": problem, "dialogs": [{"role", "content"}, ...]}`, the thinking inline in the last content.

    The shape has no place for variant and sample: several samples of a problem share its `id_ddm`.
    """

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        response = outcome.response or ""
        return Row({"id_ddm": outcome.key.problem, "dialogs": answered(problem, {"content": response})}, response)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(fields["dialogs"][-1]["content"])

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        return pyarrow.schema({"id_ddm": pyarrow.string(), "dialogs": messages_schema()})
