"""A model that replies to a conversation with a whole text, whichever way its server is spoken to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Self, cast

from antiphon.dialect import Message
from antiphon.engine import models
from antiphon.engine.base import Chunk, Engine, Reply
from antiphon.engine.base import Sequence as Prefix
from antiphon.errors import RequestRefused, SettingsError, StreamBroken
from antiphon.settings import Role, Settings
from antiphon.synth.cast import find_voice
from antiphon.synth.guards import RepetitionGuard
from antiphon.synth.voice import Voice
from antiphon.trace import Author, estimated_tokens

_MOST = 8192  # tokens of a reply, thinking included, where the budget says nothing


class Annotator:
    """One model. `open` makes one.

    Attributes:
        engine: where it is.
        slots: how many conversations it keeps at once (None: as many as memory holds).
    """

    def __init__(self, engine: Engine, role: Role, settings: Settings):
        self.engine = engine
        self.slots: int | None = None
        self._role = role
        self._settings = settings
        self._context = role.context
        self._voice: Voice | None = None
        # What annotators are asked has one right answer: they are not to be creative unless somebody says so.
        given = role.sampling.model_fields_set
        self._sampling = (
            role.sampling if "temperature" in given else role.sampling.model_copy(update={"temperature": 0})
        )

    @classmethod
    async def open(cls, settings: Settings, open_engine: Callable[..., Engine]) -> Self:
        """Connects to the model that the settings have in the teacher's place, or starts it.

        Raises:
            UsageError: there is none, or it cannot be used.
            EngineUnavailable: it does not answer.
        """
        role = settings.teacher
        if role.model is None:
            raise SettingsError("which model is to mark them? Give --model")
        engine = open_engine(role.model, device=role.device, context=role.context, runs=role.runs, server=role.server)
        try:
            await models.start([engine])
            made = cls(engine, role, settings)
            await made._connect()
        except BaseException:
            await engine.close()
            raise
        return made

    async def _connect(self) -> None:
        can = await self.engine.capabilities()
        self.slots = can.slots
        if not can.renders:
            self._voice = await find_voice(Author.TEACHER, self.engine, self._role)
        self._context = min(
            (length for length in (can.context, self._role.context) if length is not None), default=None
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.engine.name

    async def reply(self, messages: Sequence[Message]) -> Reply:
        """A whole reply.

        Raises:
            RequestRefused: it fails while others are served.
            EngineUnavailable: the engine does not answer.
        """
        if self._voice is None:
            most = self._most(estimated_tokens(sum(len(message["content"]) for message in messages)))
            return await self.engine.complete(messages, self._sampling, most)
        sequence = await self.engine.begin(messages, self._voice.dialect)
        try:
            return await self._write(self._voice, sequence)
        finally:
            await sequence.close()

    async def close(self) -> None:
        """Lets go of its connections, or of a server started for it."""
        await self.engine.close()

    def _most(self, prompt: int) -> int:
        """How many tokens a reply may have."""
        most = self._settings.budget.answer or _MOST
        if self._context is None:
            return most
        if self._context - prompt < 2:
            raise RequestRefused(f"{self.name}: the text and what is asked fill its context of {self._context} tokens")
        return min(most, self._context - prompt)

    async def _write(self, voice: Voice, sequence: Prefix) -> Reply:
        """Writes on from a prompt to the end of the turn, through broken streams. A reply that loops is ended."""
        prompt = voice.in_tokens(sequence.length)
        most = self._most(prompt)
        ending = voice.markers(in_thinking=False).ending
        guard = RepetitionGuard()
        text, finish = "", "length"
        requests, breaks, cached = 0, 0, None
        while (left := most - (voice.in_tokens(sequence.length) - prompt)) > 0:
            requests += 1
            stream = cast(AsyncGenerator[Chunk], sequence.stream(self._sampling, left, voice.ends))
            try:
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        said = "".join(piece.text for piece in chunk.pieces)
                        text += said
                        cached = chunk.cached if chunk.cached is not None else cached
                        if any(marker in text for marker in ending) or (chunk.finish and chunk.finish.reason == "stop"):
                            finish = "stop"
                            break
                        if guard.push(said) or chunk.finish is not None:
                            break
            except StreamBroken as error:
                breaks += 1
                if breaks > self._settings.guards.breaks:
                    raise RequestRefused(f"{error}; it was broken stream {breaks} (guards.breaks)") from None
                continue
            break
        for marker in ending:
            text = text.partition(marker)[0]
        written = voice.in_tokens(sequence.length) - prompt
        told = 0 if cached is None else prompt
        return Reply("", text, finish, sequence.server, prompt * requests, written, written, requests, cached, told)
