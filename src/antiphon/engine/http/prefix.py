"""Replies of a chat endpoint that go on from their beginning, and whether a server writes them faithfully."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence as List
from typing import NamedTuple

from antiphon.dialect import Message
from antiphon.engine.http.chat import APART, Chat, Reading
from antiphon.engine.http.client import Client
from antiphon.engine.http.sequence import TextSequence
from antiphon.engine.http.servers import Servers
from antiphon.engine.http.wire import Ask
from antiphon.errors import ModelError
from antiphon.settings import Sampling

_GREEDY = Sampling(temperature=0, top_p=1, top_k=0)
_QUESTION = "Write the numbers from one to thirty as English words, ten in each line, with a blank between two of them."
_WHOLE, _PART = 60, 12  # tokens asked for
_ALIKE = 12  # characters that must agree


class ReplySequence(TextSequence):
    """A reply to a conversation, as far as it is written; the server's own template puts it behind the messages."""

    def __init__(self, wire: Chat, servers: Servers, context: int | None, messages: Iterable[Message]):
        super().__init__(wire, servers, context)
        self._messages = list(messages)
        self._asked = sum(len(message["content"]) for message in self._messages)

    @property
    def length(self) -> int:
        return self._asked + len(self._text)

    def truncate(self, length: int) -> None:
        super().truncate(length - self._asked)

    def _prompt(self, max_tokens: int) -> list[Message]:
        return [*self._messages, *_begun(self._text)]


class _Place(NamedTuple):
    """Where a reply is cut, to be gone on with: what is special there, and whether what comes must be the same to the
    letter (where the cut need not change the tokens)."""

    what: str
    at: int
    exact: bool = False


async def require_faithful(client: Client, wire: Chat, opening: str) -> None:
    """Returns if the server goes on from the beginning of a reply as if it had been let write.

    Compares, without chance, a reply asked for in one go with what the server writes when it is given the first part of
    it: cut behind a word, behind a blank, inside a word and behind a line break. Where the server counts tokens, it is
    also seen that nothing is put before the reply.

    Args:
        opening: what replies begin with: the opening of the thinking.

    Raises:
        ModelError: it does not; says what was seen.
        Fault: it did not answer.
    """
    asked: list[Message] = [{"role": "user", "content": _QUESTION}]

    async def read(messages: List[Message], most: int) -> Reading:
        reply = Reading(0)
        await reply.read(client, wire, Ask(messages, _GREEDY, most))
        return reply

    async def write(text: str, most: int) -> str:
        reply = await read([*asked, *_begun(text)], most)
        if reply.thinking:
            raise _unfaithful(client, wire, APART)
        return reply.answer

    whole = await write(opening, _WHOLE)
    for place in _places(client, wire, whole):
        seen = _difference(whole, place, await write(opening + whole[: place.at], _PART))
        if seen is not None:
            raise _unfaithful(client, wire, f"cut {place.what}, {seen}")
    if opening:
        longer: list[Message] = [{"role": "user", "content": f"{_QUESTION} {opening}"}]
        sizes = [(await read(messages, 1)).told_prompt for messages in (asked, [*asked, *_begun(opening)], longer)]
        plain, begun, told = (count or 0 for count in sizes)
        if all(sizes) and begun - plain > told - plain + 1:
            extra = begun - told
            raise _unfaithful(client, wire, f"its template puts {extra} tokens of its own before the reply")


def _begun(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}] if text else []


def _unfaithful(client: Client, wire: Chat, seen: str) -> ModelError:
    return ModelError(
        f"{client.shown}: with server.prefix = '{wire.prefix}' it does not go on from the beginning of a reply as it"
        f" should: {seen}; take a completion server, or a method of whole replies (docs/methods.md)"
    )


def _places(client: Client, wire: Chat, text: str) -> list[_Place]:
    """Where to cut, each place well inside the text.

    Raises:
        ModelError: the reply has no such places.
    """
    patterns = {
        "behind a word": r"\w()(?= \w)",
        "behind a blank": r"\w ()(?=\w)",
        "inside a word": r"\b[a-z]{2}()(?=[a-z]{2})",
        "behind a line break": r"\n()(?=\S)",
    }
    places = []
    for what, pattern in patterns.items():
        found = [match.start(1) for match in re.finditer(pattern, text) if match.start(1) <= len(text) - _ALIKE]
        if found:
            nearest = min(found, key=lambda at: abs(at - len(text) // 2))
            places.append(_Place(what, nearest, exact=what == "behind a word"))
    if len(places) < len(patterns) - 1:  # a model may do without line breaks
        raise _unfaithful(client, wire, f"its reply to a simple question cannot be judged ({text[:60]!r})")
    return places


def _difference(whole: str, place: _Place, written: str) -> str | None:
    """What is wrong with what was written after a cut; None where it goes on."""
    expected = whole[place.at :]
    same = min(_ALIKE, len(written))
    if not written:
        return "it writes nothing"
    if written[:1].isspace() and not expected[:1].isspace():
        return f"it begins with white space ({written[:20]!r})"
    if written.lstrip()[:_ALIKE] == whole.lstrip()[:_ALIKE] != expected.lstrip()[:_ALIKE]:
        return f"it begins the reply anew ({written[:20]!r})"
    if place.exact and written[:same] != expected[:same]:
        return f"it writes {written[:20]!r} where it wrote {expected[:20]!r} in one go"
    return None
