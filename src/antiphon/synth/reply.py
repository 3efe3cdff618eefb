"""One trace from one whole reply: for a model that cannot go on from a prefix, as most chat endpoints.

The reply is recorded as a duet would have written it: thinking and answer of one author, between the markers of the
dialect in which responses are stored. Line breaks beside a marker belong to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from antiphon.dialect import Dialect, text_of
from antiphon.engine.base import Reply
from antiphon.errors import RequestRefused
from antiphon.problem import Problem
from antiphon.store import Saved
from antiphon.synth.duet import Duet
from antiphon.synth.guards import RepetitionGuard
from antiphon.synth.markers import Fence, MarkerReader, Markers
from antiphon.synth.record import Recorder, SpanWriter
from antiphon.synth.score import Score
from antiphon.synth.stage import Ending, seeds
from antiphon.trace import Author, Key, Kind, SpanEnd, Status, Turn, Usage, estimated_tokens, pack_ids

_LOOK = 64  # characters that the guard against loops reads at once


def writer_for(score: Score) -> type[Duet] | type[WholeReply]:
    """What writes the traces of this score."""
    return Duet if score.voices[score.method.answer].continues else WholeReply


class WholeReply:
    """Writes one trace. Use once; in a `Duet`'s place.

    Args:
        saved: what an earlier session left; the reply is asked for anew.
        before_turn: as a `Duet`'s.
    """

    def __init__(
        self,
        score: Score,
        problem: Problem,
        key: Key,
        recorder: Recorder,
        saved: Saved | None = None,
        before_turn: Callable[[], None] = lambda: None,
    ):
        saved = saved or Saved((), {}, 0)
        self._score = score
        self._problem = problem
        self._recorder = recorder
        self._before_turn = before_turn
        self._voice = score.voices[score.method.answer]
        self._spans = SpanWriter(recorder)
        self._usage = dict(saved.usage)
        self._seed = next(seeds(score.seed, key, saved.turns))
        self._closed_by: Author | None = None

    async def write(self) -> Ending:
        """Asks for the reply and records it.

        Raises:
            EngineUnavailable: the engine is gone; the trace stays pending.
        """
        self._recorder.begin(anew=True)
        try:
            ending = await self._perform()
        except RequestRefused as error:
            ending = Ending(Status.FAILED, str(error))
        await self._recorder.finish(ending.status, cause=ending.cause, closed_by=self._closed_by, usage=self._usage)
        return ending

    async def _perform(self) -> Ending:
        self._before_turn()
        voice, messages = self._voice, self._problem.messages
        budget = self._score.thinking_budget + self._score.answer_budget
        room = budget
        if voice.context is not None:
            room = voice.context - estimated_tokens(sum(len(message["content"]) for message in messages))
        if room < 2:
            return Ending(Status.CONTEXT_FULL, f"the problem alone fills the {voice.role}'s context")
        asked = min(budget, room)
        began = time.monotonic()
        reply = await voice.engine.complete(messages, voice.sampling, asked, self._seed)
        parted = part(reply, voice.dialect)
        self._record(parted)
        self._turned(reply, asked, time.monotonic() - began)
        for name, text in (("thinking", parted.thinking), ("answer", parted.answer)):
            if self._score.guard_repetition and _loops(text):
                return Ending(Status.REPETITION, f"the {name} repeats itself")
        if reply.finish == "length":
            if asked < budget:
                return Ending(Status.CONTEXT_FULL, "the reply fills the context")
            return Ending(Status.TOO_LONG, f"the reply reached its budget of {budget} tokens")
        if reply.finish != "stop":
            return Ending(Status.FAILED, f"{reply.server} ended the reply with {reply.finish!r}")
        if not parted.answer.strip():
            return Ending(Status.NO_ANSWER, "the answer is empty")
        return Ending(Status.COMPLETE)

    def _record(self, parted: Parted) -> None:
        dialect = self._score.script.dialect
        self._write(Author.NONE, Kind.MARKER, text_of(dialect.think_open), SpanEnd.SEAM)
        self._write(self._voice.role, Kind.THINKING, parted.thinking, parted.closed or SpanEnd.BUDGET)
        if parted.closed is not None:
            self._closed_by = self._voice.role
            self._write(Author.NONE, Kind.MARKER, text_of(dialect.closing(parted.thinking)), SpanEnd.SEAM)
            self._write(self._voice.role, Kind.ANSWER, parted.answer, parted.end)

    def _write(self, author: Author, kind: Kind, text: str, end: SpanEnd) -> None:
        if text:
            self._spans.write(author, kind, text, pack_ids())
            self._spans.end(end)
            self._score.listener.kept(author, kind, text, forced=False)

    def _turned(self, reply: Reply, asked: int, seconds: float) -> None:
        turn = Turn(
            role=self._voice.role,
            server=reply.server,
            asked=asked * reply.requests,
            received=reply.received,
            kept=reply.kept,
            words=0,
            cut=False,
            seconds=seconds,
            requests=reply.requests,
            cached=reply.cached,
            span=self._spans.index,
            prompt=reply.prompt,
            told=reply.told,
        )
        self._usage[turn.role] = self._usage.get(turn.role, Usage()) + turn.usage
        self._recorder.turn(turn)
        self._score.listener.turned(turn)


class Parted(NamedTuple):
    """A reply's two parts. `closed` is how the thinking was closed, None where the reply broke off in it."""

    thinking: str
    answer: str
    closed: SpanEnd | None
    end: SpanEnd
    """Why the whole ended."""


def part(reply: Reply, dialect: Dialect) -> Parted:
    """Thinking and answer, as the engine told them apart, or else by the dialect's markers: at the beginning of the
    text its opening, or a close on a line of its own where the server's prompt had opened the thinking. Markers in a
    code fence are code that mentions them."""
    end = SpanEnd.BUDGET if reply.finish == "length" else SpanEnd.END_OF_TURN
    thinking, answer = reply.thinking, reply.answer
    closed: SpanEnd | None = SpanEnd.THINK_CLOSE
    if thinking:
        if not answer and end is SpanEnd.BUDGET:
            closed = None
    else:
        opening = text_of(dialect.think_open).strip()
        inside = answer.lstrip().removeprefix(opening)
        opened = len(inside) < len(answer.lstrip())
        at, close = MarkerReader(Markers(dialect.closes), Fence()).read(inside, final=True)
        rest = inside[at + len(close or "") :]
        if close is not None and (opened or (inside[:at][-1:] in "\n" and rest[:1] in "\n")):
            thinking, answer, closed = inside[:at], rest, SpanEnd.THINK_CLOSE_TEXT
        elif opened:
            thinking, answer = inside, ""
            closed = None if end is SpanEnd.BUDGET else SpanEnd.END_OF_TURN
    return Parted(thinking.strip("\n"), answer.lstrip("\n"), closed, end)


def _loops(text: str) -> bool:
    guard = RepetitionGuard()
    return any(guard.push(text[at : at + _LOOK]) for at in range(0, len(text), _LOOK))
