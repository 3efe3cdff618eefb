"""What all parts of one trace share: the voices in it, its text so far, and the room that is left."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from antiphon.dialect import text_of
from antiphon.problem import Problem
from antiphon.store import Saved
from antiphon.synth.manuscript import Manuscript
from antiphon.synth.methods import Method
from antiphon.synth.passage import Allowance, Left, Passage, Task, Why
from antiphon.synth.record import Recorder
from antiphon.synth.score import Score
from antiphon.synth.voice import Speaker
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, Status


class Ending(NamedTuple):
    """How a trace ended."""

    status: Status
    cause: str = ""


class Stage:
    """One trace being written.

    Attributes:
        spans: what an earlier session left.
        manuscript: the text.
        speakers: by role, those that have entered.
    """

    def __init__(
        self,
        score: Score,
        problem: Problem,
        key: Key,
        recorder: Recorder,
        saved: Saved,
        before_turn: Callable[[], None],
    ):
        self.score = score
        self.spans = saved.spans
        self.manuscript = Manuscript(score, recorder, saved.spans, saved.usage)
        self.speakers = self.manuscript.speakers
        self._problem = problem
        self._key = key
        self._recorder = recorder
        self._before_turn = before_turn
        self._seeds = seeds(score.seed, key, saved.turns)
        self._answer_opened_at = 0

    @property
    def method(self) -> Method:
        """How it is written."""
        return self.score.method

    @property
    def answering(self) -> Speaker:
        """Who writes the answer."""
        return self.speakers[self.method.answer]

    async def enter(self, role: Author) -> Speaker:
        """A voice reads the problem."""
        speaker = await self.score.voices[role].speaker(self._problem.messages, self._key)
        self.speakers[role] = speaker
        return speaker

    async def leave(self) -> None:
        """All voices let go of what they hold."""
        for speaker in self.speakers.values():
            await speaker.sequence.close()

    def open_thinking(self) -> None:
        """The first marker, in the dialect in which the response is stored."""
        script = self.score.script
        speaker = self.speakers.get(script.role)
        self.manuscript.mark(text_of(script.dialect.think_open), array("I") if speaker is None else speaker.opening)

    async def close_thinking(self) -> None:
        """Closes the thinking in the answering voice's dialect, and in the record in the student's."""
        answering, script, before = self.answering, self.score.script, self.manuscript.last
        await answering.catch_up()
        parts = answering.voice.dialect.closing(before)
        ids = await answering.sequence.append(parts)
        self._answer_opened_at = answering.tokens
        if script is answering.voice:
            self.manuscript.mark(text_of(parts), ids)
        else:
            self.manuscript.mark(text_of(script.dialect.closing(before)), array("I"))

    async def passage(self, speaker: Speaker, task: Task) -> Left:
        """A voice writes."""
        self._before_turn()
        await self.score.admission.turn()
        await speaker.catch_up()
        in_answer = task.kind is Kind.ANSWER
        allowance = self._answer_allowance(speaker) if in_answer else self._thinking_allowance(speaker)
        left = await Passage(self.score, self.manuscript, speaker, task, allowance, self._seeds).write()
        await self._recorder.ready()
        return left

    def spent(self, speaker: Speaker) -> Why | None:
        """What this voice has run into, if it may think no further."""
        allowance = self._thinking_allowance(speaker)
        return allowance.spent if allowance.tokens < 1 else None

    def stopped(self, why: Why) -> Author | Ending:
        """What it means that the thinking cannot go on: nobody closes it and the answer follows, or the trace ends."""
        if why is Why.LOOP:
            return Ending(Status.REPETITION, "the thinking repeats itself")
        if self.score.close_on_budget:
            return Author.NONE
        if why is Why.CONTEXT:
            return Ending(Status.CONTEXT_FULL, "the thinking fills the context")
        return Ending(Status.TOO_LONG, f"thinking reached its budget of {self.score.thinking_budget} tokens")

    def _thinking_allowance(self, speaker: Speaker) -> Allowance:
        """The smallest of: the thinking's budget, the counting voice's context less the answer's budget, and this
        voice's own context."""
        counting = self.speakers.get(Author.STUDENT, speaker)
        spent = counting.tokens - counting.opened_at + counting.unheard_tokens
        rooms = [Allowance(self.score.thinking_budget - spent, Why.BUDGET)]
        answering = self.answering
        if answering.room is not None:
            left = answering.room - answering.unheard_tokens - self.score.answer_budget
            rooms.append(Allowance(left, Why.CONTEXT))
        if speaker.room is not None:
            rooms.append(Allowance(speaker.room, Why.CONTEXT))
        return min(rooms, key=lambda allowance: allowance.tokens)

    def _answer_allowance(self, speaker: Speaker) -> Allowance:
        left = self.score.answer_budget - (speaker.tokens - self._answer_opened_at)
        if speaker.room is not None and speaker.room < left:
            return Allowance(speaker.room, Why.CONTEXT)
        return Allowance(left, Why.BUDGET)

    # -- what an earlier session left

    async def read_saved(self) -> None:
        """All voices read what is already kept: their own ids as they sampled them, the rest as text."""
        for role, speaker in self.speakers.items():
            before = ""
            for span in self.spans[1:]:
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
    def thinking_is_closed(self) -> bool:
        """Whether the marker behind the thinking stands already."""
        return any(span.kind is Kind.MARKER for span in self.spans[1:])

    @property
    def last_thought(self) -> Span | None:
        """The last span of the thinking that was left, if any."""
        thinking = [span for span in self.spans if span.kind not in (Kind.MARKER, Kind.ANSWER)]
        return thinking[-1] if thinking else None


def seeds(seed: int | None, key: Key, turns: int) -> Iterator[int | None]:
    """One for each request: none, or a 32-bit hash of the run's seed, the trace and the request's number."""
    while True:
        turns += 1
        if seed is None:
            yield None
        else:
            digest = hashlib.sha256(repr((seed, key.problem, key.sample, turns)).encode("utf-8", "surrogatepass"))
            yield int.from_bytes(digest.digest()[:4], "big")
