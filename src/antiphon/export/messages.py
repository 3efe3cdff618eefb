"""`messages`: conversations as TRL, the OpenAI format and most trainers take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Trace


class Messages:
    """`{"messages": [..., {"role": "assistant", "content": response}]}`, and which trace it is.

    The think markers stay in the content, as the student's dialect writes them.
    """

    name = "messages"

    def rows(self, pairs: Iterable[tuple[Problem, Trace]]) -> Iterator[dict[str, Any]]:
        """See `Exporter.rows`."""
        for problem, trace in pairs:
            yield {
                "id": str(trace.key),
                "problem_id": trace.key.problem,
                "variant": trace.key.variant,
                "sample": trace.key.sample,
                "status": trace.status,
                "messages": [*problem.messages, {"role": "assistant", "content": trace.response}],
            }

    def response(self, row: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(row["messages"][-1]["content"])
