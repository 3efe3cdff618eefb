"""`axolotl`: the rows of `messages`, and what axolotl's configuration says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from antiphon.export.base import together
from antiphon.export.messages import Messages
from antiphon.export.student import Student


class Axolotl(Messages):
    """As `messages`. In a folder `axolotl.yaml` is the part of a configuration that names the data."""

    def __init__(self, student: Student | None):
        super().__init__(student, "axolotl")

    def files(self, name: str, data: Sequence[str]) -> Mapping[str, str]:
        """See `Exporter.files`."""
        lines = [
            "# Put this into your configuration; the path is from where axolotl is started.",
            "datasets:",
            f"  - path: {json.dumps(f'{name}/{together(data)}')}",
            f"    ds_type: {'parquet' if data[0].endswith('.parquet') else 'json'}",
            "    type: chat_template",
            "    field_messages: messages",
            "    message_property_mappings:",
            "      role: role",
            "      content: content",
            "    roles_to_train: [assistant]",
            "    train_on_eos: turn",
            "chat_template: tokenizer_default",
            "train_on_inputs: false",
        ]
        field = None if self.rendering is None else self.rendering.field
        if field is not None:
            lines.insert(-2, f"    template_thinking_key: {field}")
            lines.insert(-2, f"    field_thinking: {field}")
        return {"axolotl.yaml": "\n".join(lines) + "\n"}
