"""`tessy`: the shape of the TESSY authors' data sets, for code that reads those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.store import Outcome


class Tessy:
    """`{"id_ddm": problem, "dialogs": [{"role", "content"}, ...]}`, the thinking inline in the last content.

    The shape has no place for variant and sample: several samples of a problem share its `id_ddm`.
    """

    name = "tessy"

    def rows(self, pairs: Iterable[tuple[Problem, Outcome]]) -> Iterator[dict[str, Any]]:
        """See `Exporter.rows`."""
        for problem, outcome in pairs:
            reply = {"role": "assistant", "content": outcome.response}
            yield {"id_ddm": outcome.key.problem, "dialogs": [*problem.messages, reply]}

    def response(self, row: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(row["dialogs"][-1]["content"])
