"""`verl`: Parquet for verl, of which supervised training reads the conversation and reinforcement the problem."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from antiphon.export.base import Row
from antiphon.export.columns import messages_schema
from antiphon.export.messages import Messages
from antiphon.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from antiphon.export.student import Student
    from antiphon.store import Outcome


class Verl(Messages):
    """The rows of `messages` (`data.messages_key=messages`) with verl's own columns: `data_source`, `prompt` (the
    problem's messages), `ability`, `reward_model` (`{"style": "rule", "ground_truth": the problem's answer}`) and
    `extra_info`."""

    def __init__(self, student: Student | None):
        super().__init__(student, "verl")

    def row(self, problem: Problem, outcome: Outcome) -> Row:
        """See `Exporter.row`."""
        row = super().row(problem, outcome)
        metadata = problem.metadata
        answer = metadata.get("answer", "")
        row.fields.update(
            data_source=str(metadata.get("data_source", problem.source)),
            prompt=[dict(message) for message in problem.messages],
            ability=str(metadata.get("ability", metadata.get("domain", ""))),
            reward_model={
                "style": "rule",
                "ground_truth": answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False),
            },
            extra_info={"id": str(outcome.key), "index": problem.line, "split": "train"},
        )
        return row

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        text = pyarrow.string()
        schema = super().schema()
        for name, kind in {
            "data_source": text,
            "prompt": messages_schema(),
            "ability": text,
            "reward_model": pyarrow.struct({"style": text, "ground_truth": text}),
            "extra_info": pyarrow.struct({"id": text, "index": pyarrow.int64(), "split": text}),
        }.items():
            schema = schema.append(pyarrow.field(name, kind))
        return schema
