"""Whether a trainer that renders a conversation with the student's chat template gets the stored response."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from antiphon.dialect import Message, text_of
from antiphon.errors import DialectError, UsageError
from antiphon.export.base import Unfit
from antiphon.export.student import Student

FIELDS = (None, "reasoning_content", "thinking")
"""Where templates look for the thinking of an assistant's message: in its content, or in a field of this name."""

MOVED = "white space by a marker is the template's"

_QUESTION = Message(role="user", content="?")
_THINKING, _ANSWER = "One.\n\nTwo.", "Three."


class Rendered(NamedTuple):
    """A conversation as its template writes it: the whole text, and of that the reply, up to where its turn ends."""

    text: str
    response: str


class Rendering:
    """How an assistant's message is written so that the student's template gives the response back.

    Attributes:
        field: which of `FIELDS` it is.
    """

    def __init__(self, student: Student, format: str):
        """Tries a short response.

        Raises:
            UsageError: the student has no template, or one that cannot render thinking.
        """
        if student.template is None:
            raise UsageError(
                f"{student.name} has no chat template, which {format} needs; take prompt_completion or tokens"
            )
        self._family, self._template = student.dialect, student.template
        family = student.dialect
        opening = text_of(family.think_open)
        self._close = text_of((*family.think_close, *family.answer_open))
        self._opening = opening
        markers = [text_of(parts).strip() for parts in (family.think_open, family.think_close, family.answer_open)]
        self._marker = re.compile("|".join(re.escape(marker) for marker in markers if marker) or "(?!)")
        sample, faults = f"{opening}{_THINKING}{self._close}{_ANSWER}", []
        for field in FIELDS:
            self.field = field
            try:
                self.require([_QUESTION], sample)
                return
            except Unfit as fault:
                faults.append(str(fault))
        raise UsageError(
            f"{student.name}: {format} would lose the thinking: {faults[0]}; take prompt_completion or tokens, or"
            " tessy, which no template renders"
        )

    def reply(self, response: str) -> dict[str, str]:
        """The assistant's message, without its role."""
        thinking, close, answer = response.removeprefix(self._opening).partition(self._close)
        if self.field is None or not close or not response.startswith(self._opening):
            return {"content": response}
        return {"content": answer, self.field: thinking}

    def require(self, messages: Sequence[Message], response: str) -> tuple[dict[str, str], Rendered]:
        """The assistant's message, and what the template makes of it.

        Raises:
            Unfit: that is not the response, by more than white space next to the markers.
        """
        reply = self.reply(response)
        rendered = self.render([*messages, {"role": "assistant", **reply}])
        if rendered.response != response and self._sections(rendered.response) != self._sections(response):
            thinking = response.removeprefix(self._opening).partition(self._close)[0]
            lost = thinking.strip() not in rendered.response
            raise Unfit(f"the chat template {'leaves the thinking out' if lost else 'changes the text'}")
        return reply, rendered

    def render(self, messages: Sequence[Mapping[str, Any]]) -> Rendered:
        """A conversation with its reply, as a trainer renders it; fields that are None are left out.

        Raises:
            Unfit: the template refuses the conversation, or writes another prompt before the reply.
        """
        said = [{name: text for name, text in message.items() if text is not None} for message in messages]
        try:
            text = self._template.render(said, reply=False)
            prompt = text_of(self._family.render([_plain(message) for message in said[:-1]]))
        except DialectError:
            raise Unfit("the chat template refuses the conversation") from None
        if not text.startswith(prompt):
            raise Unfit("the chat template writes the prompt otherwise")
        end = max((text.rfind(end, len(prompt)) for end in self._family.ends), default=-1)
        return Rendered(text, text[len(prompt) :] if end < 0 else text[len(prompt) : end])

    def _sections(self, response: str) -> list[str]:
        return [section.strip() for section in self._marker.split(response)]


def _plain(message: Mapping[str, Any]) -> Message:
    return Message(role=message["role"], content=message["content"])
