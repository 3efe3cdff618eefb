"""Replies of a chat endpoint that go on from their beginning, and whether a server writes them faithfully."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence as List

from antiphon.dialect import Message
from antiphon.engine.http.chat import APART, Chat, Reading
from antiphon.engine.http.client import Client
from antiphon.engine.http.sequence import TextSequence
from antiphon.engine.http.servers import Servers
from antiphon.engine.http.wire import Ask
from antiphon.errors import ModelError
from antiphon.plural import many
from antiphon.settings import Sampling

_GREEDY = Sampling(temperature=0, top_p=1, top_k=0)
_QUESTION = "Write the numbers from one to thirty as English words, five in each line, with blanks between them."
_START = "one two three four five\nsix seven eight nine ten\n"  # so that weak models know what to do, too
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


_CUTS = {
    "behind a word": re.compile(r"\w()(?= \w)"),
    "inside a word": re.compile(r"\b[a-z]{2}()(?=[a-z]{2})"),
    "behind a blank": re.compile(r"\w ()(?=\w)"),
    "behind a line break": re.compile(r"\n()(?=\S)"),
}


async def require_faithful(client: Client, wire: Chat, opening: str) -> None:
    """Returns if the server goes on from the beginning of a reply as if it had been let write.

    Compares, without chance, what it writes in one go after a short start with what it writes when it is given the
    first part of that, too. Behind a word it must write the same. Other cuts may change its tokens and so its words:
    inside a word it must not write that word anew, and behind white space not what it writes without that. Where the
    server counts tokens, it is also seen that nothing is put before the reply.

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

    async def write(text: str, most: int = _PART) -> str:
        reply = await read([*asked, *_begun(opening + _START + text)], most)
        if reply.thinking:
            raise _unfaithful(client, wire, APART)
        if not reply.answer:
            raise _unfaithful(client, wire, "it writes nothing")
        if reply.answer.startswith(_START[:_ALIKE]):
            raise _unfaithful(client, wire, f"it begins the reply anew ({reply.answer[:20]!r})")
        return reply.answer

    whole = await write("", _WHOLE)
    for where, pattern in _CUTS.items():
        at = _nearest(pattern, whole)
        if at is None:
            if where == "behind a line break":  # weak models do without
                continue
            raise _unfaithful(client, wire, f"its reply to a simple question cannot be judged ({whole[:60]!r})")
        given, written = whole[:at], await write(whole[:at])
        if where == "behind a word":
            expected, same = whole[at:], min(_ALIKE, len(written))
            if written[:same] != expected[:same]:
                seen = f"it writes {written[:20]!r} where it wrote {expected[:20]!r} in one go"
                raise _unfaithful(client, wire, f"cut {where}, {seen}")
        elif where == "inside a word":
            if re.match(rf"\s*{given[-2:]}", written):
                raise _unfaithful(client, wire, f"cut {where}, it writes the word anew ({written[:20]!r})")
        elif written == await write(given.rstrip()):
            raise _unfaithful(client, wire, f"cut {where}, it writes as without ({written[:20]!r})")
    if opening:
        longer: list[Message] = [{"role": "user", "content": f"{_QUESTION} {opening}"}]
        sizes = [(await read(messages, 1)).told_prompt for messages in (asked, [*asked, *_begun(opening)], longer)]
        plain, begun, told = (count or 0 for count in sizes)
        if all(sizes) and begun - plain > told - plain + 1:
            extra = begun - told
            raise _unfaithful(client, wire, f"its template puts {many(extra, 'token')} of its own before the reply")


def _begun(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}] if text else []


def _nearest(pattern: re.Pattern[str], text: str) -> int | None:
    """Where the pattern is found nearest to the middle, with enough behind it to compare."""
    found = [match.start(1) for match in pattern.finditer(text) if match.start(1) <= len(text) - _ALIKE]
    return min(found, key=lambda at: abs(at - len(text) // 2), default=None)


def _unfaithful(client: Client, wire: Chat, seen: str) -> ModelError:
    return ModelError(
        f"{client.shown}: with server.prefix = '{wire.prefix}' it does not go on from the beginning of a reply as it"
        f" should: {seen}; take a completion server, or a method of whole replies (docs/methods.md)"
    )
