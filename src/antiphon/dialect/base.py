"""The contract of a dialect."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypedDict

from antiphon.errors import DialectError

ROLES = ("system", "user", "assistant")


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


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The same parts, adjacent texts made one, as engines encode them; empty texts left out."""
    result: list[Part] = []
    for part in parts:
        if not part.text:
            continue
        if result and not part.control and not result[-1].control:
            result[-1] = Part(result[-1].text + part.text)
        else:
            result.append(part)
    return tuple(result)


def split(text: str, controls: Collection[str]) -> tuple[Part, ...]:
    """A text of ours or of a template, the control tokens that it spells taken as such: at each place the longest."""
    if not controls:
        return joined([Part(text)])
    pattern = "|".join(re.escape(token) for token in sorted(controls, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text)
    return joined(Part(piece, number % 2 == 1) for number, piece in enumerate(pieces))


def require_conversation(messages: Sequence[Message]) -> None:
    """Returns for a conversation that an assistant can reply to.

    Raises:
        DialectError: there is no message, a role is unknown, or the last message is not the user's.
    """
    for number, message in enumerate(messages, 1):
        if message["role"] not in ROLES:
            raise DialectError(f"message {number} has the role {message['role']!r}; the roles are {', '.join(ROLES)}")
    if not messages or messages[-1]["role"] != "user":
        raise DialectError("the last message of a conversation to reply to must be the user's")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family.

    `render` gives the prompt up to the place where the assistant's reply begins, without the thinking's opening.
    `think_open` comes next (`prompt_opens_thinking` says whether the family's own template writes it, as DeepSeek-R1's
    does). `think_close` closes the thinking: `close_token` is the control token by which the model itself closes it, or
    `close_text` the text where it has no such token (exactly one of the two is set). `also_close` are other control
    tokens by which the model leaves its thinking (gpt-oss changes the channel in the middle of it): they close it as
    well, and only `think_close` is ever written. `answer_open` stands between the close and the answer. `ends` are the
    control tokens that end a turn, and `next_turn` texts: a base model that has no such token goes on with the next
    turn, and has ended its own before that.

    `follows_template` says whether prompts claim to equal the model's own chat template (`antiphon.dialect.check`
    tests it), which is given `settings` as its variables (`date` is what `strftime_now` tells). `fingerprint` is a hash
    of all that shapes the parts, settings included.
    """

    name: str
    render: Callable[[Sequence[Message]], tuple[Part, ...]]
    think_open: tuple[Part, ...]
    think_close: tuple[Part, ...]
    answer_open: tuple[Part, ...]
    ends: tuple[str, ...]
    close_token: str | None = None
    close_text: str | None = None
    also_close: tuple[str, ...] = ()
    next_turn: tuple[str, ...] = ()
    prompt_opens_thinking: bool = False
    follows_template: bool = True
    settings: Mapping[str, str | bool | int] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def closes(self) -> tuple[str, ...]:
        """All that closes the thinking where the model writes it, by its spelling."""
        return tuple(close for close in (self.close_token, self.close_text, *self.also_close) if close is not None)

    def prompt(self, messages: Sequence[Message]) -> tuple[Part, ...]:
        """The conversation and the thinking's opening: what is there before a token is written.

        Raises:
            DialectError: a role or an order of messages that the family cannot express.
        """
        return (*self.render(messages), *self.think_open)

    def closing(self, tail: str) -> tuple[Part, ...]:
        """What closes the thinking and opens the answer. A thinking that ends with a line break has already written the
        one that `think_close` begins with.

        Args:
            tail: the text that the close follows, or the end of it.
        """
        first, *others = (*self.think_close, *self.answer_open)
        if tail.endswith("\n") and not first.control:
            first = Part(first.text.removeprefix("\n"))
        return (first, *others) if first.text else tuple(others)

    def bound(self, is_control: Callable[[str], bool]) -> Dialect:
        """This dialect for one model: a textual think marker that is a token of the model is matched and written as
        that token.

        Args:
            is_control: whether the model has a control token of this spelling.
        """
        if self.close_text is None or not is_control(self.close_text):
            return self
        return replace(
            self,
            think_open=_as_control(self.think_open, is_control),
            think_close=_as_control(self.think_close, is_control),
            close_text=None,
            close_token=self.close_text,
        )


def _as_control(parts: Iterable[Part], is_control: Callable[[str], bool]) -> tuple[Part, ...]:
    return tuple(part._replace(control=part.control or is_control(part.text)) for part in parts)
