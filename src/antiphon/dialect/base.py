"""The contract of a dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict


class Message(TypedDict):
    """One message of a conversation: role is system, user or assistant."""

    role: str
    content: str


class Part(NamedTuple):
    """A stretch of a prompt: a control token by its spelling, or ordinary text.

    Ordinary text stays ordinary: a control token spelled inside it is encoded as plain letters.
    """

    text: str
    control: bool = False


def text_of(parts: Iterable[Part]) -> str:
    """The parts as they would be read, control tokens spelled out."""
    return "".join(part.text for part in parts)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family.

    `render` gives the prompt up to the place where the assistant's reply begins, without the thinking's opening.
    `think_open` comes next (`prompt_opens_thinking` says whether the family's own template writes it, as DeepSeek-R1's
    does). `think_close` closes the thinking: `close_token` is the control token by which the model itself closes it, or
    `close_text` the text where it has no such token (exactly one of the two is set). `answer_open` stands between the
    close and the answer. `ends` are the control tokens that end a turn.
    """

    name: str
    render: Callable[[Sequence[Message]], tuple[Part, ...]]
    think_open: tuple[Part, ...]
    think_close: tuple[Part, ...]
    answer_open: tuple[Part, ...]
    ends: tuple[str, ...]
    close_token: str | None = None
    close_text: str | None = None
    prompt_opens_thinking: bool = False
    fingerprint: str = ""

    def prompt(self, messages: Sequence[Message]) -> tuple[Part, ...]:
        """The conversation and the thinking's opening: what is there before a token is written.

        Raises:
            DialectError: a role or an order of messages that the family cannot express.
        """
        return (*self.render(messages), *self.think_open)

    def closing(self, before: str) -> tuple[Part, ...]:
        """The close of the thinking and the answer's opening, after text that ends as `before` does: a line break that
        is already there is not written twice."""
        first, *rest = self.think_close
        if not first.control and first.text.startswith("\n") and before.endswith("\n"):
            first = Part(first.text[1:])
        return (*(part for part in (first, *rest) if part.text), *self.answer_open)

    def bound(self, is_control: Callable[[str], bool]) -> Dialect:
        """This dialect for one model: a textual think marker that is a token of the model is matched and written as
        that token.

        Args:
            is_control: whether the model has a control token of this spelling.
        """
        if self.close_text is None or not is_control(marker := self.close_text.strip()):
            return self
        return replace(
            self,
            think_open=_as_control(self.think_open, is_control),
            think_close=_as_control(self.think_close, is_control),
            close_text=None,
            close_token=marker,
        )


def _as_control(parts: Iterable[Part], is_control: Callable[[str], bool]) -> tuple[Part, ...]:
    return tuple(part._replace(control=part.control or is_control(part.text)) for part in parts)
