"""`tessy`: the shape of the TESSY authors' data sets, for code that reads those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Trace


class Tessy:
    """`{"id_ddm": problem, "dialogs": [{"role", "content"}, ...]}`, the thinking inline in the last content.

    The shape has no place for variant and sample: several samples of a problem share its `id_ddm`.
    """

    name = "tessy"

    def rows(self, pairs: Iterable[tuple[Problem, Trace]]) -> Iterator[dict[str, Any]]:
        """See `Exporter.rows`."""
        for problem, trace in pairs:
            reply = {"role": "assistant", "content": trace.response}
            yield {"id_ddm": trace.key.problem, "dialogs": [*problem.messages, reply]}

    def response(self, row: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(row["dialogs"][-1]["content"])
