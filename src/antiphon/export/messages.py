"""`messages`: conversations as TRL, the OpenAI format and most trainers take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from antiphon.problem import Problem

if TYPE_CHECKING:
    from antiphon.store import Outcome


class Messages:
    """`{"messages": [..., {"role": "assistant", "content": response}]}`, and which trace it is.

    The think markers stay in the content, as the student's dialect writes them.
    """

    name = "messages"

    def rows(self, pairs: Iterable[tuple[Problem, Outcome]]) -> Iterator[dict[str, Any]]:
        """See `Exporter.rows`."""
        for problem, outcome in pairs:
            yield {
                "id": str(outcome.key),
                "problem_id": outcome.key.problem,
                "variant": outcome.key.variant,
                "sample": outcome.key.sample,
                "status": outcome.status,
                "messages": [*problem.messages, {"role": "assistant", "content": outcome.response}],
            }

    def response(self, row: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(row["messages"][-1]["content"])
