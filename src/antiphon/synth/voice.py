"""A voice is a role bound to a model, its dialect and its predictor; a speaker is a voice in one trace."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import cast

from antiphon.boundary.base import BoundaryPredictor, Session, Step, Verdict
from antiphon.dialect import Dialect, Message, Part
from antiphon.engine.base import Chunk, Engine, Piece
from antiphon.engine.base import Sequence as Prefix
from antiphon.settings import Sampling
from antiphon.synth.markers import Markers
from antiphon.trace import Author, Key, estimated_tokens


@dataclass(frozen=True)
class Voice:
    """One of the two models of a run, ready to write.

    `dialect` is bound to the engine. `context` is the longest sequence in tokens (None: unknown). `predictor` is None
    in methods that do not write in turns. `has_ids` False: lengths are characters, and estimates in tokens. `slots` is
    how many prefixes the engine keeps at once (None: as many as memory holds). `continues` False: the engine gives
    whole replies only (`antiphon.synth.reply`).

    `ends` and `closes` are the ids that end a turn and that close the thinking, `controls` all ids that are no text,
    these among them: whatever other control token a model samples, its turn ends there.
    """

    role: Author
    engine: Engine
    dialect: Dialect
    sampling: Sampling
    context: int | None
    has_ids: bool = True
    predictor: BoundaryPredictor | None = None
    slots: int | None = None
    continues: bool = True
    ends: frozenset[int] = field(init=False)
    closes: frozenset[int] = field(init=False)
    controls: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        dialect = self.dialect
        written = (*dialect.think_open, *dialect.think_close, *dialect.answer_open)
        ends, closes = self._ids_of(dialect.ends), self._ids_of(dialect.closes)
        controls = self._ids_of((*self.engine.controls, *(part.text for part in written if part.control)))
        object.__setattr__(self, "ends", ends)
        object.__setattr__(self, "closes", closes)
        object.__setattr__(self, "controls", controls | ends | closes)

    def _ids_of(self, tokens: Iterable[str]) -> frozenset[int]:
        ids = map(self.engine.control_id, tokens)
        return frozenset(token for token in ids if token is not None)

    @property
    def counts_tokens(self) -> bool:
        """Whether its turns count tokens: whole replies do, by what their server tells; else without ids characters."""
        return self.has_ids or not self.continues

    async def speaker(self, messages: Sequence[Message], key: Key) -> Speaker:
        """Opens a trace: the prompt is read, the thinking is open."""
        sequence = await self.engine.begin(messages, self.dialect)
        opening = await sequence.append(self.dialect.think_open)
        session = self.predictor.session_of(key, self.role) if self.predictor is not None else None
        return Speaker(self, sequence, session, opening)

    def markers(self, *, in_thinking: bool) -> Markers:
        """What closes its thinking and ends its turn as text: without ids all of that, else only what has no token."""
        text = self.dialect.close_text
        closing = self.dialect.closes if not self.has_ids else () if text is None else (text,)
        ending = self.dialect.next_turn if self.has_ids else (*self.dialect.ends, *self.dialect.next_turn)
        return Markers(closing if in_thinking else (), ending)

    def before_control(self, pieces: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], int | None]:
        """The pieces before the first control token, and that token. The spelling of one is not the model's text."""
        for number, piece in enumerate(pieces):
            for token in piece.ids:
                if token in self.controls:
                    return pieces[:number], token
        return pieces, None

    def in_tokens(self, length: int) -> int:
        """A length of its sequences in tokens (an estimate where they are measured in characters)."""
        return length if self.has_ids else estimated_tokens(length)


class Speaker:
    """A voice in one trace: its sequence, its predictor's session, and what it has yet to hear of the other."""

    def __init__(self, voice: Voice, sequence: Prefix, session: Session | None, opening: array[int]):
        self.voice = voice
        self.sequence = sequence
        self.session = session
        self.opening = opening
        """The ids of the thinking's opening."""
        self.opened_at = self.tokens
        """Tokens before the first of the thinking."""
        self.seen = 0
        """Tokens of its sequence that its engine has read or written."""
        self.unheard_tokens = 0
        """Tokens of the other author in `_unheard`, in the other's ids."""
        self._unheard: list[str] = []

    @property
    def tokens(self) -> int:
        """Length of its sequence in tokens (an estimate without ids)."""
        return self.voice.in_tokens(self.sequence.length)

    @property
    def room(self) -> int | None:
        """Tokens left in its context, None where that is unknown."""
        return None if self.voice.context is None else max(0, self.voice.context - self.tokens)

    def hear(self, text: str, tokens: int) -> None:
        """The other author's text, to be encoded once when this voice goes on."""
        if text:
            self._unheard.append(text)
            self.unheard_tokens += tokens

    async def catch_up(self) -> None:
        """Encodes what was heard at the seam and shows it to the predictor as settled."""
        if self._unheard:
            text = "".join(self._unheard)
            self._unheard.clear()
            self.unheard_tokens = 0
            await self.sequence.append((Part(text),))
            if self.session is not None:
                self.session.context(text)

    async def judge(self, text: str, *, finish: bool = False) -> list[Verdict]:
        """The predictor's verdicts that are due after this text of its own."""
        if self.session is None or not (text or finish):
            return []
        assert self.voice.predictor is not None
        (verdicts,) = await self.voice.predictor.advance((Step(self.session, text, finish),))
        return verdicts

    def stream(
        self, max_tokens: int, *, in_thinking: bool, seed: int | None = None, look: int = 1
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Writes on; leaving the context closes the stream, which aborts the request. `look`: see
        `antiphon.engine.base.Sequence.stream`."""
        stops = self.voice.ends | self.voice.closes if in_thinking else self.voice.ends
        stream = self.sequence.stream(self.voice.sampling, max_tokens, stops, seed, look)
        return aclosing(cast(AsyncGenerator[Chunk], stream))

    def measure(self, text: str, ids: int) -> int:
        """How much of its sequence a stretch of its own takes: ids, or characters where there are none."""
        return ids if self.voice.has_ids else len(text)
