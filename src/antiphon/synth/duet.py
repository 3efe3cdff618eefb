"""One trace from problem to answer: two voices, one text.

    open      both models read the problem, each in its own dialect
    think     in turns: the student opens; who is cut hands over (`_think_in_turns`)
    close     a think marker, written by no model
    answer    one voice writes the final answer: the student in `tessy`

What a turn keeps is decided in `antiphon.synth.turn`; how one voice writes stands in `antiphon.synth.passage`.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from antiphon.dialect import Part, text_of
from antiphon.errors import RequestRefused, StreamBroken
from antiphon.problem import Problem
from antiphon.store import Saved
from antiphon.synth.manuscript import Manuscript
from antiphon.synth.passage import Allowance, Left, Passage, Why, encode_anew
from antiphon.synth.record import Recorder
from antiphon.synth.score import Score
from antiphon.synth.voice import Speaker
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Turn

_OWN_KIND = {Author.STUDENT: Kind.STYLE, Author.TEACHER: Kind.CAPABILITY}


class Ending(NamedTuple):
    """How a trace ended."""

    status: Status
    cause: str = ""


class Duet:
    """Writes one trace. Use once.

    Args:
        saved: what an earlier session left; writing goes on from there.
        before_turn: called before each turn; what it raises ends the writing, and the trace stays pending.
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
        self._spans = saved.spans
        self._manuscript = Manuscript(score, recorder, saved.spans, saved.usage)
        self._speakers = self._manuscript.speakers
        self._seeds = seeds(score.seed, key, saved.turns)
        self._closed_by: Author | None = None
        self._answer_opened_at = 0

    async def write(self) -> Ending:
        """Writes the trace to its end and records it.

        Raises:
            EngineUnavailable: an engine is gone. What was kept is recorded, the trace stays pending.
        """
        self._recorder.begin()
        try:
            try:
                ending = await self._perform()
            except (RequestRefused, StreamBroken) as error:
                ending = Ending(Status.FAILED, str(error))
            self._manuscript.end_span(SpanEnd.SEAM)
        finally:
            self._manuscript.save()
            for speaker in self._speakers.values():
                await speaker.sequence.close()
        await self._recorder.finish(
            ending.status, cause=ending.cause, closed_by=self._closed_by, usage=self._manuscript.usage
        )
        return ending

    async def _perform(self) -> Ending:
        """The whole trace, or what is missing of it."""
        for role in self._score.method.roles:
            self._speakers[role] = await self._score.voices[role].speaker(self._problem.messages)
        for speaker in self._speakers.values():
            if speaker.room is not None and speaker.room < 2:
                return Ending(Status.CONTEXT_FULL, f"the problem alone fills the {speaker.voice.role}'s context")
        if not self._spans:
            self._open_thinking()
        await self._read_saved()
        if self._thinking_is_closed:
            self._closed_by = self._who_closed()
        else:
            lone = self._score.method.thinking
            ending = await (self._think_in_turns() if lone is None else self._think_alone(self._speakers[lone]))
            if ending is not None:
                return ending
            await self._close_thinking()
        return await self._answer()

    async def _think_in_turns(self) -> Ending | None:
        """Turns until one voice closes the thinking (None) or the trace ends here.

        Liveness: of two turns in a row one keeps a word. After two refusals the less sure author keeps its one word.
        """
        if self._stopped_before():
            return None
        author = self._next_author()
        silent: Left | None = None  # the turn before, if it kept no word
        while True:
            left = await self._passage(self._speakers[author], _OWN_KIND[author])
            ends = left.why is Why.CLOSE and not (self._score.only_student_closes and author is Author.TEACHER)
            if left.why is Why.END and author is Author.STUDENT:
                if silent is not None and silent.why is Why.END and not left.words:
                    return Ending(Status.NO_ANSWER, "both models ended their turn without a word")
                ends = True
            if ends:
                self._closed_by = author
                return None
            if left.why in (Why.BUDGET, Why.CONTEXT, Why.LOOP):
                return self._stopped_thinking(left.why)
            if left.words or silent is None:
                silent = None if left.words else left
                author = author.other
            else:
                author = (await self._force(silent, left)).other
                silent = None

    async def _force(self, *silent: Left) -> Author:
        """Two turns kept nothing: the author whose verdict was less sure keeps its one word (a tie: the student)."""
        refusals = [(turn.author, *turn.refused) for turn in silent if turn.refused is not None]
        author, kept, verdict = min(refusals, key=lambda r: (r[2].confidence, r[0] is not Author.STUDENT))
        speaker = self._speakers[author]
        await speaker.catch_up()
        if kept.ids:
            await speaker.sequence.append_ids(kept.ids)
        elif kept.pieces and not speaker.voice.has_ids:
            await speaker.sequence.append((Part(kept.text),))
        kept, reencoded = await encode_anew(speaker, kept)
        if speaker.session is not None:
            speaker.session.context(kept.text)
        kind = Kind.STYLE if verdict.style else Kind.CAPABILITY
        self._manuscript.keep(speaker, kind, kept, reencoded=reencoded, forced=True)
        self._manuscript.end_span(SpanEnd.SEAM, verdict.confidence)
        size = speaker.measure(kept.text, len(kept.ids))
        # Its tokens were received in the refused turn and counted there as thrown away.
        server = speaker.sequence.server
        self._manuscript.turned(Turn(author, server, 0, 0, size, 1, cut=False, seconds=0.0, requests=0))
        return author

    async def _think_alone(self, speaker: Speaker) -> Ending | None:
        if self._stopped_before():
            return None
        left = await self._passage(speaker, Kind.THINKING)
        if left.why in (Why.CLOSE, Why.END):
            self._closed_by = left.author
            return None
        return self._stopped_thinking(left.why)

    def _stopped_thinking(self, why: Why) -> Ending | None:
        if why is Why.LOOP:
            return Ending(Status.REPETITION, "the thinking repeats itself")
        if self._score.close_on_budget:
            self._closed_by = Author.NONE
            return None
        if why is Why.CONTEXT:
            return Ending(Status.CONTEXT_FULL, "the thinking fills the context")
        return Ending(Status.TOO_LONG, f"thinking reached its budget of {self._score.thinking_budget} tokens")

    def _open_thinking(self) -> None:
        """The first marker, in the dialect in which the response is stored."""
        script = self._score.script
        speaker = self._speakers.get(script.role)
        self._manuscript.mark(text_of(script.dialect.think_open), array("I") if speaker is None else speaker.opening)

    async def _close_thinking(self) -> None:
        """Closes the thinking in the answering voice's dialect, and in the record in the student's."""
        answering = self._speakers[self._score.method.answer]
        await answering.catch_up()
        before = self._manuscript.last
        parts = answering.voice.dialect.closing(before)
        ids = await answering.sequence.append(parts)
        self._answer_opened_at = answering.tokens
        script = self._score.script
        if script is answering.voice:
            self._manuscript.mark(text_of(parts), ids)
        else:
            self._manuscript.mark(text_of(script.dialect.closing(before)), array("I"))

    async def _answer(self) -> Ending:
        speaker = self._speakers[self._score.method.answer]
        left = await self._passage(speaker, Kind.ANSWER)
        if left.why is Why.LOOP:
            return Ending(Status.REPETITION, "the answer repeats itself")
        if left.why is Why.BUDGET:
            return Ending(Status.TOO_LONG, f"the answer reached its budget of {self._score.answer_budget} tokens")
        if left.why is Why.CONTEXT:
            return Ending(Status.CONTEXT_FULL, "the answer fills the context")
        if not self._manuscript.answered:
            return Ending(Status.NO_ANSWER, "the answer is empty")
        return Ending(Status.COMPLETE)

    async def _passage(self, speaker: Speaker, kind: Kind) -> Left:
        self._before_turn()
        await self._score.admission.turn()
        await speaker.catch_up()
        allowance = self._answer_allowance(speaker) if kind is Kind.ANSWER else self._thinking_allowance(speaker)
        left = await Passage(self._score, self._manuscript, speaker, kind, allowance, self._seeds).write()
        await self._recorder.ready()
        return left

    def _thinking_allowance(self, speaker: Speaker) -> Allowance:
        """The smallest of: the thinking's budget, the counting voice's context less the answer's budget, and this
        voice's own context."""
        counting = self._speakers.get(Author.STUDENT, speaker)
        spent = counting.tokens - counting.opened_at + counting.unheard_tokens
        rooms = [Allowance(self._score.thinking_budget - spent, Why.BUDGET)]
        answering = self._speakers[self._score.method.answer]
        if answering.room is not None:
            left = answering.room - answering.unheard_tokens - self._score.answer_budget
            rooms.append(Allowance(left, Why.CONTEXT))
        if speaker.room is not None:
            rooms.append(Allowance(speaker.room, Why.CONTEXT))
        return min(rooms, key=lambda allowance: allowance.tokens)

    def _answer_allowance(self, speaker: Speaker) -> Allowance:
        left = self._score.answer_budget - (speaker.tokens - self._answer_opened_at)
        if speaker.room is not None and speaker.room < left:
            return Allowance(speaker.room, Why.CONTEXT)
        return Allowance(left, Why.BUDGET)

    # -- taking up a trace that an earlier session began

    async def _read_saved(self) -> None:
        """All voices read what is already kept: their own ids as they sampled them, the rest as text."""
        for role, speaker in self._speakers.items():
            before = ""
            for span in self._spans[1:]:
                if span.kind is Kind.MARKER:
                    await speaker.catch_up()
                    await speaker.sequence.append(speaker.voice.dialect.closing(before))
                    self._answer_opened_at = speaker.tokens
                elif span.author is role and span.ids_from is not IdsFrom.NONE:
                    await speaker.catch_up()
                    await speaker.sequence.append_ids(span.ids)
                    if speaker.session is not None:
                        speaker.session.context(span.text)
                else:
                    speaker.hear(span.text, len(span.ids))
                before = span.text or before

    @property
    def _thinking_is_closed(self) -> bool:
        return any(span.kind is Kind.MARKER for span in self._spans[1:])

    @property
    def _last_thought(self) -> Span | None:
        thinking = [span for span in self._spans if span.kind not in (Kind.MARKER, Kind.ANSWER)]
        return thinking[-1] if thinking else None

    def _next_author(self) -> Author:
        """Who writes the next turn: the student opens; after a finished span it is the other's turn."""
        last = self._last_thought
        if last is None:
            return Author.STUDENT
        return last.author if last.end is None else last.author.other

    def _stopped_before(self) -> bool:
        """Whether a voice had closed the thinking when an earlier session ended, just before the marker."""
        last = self._last_thought
        if last is None:
            return False
        alone_or_student = self._score.method.thinking is not None or last.author is Author.STUDENT
        if last.end is not None and last.end.closes_thinking:
            closed = alone_or_student or not self._score.only_student_closes
        else:
            closed = last.end is SpanEnd.END_OF_TURN and alone_or_student
        if closed:
            self._closed_by = last.author
        return closed

    def _who_closed(self) -> Author:
        """Who closed a thinking whose marker is already there, as far as its last span tells."""
        last = self._last_thought
        if last is None:
            return self._score.method.roles[0]
        if last.end is SpanEnd.END_OF_TURN or (last.end is not None and last.end.closes_thinking):
            return last.author
        return Author.NONE if last.end in (SpanEnd.BUDGET, SpanEnd.CONTEXT) else last.author.other


def seeds(seed: int | None, key: Key, turns: int) -> Iterator[int | None]:
    """One for each request: none, or a 32-bit hash of the run's seed, the trace and the request's number."""
    while True:
        turns += 1
        if seed is None:
            yield None
        else:
            digest = hashlib.sha256(repr((seed, key.problem, key.sample, turns)).encode("utf-8", "surrogatepass"))
            yield int.from_bytes(digest.digest()[:4], "big")
