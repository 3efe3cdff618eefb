"""What the formats' rows have in common: which trace a row is of, and conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome


def key_of(outcome: Outcome) -> dict[str, Any]:
    """Which trace a row is of."""
    return {
        "id": str(outcome.key),
        "problem_id": outcome.key.problem,
        "variant": outcome.key.variant,
        "sample": outcome.key.sample,
        "status": outcome.status,
    }


def key_schema() -> dict[str, pyarrow.DataType]:
    """The columns of `key_of` in Parquet."""
    import pyarrow

    text = pyarrow.string()
    return {"id": text, "problem_id": text, "variant": text, "sample": pyarrow.int64(), "status": text}


def answered(problem: Problem, reply: Mapping[str, str]) -> list[dict[str, str]]:
    """The problem's conversation with the assistant's message at its end."""
    earlier = [{"role": message["role"], "content": message["content"]} for message in problem.messages]
    return [*earlier, {"role": "assistant", **reply}]


def messages_schema(fields: Sequence[str] = ("role", "content")) -> pyarrow.DataType:
    """A list of messages with these fields, each a text."""
    import pyarrow

    return pyarrow.list_(pyarrow.struct([(name, pyarrow.string()) for name in fields]))
