"""What the formats' rows have in common: which trace a row is of, and conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome

COLUMNS = {
    "id": "the trace: problem, variant and sample",
    "problem_id": "the problem's id",
    "variant": "by which method and models it was written",
    "sample": "which answer to the problem it is, from 0",
    "status": "how it ended",
    "messages": "the conversation",
    "id_ddm": "the problem's id",
    "dialogs": "the conversation, the thinking inline in the last message",
    "prompt": "what stands before the answer",
    "completion": "the answer with its thinking",
    "input_ids": "token ids of the student",
    "attention_mask": "1 for each token",
    "labels": "the ids that are trained on, -100 elsewhere",
    "assistant_masks": "1 where they are",
    "author": "of each token: 0 none, 1 student, 2 teacher, 3 unknown",
    "kind": "of each token: 0 prompt, 1 style, 2 capability, 3 thinking, 4 answer, 5 marker",
    "tokenizer": "whose ids they are: a hash of the student's vocabulary",
    "system": "the system's message",
    "conversations": "the messages of user and assistant in turns",
    "response": "the whole answer with its thinking",
    "spans": "its stretches by author and kind, with the authors' own ids and each word's verdict",
    "verdicts": "what verifiers said of the answer, the newest last",
    "usage": "requests, tokens and seconds by role",
    "metadata": "the problem's other fields, as JSON",
    "reward_model": "what the answer is judged by",
}
"""What the columns hold, for people."""


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
