"""`verl`: Parquet for verl, of which supervised training reads the conversation and reinforcement the problem."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from antiphon.dialect import Dialect, Message, text_of
from antiphon.dialect.template import first_difference
from antiphon.errors import DialectError
from antiphon.export.base import Row
from antiphon.export.columns import messages_schema
from antiphon.export.messages import Messages
from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    import pyarrow

    from antiphon.export.student import Student
    from antiphon.store import Outcome

_MARK = "\ue000"


class Verl(Messages):
    """The rows of `messages` (`data.messages_key=messages`) with verl's own columns: `data_source`, `prompt` (the
    problem's messages), `ability`, `reward_model` (`{"style": "rule", "ground_truth": the problem's answer}`) and
    `extra_info`.

    verl's supervised training renders each message alone, and templates that keep thinking in the last turn only
    (Qwen3) then leave it out. In a folder, `verl.yaml` has a template for it that writes every message as it is.
    """

    def __init__(self, student: Student | None):
        super().__init__(student, "verl")
        self._student_dialect = None if student is None else student.dialect

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        row = super().row(problem, outcome, trace)
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

    def files(self, name: str, data: Sequence[str]) -> Mapping[str, str]:
        """See `Exporter.files`."""
        paths = [f"{name}/{one}" for one in data]
        lines = [
            "# Put this into your configuration; the path is from where verl is started.",
            "data:",
            f"  train_files: {json.dumps(paths[0] if len(paths) == 1 else paths, ensure_ascii=False)}",
            "  messages_key: messages",
        ]
        template = None if self._student_dialect is None else as_it_is(self._student_dialect)
        if template is not None:
            lines += [
                "  # Each message as it is, the thinking too: verl renders each alone.",
                "  apply_chat_template_kwargs:",
                f"    chat_template: {json.dumps(template, ensure_ascii=False)}",
            ]
        return {"verl.yaml": "\n".join(lines) + "\n"}


def as_it_is(dialect: Dialect) -> str | None:
    """A chat template that frames messages as a dialect does, and changes none; None for a dialect whose replies begin
    otherwise than its earlier replies (gpt-oss)."""
    user, reply = Message(role="user", content=_MARK), Message(role="assistant", content=_MARK)
    system = Message(role="system", content=_MARK)
    try:
        one, two, three = (
            text_of(dialect.render(talk)).split(_MARK) for talk in ([user, user], [user, reply, user], [system, user])
        )
    except DialectError:
        return None
    before_user = _common_end(one[0], one[1])
    after_user = one[1].removesuffix(before_user)
    before_reply = two[1].removeprefix(after_user)
    after_reply = two[2].removesuffix(before_user)
    start = one[0].removesuffix(before_user)
    if one[2] != after_user + before_reply or not three[0].startswith(start):
        return None
    frames = {
        "user": (before_user, after_user),
        "assistant": (before_reply, after_reply),
        "system": (three[0].removeprefix(start), three[1].removesuffix(before_user)),
    }
    texts = {role: [_literal(text) for text in frame] for role, frame in frames.items()}
    cases = "".join(
        f"{{%- {'if' if number == 0 else 'elif'} message.role == '{role}' -%}}"
        f"{{{{- {before} + message.content + {after} -}}}}"
        for number, (role, (before, after)) in enumerate(texts.items())
    )
    return (
        f"{{{{- {_literal(start)} -}}}}{{%- for message in messages -%}}{cases}{{%- endif -%}}{{%- endfor -%}}"
        f"{{%- if add_generation_prompt -%}}{{{{- {_literal(before_reply)} -}}}}{{%- endif -%}}"
    )


def _common_end(one: str, other: str) -> str:
    return one[len(one) - first_difference(one[::-1], other[::-1]) :]


def _literal(text: str) -> str:
    """A text as jinja2 spells it."""
    return json.dumps(text, ensure_ascii=False)
