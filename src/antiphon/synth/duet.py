"""One trace from problem to answer: two voices, one text.

    open      the models read the problem, each in its own dialect
    think     as the method says: in turns or alone (`antiphon.synth.thinking`), or taken (`antiphon.synth.taken`)
    close     a think marker, written by no model
    answer    one voice writes the final answer: the student in `tessy`

What a turn keeps is decided in `antiphon.synth.turn`; how one voice writes stands in `antiphon.synth.passage`.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.errors import RequestRefused, StreamBroken
from antiphon.problem import Problem
from antiphon.store import Saved
from antiphon.synth.methods import Revoiced, Turns
from antiphon.synth.passage import Task, Why
from antiphon.synth.record import Recorder
from antiphon.synth.score import Score
from antiphon.synth.stage import Ending, Stage
from antiphon.synth.taken import revoice, take_thinking, who_had_closed
from antiphon.synth.thinking import think_alone, think_in_turns, who_closed
from antiphon.trace import Author, Key, Kind, SpanEnd, Status, Trace


class Duet:
    """Writes one trace. Use once.

    Args:
        saved: what an earlier session left; writing goes on from there.
        before_turn: called before each turn; what it raises ends the writing, and the trace stays pending.
        given: a finished trace, if its thinking is taken.
    """

    def __init__(
        self,
        score: Score,
        problem: Problem,
        key: Key,
        recorder: Recorder,
        saved: Saved | None = None,
        before_turn: Callable[[], None] = lambda: None,
        given: Trace | None = None,
    ):
        saved = saved or Saved((), {}, 0)
        self._stage = Stage(score, problem, key, recorder, saved, before_turn)
        self._recorder = recorder
        self._given = given
        self._closed_by: Author | None = None

    async def write(self) -> Ending:
        """Writes the trace to its end and records it.

        Raises:
            EngineUnavailable: an engine is gone. What was kept is recorded, the trace stays pending.
        """
        manuscript = self._stage.manuscript
        self._recorder.begin()
        try:
            try:
                ending = await self._perform()
            except (RequestRefused, StreamBroken) as error:
                ending = Ending(Status.FAILED, str(error))
            manuscript.end_span(SpanEnd.SEAM)
        finally:
            manuscript.save()
            await self._stage.leave()
        await self._recorder.finish(
            ending.status, cause=ending.cause, closed_by=self._closed_by, usage=manuscript.usage
        )
        return ending

    async def _perform(self) -> Ending:
        """The whole trace, or what is missing of it."""
        stage = self._stage
        closed, given = stage.thinking_is_closed, self._given
        for role in stage.method.roles:
            # Where the thinking stands already, written or given, only the voice that answers is needed.
            if role is stage.method.answer or not (closed or given):
                speaker = await stage.enter(role)
                if speaker.room is not None and speaker.room < 2:
                    return Ending(Status.CONTEXT_FULL, f"the problem alone fills the {role}'s context")
        if not stage.spans:
            stage.open_thinking()
        await stage.read_saved()
        if closed:
            self._closed_by = who_closed(stage) if given is None else await who_had_closed(stage, given)
        else:
            thought = await self._think()
            if isinstance(thought, Ending):
                return thought
            self._closed_by = thought
            await stage.close_thinking()
        return await self._answer()

    async def _think(self) -> Author | Ending:
        """Who closed the thinking, or how the trace ended in it."""
        stage, thinking = self._stage, self._stage.method.thinking
        if isinstance(thinking, Turns):
            return await think_in_turns(stage, thinking)
        if self._given is None:
            return await think_alone(stage)
        return await (revoice if isinstance(thinking, Revoiced) else take_thinking)(stage, self._given)

    async def _answer(self) -> Ending:
        stage = self._stage
        left = await stage.passage(stage.answering, Task(Kind.ANSWER))
        if left.why is Why.LOOP:
            return Ending(Status.REPETITION, "the answer repeats itself")
        if left.why is Why.BUDGET:
            return Ending(Status.TOO_LONG, f"the answer reached its budget of {stage.score.answer_budget} tokens")
        if left.why is Why.CONTEXT:
            return Ending(Status.CONTEXT_FULL, "the answer fills the context")
        if not stage.manuscript.answered:
            return Ending(Status.NO_ANSWER, "the answer is empty")
        return Ending(Status.COMPLETE)
