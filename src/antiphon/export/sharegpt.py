"""`sharegpt`: conversations as LLaMA-Factory takes them, which renders them with templates of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.export.base import Exporter, Row, Unfit, together
from antiphon.export.columns import key_of, key_schema
from antiphon.export.messages import SPELLED
from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.export.student import Student
    from antiphon.store import Outcome

_FROM = {"user": "human", "assistant": "gpt"}
_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}


class ShareGPT(Exporter):
    """`{"system": text, "conversations": [{"from": "human" | "gpt", "value": text}, ...]}`, the thinking inline.

    LLaMA-Factory wants the two in turns; other conversations are left out. In a folder `dataset_info.json` tells it of
    the data set, which is called as the folder is.
    """

    def __init__(self, student: Student | None):
        self._student = student

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        response = outcome.response or ""
        counts = {}
        if self._student is not None:
            if not response:
                raise Unfit("nothing to train on")
            self._student.require_ordinary(response)
            counts = {SPELLED: int(self._student.spells_controls(problem.messages))}
        messages = list(problem.messages)
        system = messages.pop(0)["content"] if messages and messages[0]["role"] == "system" else ""
        roles = [message["role"] for message in messages]
        if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
            raise Unfit("user and assistant do not take turns")
        said = [{"from": _FROM[message["role"]], "value": message["content"]} for message in messages]
        talk = [*said, {"from": "gpt", "value": response}]
        return Row({**key_of(outcome), "system": system, "conversations": talk}, response, counts=counts)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return str(fields["conversations"][-1]["value"])

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        text = pyarrow.string()
        talk = pyarrow.list_(pyarrow.struct([("from", text), ("value", text)]))
        return pyarrow.schema({**key_schema(), "system": text, "conversations": talk})

    def files(self, name: str, data: Sequence[str]) -> Mapping[str, str]:
        """See `Exporter.files`."""
        columns = {"messages": "conversations", "system": "system"}
        about = {name: {"file_name": together(data), "formatting": "sharegpt", "columns": columns, "tags": _TAGS}}
        return {"dataset_info.json": json.dumps(about, indent=2, ensure_ascii=False) + "\n"}
