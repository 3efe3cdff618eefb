"""One voice writes: streams, shows its words to the predictor, stops at the boundary, rolls back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto
from typing import NamedTuple

from antiphon import events
from antiphon.boundary.base import Verdict
from antiphon.dialect import Part
from antiphon.engine.base import Finish, Piece
from antiphon.errors import StreamBroken
from antiphon.synth.ahead import UNJUDGED, First, Reach
from antiphon.synth.manuscript import Manuscript
from antiphon.synth.score import Score
from antiphon.synth.turn import Kept, Proposal
from antiphon.synth.voice import Speaker
from antiphon.trace import Author, Kind, SpanEnd, Turn

_SETTLE_EVERY = 0.1
"""Seconds after which what stands is kept before the turn ends: what is not kept yet is asked again after a kill."""


class Why(Enum):
    """Why a voice stopped."""

    CUT = auto()  # its predictor saw the other's class begin
    CLOSE = auto()  # it closed the thinking
    END = auto()  # it ended its turn
    BUDGET = auto()
    CONTEXT = auto()
    LOOP = auto()


_SPAN_END = {
    Why.CUT: SpanEnd.BOUNDARY,
    Why.CLOSE: SpanEnd.THINK_CLOSE,
    Why.END: SpanEnd.END_OF_TURN,
    Why.BUDGET: SpanEnd.BUDGET,
    Why.CONTEXT: SpanEnd.CONTEXT,
    Why.LOOP: SpanEnd.SEAM,
}


class Allowance(NamedTuple):
    """How many tokens a voice may write now, and what it has run into when they are spent."""

    tokens: int
    spent: Why


class Task(NamedTuple):
    """What a voice is to write.

    `style` is whether its own class is style, where a predictor watches it (None: nobody does). `rolls_back` False:
    what it writes past a boundary is kept, to the end of the request in which the boundary was seen.
    """

    kind: Kind
    style: bool | None = None
    rolls_back: bool = True


class Left(NamedTuple):
    """How a passage ended. `words`: it kept some. `refused`: its first word, where that was of the other class."""

    author: Author
    why: Why
    words: bool
    refused: tuple[Kept, Verdict] | None


class Passage:
    """One voice's turn, thinking of its own or answer. Use once.

    Args:
        seeds: gives each request's seed.
    """

    def __init__(
        self,
        score: Score,
        manuscript: Manuscript,
        speaker: Speaker,
        task: Task,
        allowance: Allowance,
        seeds: Iterator[int | None],
    ):
        self._score = score
        self._manuscript = manuscript
        self._speaker = speaker
        self._kind = task.kind
        self._judged = task.style is not None
        self._in_thinking = task.kind is not Kind.ANSWER
        self._allowance = allowance
        self._seeds = seeds
        self._goes_on = manuscript.is_interrupted(speaker.voice.role, task.kind)
        self._proposal = Proposal(
            style=bool(task.style),
            start=manuscript.position,
            goes_on=self._goes_on,
            rolls_back=task.rolls_back,
            markers=speaker.voice.markers(in_thinking=self._in_thinking),
            fence=manuscript.fence,
        )
        self._began = time.monotonic()
        self._settled_last = self._began
        self._began_at = speaker.tokens
        self._settled = speaker.sequence.length  # of the sequence, up to what is kept
        self._requests = self._asked = self._received = self._kept = self._words = 0
        self._prompt = self._told = self._seen = 0
        self._first = First()
        self._cached: int | None = None

    async def write(self) -> Left:
        """Writes until the voice stops or has to stop, and keeps what stands.

        Raises:
            RequestRefused, EngineUnavailable: from the engine; what was settled stays kept.
        """
        try:
            why = await self._judge_last_words(await self._propose())
        except BaseException:  # an outage or a stop, too: what was received has to be paid for
            if self._requests:
                self._record(cut=False, rejected="")
            raise
        proposal, author = self._proposal, self._speaker.voice.role
        refused = proposal.keep_refused_word() if why is Why.CUT and proposal.refused else None
        rejected = await self._keep_what_stands(why)
        if self._manuscript.looping:
            why = Why.LOOP
        if rejected:
            self._score.listener.rolled_back(author, rejected)
        words = self._words > 0 or self._goes_on
        if words or not self._judged:
            cut = proposal.cut
            by_text = why is Why.CLOSE and proposal.closed
            end = SpanEnd.THINK_CLOSE_TEXT if by_text else _SPAN_END[why]
            self._manuscript.end_span(end, cut.confidence if cut is not None else None)
        if self._requests:
            self._record(cut=why is Why.CUT, rejected=rejected)
        return Left(author, why, words, refused)

    async def _propose(self) -> Why:
        """Streams until it is known why to stop."""
        speaker = self._speaker
        patience = 1
        while True:
            if self._proposal.overrun:
                return Why.CUT
            at = speaker.tokens
            left = self._allowance.tokens - (at - self._began_at)
            if left < 1:
                return self._allowance.spent
            reach = self._reach(left)
            ask = min(left, reach.ask * patience)
            seen, speaker.seen = min(at, speaker.seen), at
            self._requests += 1
            self._prompt += at
            self._asked += ask
            try:
                seed = next(self._seeds)
                async with speaker.stream(
                    ask, in_thinking=self._in_thinking, seed=seed, look=min(ask, reach.look * patience)
                ) as stream:
                    async for chunk in stream:
                        self._count_cached(chunk.cached, at, seen)
                        why = await self._watch(chunk.pieces) or self._finished(chunk.finish)
                        if why is not None:
                            return why
            except StreamBroken as error:
                self._broken(error)
                continue
            if speaker.tokens > at:
                patience = 1
            elif ask == left:
                return self._allowance.spent
            else:  # a character of more tokens than were asked for
                patience *= 2

    def _reach(self, left: int) -> Reach:
        if not self._judged:
            return Reach(left, min(left, UNJUDGED))
        speaker = self._speaker
        return self._score.run_ahead.reach(speaker.voice.role, speaker.sequence.server, left, seen=speaker.seen)

    async def _watch(self, pieces: tuple[Piece, ...]) -> Why | None:
        """Takes what arrived; settles what no later verdict can touch."""
        proposal = self._proposal
        self._received += sum(self._speaker.measure(piece.text, len(piece.ids)) for piece in pieces)
        if not self._first.tokens:
            self._first = First(time.monotonic() - self._began, self._received)
        said, control = self._speaker.voice.before_control(pieces)
        text = proposal.receive(said)
        if text:
            self._score.listener.proposed(self._speaker.voice.role, self._kind, text)
        if self._judged:
            proposal.judge(await self._speaker.judge(text))
        else:
            proposal.approve()
        if (now := time.monotonic()) - self._settled_last >= _SETTLE_EVERY:
            self._settled_last = now
            self._keep(proposal.settle())
            if self._manuscript.looping:
                return Why.LOOP
        if proposal.decided:
            return self._found() or Why.CUT
        return None if control is None else self._stopped_at(control)

    def _count_cached(self, cached: int | None, prompt: int, seen: int) -> None:
        if cached is not None:
            self._cached = (self._cached or 0) + cached
            self._told += prompt
            self._seen += seen

    def _finished(self, finish: Finish | None) -> Why | None:
        if finish is None:
            return None
        voice = self._speaker.voice
        if finish.reason == "invalid":
            raise StreamBroken(f"{voice.engine.name} wrote bytes that are not UTF-8")
        if finish.reason != "stop":
            return None
        return self._stopped_at(finish.stop_id)

    def _stopped_at(self, control: int | None) -> Why:
        """What it means that the voice wrote this control token, or ended without naming one."""
        return Why.CLOSE if self._in_thinking and control in self._speaker.voice.closes else Why.END

    def _found(self) -> Why | None:
        """What a marker in the text means, if there was one."""
        if self._proposal.closed:
            return Why.CLOSE
        return Why.END if self._proposal.ended else None

    async def _judge_last_words(self, why: Why) -> Why:
        """The voice stopped: judges the words still unjudged. A cut found here wins over an end or a close. At a budget
        or a full context, and at the end of a chunk that is kept beyond its boundary, the unfinished word is dropped
        first."""
        speaker, proposal = self._speaker, self._proposal
        if why is Why.LOOP:
            return why
        if not self._judged:
            proposal.release()
            proposal.approve()
        elif why in (Why.CLOSE, Why.END):
            proposal.judge(await speaker.judge(proposal.release(), finish=True))
        elif why in (Why.BUDGET, Why.CONTEXT) or proposal.overrun:
            assert speaker.session is not None
            speaker.session.rollback(proposal.drop_unfinished_word())
            proposal.judge(await speaker.judge("", finish=True))
        if proposal.rolls_back and proposal.cut is not None and (proposal.decided or why in (Why.CLOSE, Why.END)):
            return Why.CUT
        return self._found() or why

    async def _keep_what_stands(self, why: Why) -> str:
        """Keeps what the turn leaves and rolls the rest back; gives the text rolled back."""
        speaker, proposal = self._speaker, self._proposal
        pending = proposal.pending
        if why is Why.LOOP:
            kept = Kept()
        elif self._judged and (why in (Why.BUDGET, Why.CONTEXT) or (why is Why.CUT and proposal.overrun)):
            kept = proposal.keep_whole_words()
        else:
            kept = proposal.keep()
        speaker.sequence.truncate(self._settled + speaker.measure(kept.text, len(kept.ids)))
        kept, reencoded = await encode_anew(speaker, kept)
        kept = self._keep(kept, reencoded=reencoded)
        speaker.sequence.truncate(self._settled)
        speaker.seen = speaker.tokens
        if self._judged and speaker.session is not None:
            speaker.session.rollback(self._manuscript.position)
        return pending[len(kept.text) :]

    def _keep(self, kept: Kept, *, reencoded: bool = False) -> Kept:
        kept = self._manuscript.keep(self._speaker, self._kind, kept, reencoded=reencoded)
        size = self._speaker.measure(kept.text, len(kept.ids))
        self._settled += size
        self._kept += size
        self._words += len(kept.words)
        return kept

    def _broken(self, error: StreamBroken) -> None:
        self._manuscript.breaks += 1
        events.happened("stream_broken", role=self._speaker.voice.role, cause=str(error))
        if self._manuscript.breaks > self._score.breaks:
            raise StreamBroken(f"{error}; it was broken stream {self._manuscript.breaks} of this trace (guards.breaks)")

    def _record(self, *, cut: bool, rejected: str) -> None:
        turn = Turn(
            role=self._speaker.voice.role,
            server=self._speaker.sequence.server,
            asked=self._asked,
            received=self._received,
            kept=self._kept,
            words=self._words,
            cut=cut,
            seconds=time.monotonic() - self._began,
            requests=self._requests,
            cached=self._cached,
            prompt=self._prompt,
            told=self._told,
            rejected=(rejected or None) if self._score.keep_rejected else None,
        )
        self._manuscript.turned(turn)
        if turn.cached is not None:
            self._score.admission.learn(turn.role, self._seen, turn.cached)
        if self._judged:
            self._learn(turn)

    def _learn(self, turn: Turn) -> None:
        voice, first = self._speaker.voice, self._first
        assert voice.predictor is not None
        if not voice.has_ids:  # requests ask for tokens
            turn = replace(turn, received=voice.in_tokens(turn.received), kept=voice.in_tokens(turn.kept))
            first = first._replace(tokens=voice.in_tokens(first.tokens))
        self._score.run_ahead.learn(turn, first=first, lookahead=voice.predictor.lookahead)


async def encode_anew(speaker: Speaker, kept: Kept) -> tuple[Kept, bool]:
    """Encodes the text of a token that was cut in two at the end of the sequence. True where there was such text."""
    if not kept.anew:
        return kept, False
    ids = await speaker.sequence.append((Part(kept.anew),))
    return Kept((*kept.pieces, Piece(kept.anew, tuple(ids))), kept.words), True
