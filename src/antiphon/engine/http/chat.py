"""Chat endpoints: messages in, a reply out, its thinking apart from it where the server tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as List
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

from antiphon.dialect import Message
from antiphon.engine.base import Reply
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Broken, Fault, Refused, Transient
from antiphon.engine.http.openai import OpenAI
from antiphon.engine.http.servers import Servers
from antiphon.engine.http.wire import Ask, Event, counted, require_no_error
from antiphon.settings import Sampling
from antiphon.trace import estimated_tokens

APART = "it tells thinking apart, which is lost in turns; start it without its parser of reasoning"
_GOING_ON = ("continue_final_message", "add_generation_prompt")


class Chat(OpenAI):
    """`POST /v1/chat/completions`, likewise; where `max_tokens` is refused it goes by its newer name."""

    kind = "chat"
    path = "/v1/chat/completions"
    needed = frozenset({"model", "messages", "stream", "max_completion_tokens", *_GOING_ON})
    prefix: Literal["never", "continue_final_message", "prefix"] = "never"
    """How it goes on from the beginning of a reply, which is the last message then."""

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        model = str(listed["id"])
        return not await _is_there(client, OpenAI.path, model) and await _is_there(client, cls.path, model)

    def body(self, ask: Ask) -> dict[str, Any]:
        body = super().body(ask)
        prompt = body.pop("prompt")
        body["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if body["messages"][-1]["role"] == "assistant":
            if self.prefix == "prefix":
                body["messages"][-1] = {**body["messages"][-1], "prefix": True}
            else:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        if "max_tokens" in self._left_out:
            body["max_completion_tokens"] = ask.max_tokens
        if body["stream"] and "stream_options" not in self._left_out:
            body["stream_options"] = {"include_usage": True}
        return body

    def read(self, data: Any, received: int, characters: int = 0) -> Event:
        said = _said(data)
        if said.thinking and self.prefix != "never":
            raise Refused(APART, 501)
        if said.finish not in (None, "stop", "length"):
            return Event(broken=f"it ended with {said.finish!r}")
        return Event((), said.text, said.finish, None, counted(said.usage))  # type: ignore[arg-type]


async def whole_reply(
    wire: Chat,
    servers: Servers,
    messages: List[Message],
    sampling: Sampling,
    max_tokens: int,
    seed: int | None,
) -> Reply:
    """As `Engine.complete`. A reply that broke off is asked for anew, and what was received of it is counted.

    Raises:
        RequestRefused, EngineUnavailable: as `Servers.again`.
    """
    ask = Ask(messages, sampling, max_tokens, seed=seed)
    asked = sum(len(message["content"]) for message in messages)
    at = first = servers.choose()
    attempt = 0
    broken: list[Reading] = []
    while True:
        reading = Reading(asked)
        at.sequences += 1
        try:
            client = await servers.assured(at)
            await reading.read(client, wire, ask)
        except Fault as fault:
            if reading.text:
                broken.append(reading)
            attempt += 1
            failed = fault
        else:
            return reading.reply(at.client.shown, broken)
        finally:
            at.sequences -= 1
        at = await servers.again(at, failed, attempt)
        if at is not first:
            attempt, first = 0, at


class _Said(NamedTuple):
    """What one event says."""

    thinking: str = ""
    text: str = ""
    finish: str | None = None
    usage: Mapping[str, Any] | None = None


def _said(data: Any) -> _Said:
    """One event of a stream, or a reply that came as a whole. Thinking is `reasoning_content` or `reasoning`, or a part
    of the type `thinking` (Mistral); a server that sends the first two sends the same in both.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it is malformed.
    """
    if not (choices := data["choices"]):
        return _Said(usage=data.get("usage"))
    choice = choices[0]
    message = choice.get("delta") or choice.get("message") or {}
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    content = message.get("content") or ""
    if not isinstance(content, str):
        thinking += "".join(_text(part["thinking"]) for part in content if part["type"] == "thinking")
        content = _text(content)
    return _Said(thinking, content, choice.get("finish_reason"), data.get("usage"))


def _text(parts: Any) -> str:
    return parts if isinstance(parts, str) else "".join(part["text"] for part in parts if part["type"] == "text")


class Reading:
    """A reply as it arrives.

    Args:
        asked: characters of the messages that it replies to.
    """

    def __init__(self, asked: int):
        self.finish: str | None = None
        self._asked = asked
        self._thinking: list[str] = []
        self._answer: list[str] = []
        self._usage: Mapping[str, Any] = {}

    async def read(self, client: Client, wire: Chat, ask: Ask) -> None:
        """Asks, and reads to the end.

        Raises:
            Fault: it was not reached; what came before stands.
        """
        async with aclosing(client.events(wire.path, wire.body(ask))) as events:
            async for data in events:
                self._take(data)
        if self.finish is None:
            raise Broken("the stream ended before its end")

    def _take(self, data: Any) -> None:
        """Reads one event.

        Raises:
            Transient: it is none, or says that the server gave up.
        """
        try:
            require_no_error(data)
            said = _said(data)
            self._thinking.append(said.thinking)
            self._answer.append(said.text)
            self.finish = said.finish or self.finish
            self._usage = said.usage or self._usage
        except (LookupError, TypeError, ValueError, AttributeError):
            raise Transient(f"its reply has not the form of a chat completion: {str(data)[:200]}") from None

    @property
    def text(self) -> str:
        """All that arrived."""
        return self.thinking + self.answer

    @property
    def thinking(self) -> str:
        """What the server told apart as thinking."""
        return "".join(self._thinking)

    @property
    def answer(self) -> str:
        """All else."""
        return "".join(self._answer)

    @property
    def told_prompt(self) -> int | None:
        """Tokens of the prompt, where the server told."""
        told = self._usage.get("prompt_tokens")
        return told if isinstance(told, int) else None

    @property
    def _written(self) -> int:
        return int(self._usage.get("completion_tokens") or estimated_tokens(len(self.text)))

    @property
    def _prompt(self) -> int:
        return self.told_prompt or estimated_tokens(self._asked)

    def reply(self, server: str, broken: list[Reading]) -> Reply:
        """The whole of it; `broken` are the tries before."""
        cached = counted(self._usage)
        return Reply(
            thinking=self.thinking,
            answer=self.answer,
            finish=self.finish or "",
            server=server,
            requests=1 + len(broken),
            prompt=self._prompt + sum(other._prompt for other in broken),
            received=self._written + sum(other._written for other in broken),
            kept=self._written,
            cached=cached,
            told=0 if cached is None else self._prompt,
        )


async def _is_there(client: Client, path: str, model: str) -> bool:
    """Whether a route exists for a model; asked by a request that lacks what it needs, so that nothing is written."""
    try:
        await client.post(path, {"model": model, "max_tokens": 1})
    except Refused as fault:
        return fault.status not in (404, 405, 501)
    return True
