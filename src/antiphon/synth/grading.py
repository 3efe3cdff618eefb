"""A teacher grades responses. Each of its replies is a call that hangs on the trace, and is asked for once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from antiphon.problem import Problem
from antiphon.store import Reader, Saved, Store
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.reply import writer_for
from antiphon.synth.score import Listener, Score
from antiphon.synth.wording import grade, graded, response_of
from antiphon.trace import Author, Key, Kind, Trace, Turn, Usage

TRIES = 3
"""How often a grade is asked for in a session, if it cannot be read."""


class Grader:
    """Grades what one trace may be made of.

    Args:
        score: by which the teacher writes alone.
        key: of the trace.
        before_turn: as a `Duet`'s.
    """

    def __init__(self, score: Score, store: Store, reader: Reader, key: Key, before_turn: Callable[[], None]):
        self._score = replace(score, listener=_Counting(score.listener))
        self._store, self._key, self._before_turn = store, key, before_turn
        self._earlier = reader.calls(key)

    async def grade(self, problem: Problem, candidate: Trace) -> float | None:
        """Its grade, 1 to 10; None where the teacher gave none that can be read.

        Raises:
            EngineUnavailable: the teacher's engine is gone; grades that were given are recorded.
        """
        purpose = f"grade {candidate.key}"
        earlier = [call.text for call in self._earlier if call.purpose == purpose]
        value = next((value for reply in earlier if (value := grade(reply)) is not None), None)
        for number in range(len(earlier), len(earlier) + TRIES):
            if value is None:
                value = grade(await self._ask(problem, candidate, purpose, number))
        return value

    async def _ask(self, problem: Problem, candidate: Trace, purpose: str, number: int) -> str:
        asked = Problem(problem.id, graded(problem.messages, response_of(candidate)))
        recorder = MemoryRecorder()
        key = Key(purpose, self._key.variant, number)  # each reply has seeds of its own
        await writer_for(self._score)(self._score, asked, key, recorder, Saved((), {}, 0), self._before_turn).write()
        reply = "".join(span.text for span in recorder.spans if span.kind is Kind.ANSWER)
        self._store.add_call(self._key, Author.TEACHER, purpose, recorder.usage.get(Author.TEACHER, Usage()), reply)
        return reply


class _Counting(Listener):
    """Passes on what a turn cost; what was said is no part of the trace."""

    def __init__(self, listener: Listener):
        self._listener = listener

    def turned(self, turn: Turn) -> None:
        self._listener.turned(turn)
