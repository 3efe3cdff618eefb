"""Where the thinking is in what models wrote: in responses as they are published, and in records that tell it apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from antiphon.problem.record import CONVERSATIONS

_APART = ("reasoning_content", "reasoning", "thinking")
_WHOLE = ("response", "output", "completion", "generation")

# Opening and close as models write them: most; Mistral; Seed-OSS; Sky-T1 and its kin.
_TAGS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_OPENED = re.compile(rf"\s*(?:{'|'.join(re.escape(opening) for opening, _ in _TAGS)})")
# gpt-oss, with its control tokens or decoded without them. What is not the channel "analysis" is no thinking.
_HARMONY = re.compile(
    r"(?:<\|channel\|>analysis<\|message\|>|\A\s*analysis(?=[A-Z]))(.*?)"
    r"(?:<\|(?:end|return|call|start|channel)\|>|assistant(?:final|analysis|commentary)|\Z)",
    re.DOTALL,
)
_HARMONY_ANSWER = re.compile(r"<\|channel\|>final<\|message\|>|assistantfinal")


class Stretch(NamedTuple):
    """Thinking, and the text that it is part of: `within[start:end]`."""

    within: str
    start: int
    end: int

    @property
    def text(self) -> str:
        """The thinking itself."""
        return self.within[self.start : self.end]


def thinking_in(response: str, *, complete: bool = True) -> tuple[int, int] | None:
    """Where the thinking stands in a response, between its markers or before the close where the prompt had opened it;
    None where there is none. Of several blocks it is the first: what follows that is written to be read.

    Args:
        complete: False: the response was cut off. Without any marker all of it is thinking then, since a model that
            had been told to think never closed it.
    """
    # Inside a block of thinking a channel of gpt-oss is spoken of.
    if _OPENED.match(response) is None and (harmony := _HARMONY.search(response)) is not None:
        return harmony.span(1)
    for opening, close in _TAGS:
        begun = re.match(rf"\s*{re.escape(opening)}", response)
        start = begun.end() if begun else 0
        # A close ends its line. In the middle of one it is spoken of: "then </think> and the code".
        closed = re.compile(rf"{re.escape(close)}[ \t]*(?=\n|\Z)").search(response, start)
        if closed is not None:
            return start, closed.start()
        if begun:
            mentioned = response.find(close, start)
            return start, len(response) if mentioned < 0 else mentioned
    return None if complete else (0, len(response))


def after_thinking(reply: str) -> str:
    """What a model wrote when it had thought: all of it where it shows no thinking."""
    if (harmony := _HARMONY_ANSWER.search(reply)) is not None:
        return re.split(r"<\|(?:return|end)\|>", reply[harmony.end() :], maxsplit=1)[0]
    found = thinking_in(reply)
    if found is None:
        return reply
    rest = reply[found[1] :]
    return next((rest.removeprefix(close) for _, close in _TAGS if rest.startswith(close)), "")


def stretches(record: Mapping[str, Any]) -> Iterator[Stretch]:
    """The thinking of a record: of each reply in its messages, or else of its response. It stands in a field of its own
    (`reasoning_content`, `reasoning`, `thinking`), as a part of that type, or inside the text between its markers."""
    complete = record.get("complete") is not False and record.get("finish_reason") != "length"
    conversation = next((value for name in CONVERSATIONS if (value := record.get(name))), None)
    replies = [message for message in messages_of(conversation) if message.get("role") == "assistant"]
    for reply in replies:
        yield from _in_reply(reply, reply.get("content"), complete=complete)
    if not replies:
        yield from _in_reply(record, next((record[name] for name in _WHOLE if record.get(name)), None), complete)


def messages_of(conversation: Any) -> list[Mapping[str, Any]]:
    """The messages of a conversation, also of one that is JSON in a text; none where it is something else."""
    if isinstance(conversation, str):
        try:
            conversation = json.loads(conversation)
        except (ValueError, RecursionError):
            return []
    found = conversation if isinstance(conversation, list) else []
    return [message for message in found if isinstance(message, Mapping)]


def text_of_content(content: Any) -> str:
    """The text of a message's content, be it a text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def _in_reply(holder: Mapping[str, Any], content: Any, complete: bool) -> Iterator[Stretch]:
    apart = next((text for name in _APART if isinstance(text := holder.get(name), str) and text.strip()), None)
    if apart is None and isinstance(content, list):
        thoughts = [part["thinking"] for part in content if isinstance(part, Mapping) and part.get("thinking")]
        apart = "".join(map(text_of_content, thoughts)) or None
    if apart is not None:
        yield Stretch(apart, 0, len(apart))
        return
    text = text_of_content(content)
    found = thinking_in(text, complete=complete)
    if found is not None:
        yield Stretch(text, *found)
