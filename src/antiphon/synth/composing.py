"""Each trace of a run by its method: written by itself, or made of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from antiphon.dialect import text_of
from antiphon.plural import many
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.synth.cast import Cast
from antiphon.synth.duet import Duet
from antiphon.synth.grading import Grader
from antiphon.synth.methods import METHODS, PROBLEMS, TEACHERS, Alone, BestOf, Mixed, Revoiced
from antiphon.synth.record import Recorder
from antiphon.synth.reply import writer_for
from antiphon.synth.shelf import Shelf
from antiphon.synth.stage import Ending
from antiphon.synth.taken import thinking_of
from antiphon.synth.voice import Voice
from antiphon.synth.wording import response_of, shown
from antiphon.trace import Key, Kind, Status, Trace, pack_ids


class Composer:
    """Writes the traces of one variant.

    Args:
        source: the variant that is written anew, with the method that does so.
        candidates: how many traces the best is chosen from.
        before_turn: as a `Duet`'s.
    """

    def __init__(
        self,
        cast: Cast,
        problems: Mapping[str, Problem],
        store: Store,
        reader: Reader,
        variant: str,
        *,
        source: str | None,
        candidates: int,
        before_turn: Callable[[], None],
    ):
        self._cast, self._problems, self._store, self._reader = cast, problems, store, reader
        self._source, self._candidates = source, candidates
        self._before_turn = before_turn
        self._shelf = Shelf(store, reader, cast, variant, before_turn)
        mixed = isinstance(cast.score.method.thinking, Mixed)
        self._places = reader.places() if mixed else {}

    async def write(self, key: Key) -> Ending:
        """One trace to its end.

        Raises:
            EngineUnavailable: an engine is gone. What was kept is recorded, the trace stays pending.
        """
        method, problem = self._cast.score.method, self._problems[key.problem]
        match method.thinking:
            case Mixed(names):
                return await self._by(names[self._places[problem.id] % len(names)], problem, key)
            case BestOf(name):
                return await self._best(name, problem, key)
            case Revoiced():
                return await self._revoiced(problem, key)
            case Alone(role) if role is not method.answer:
                return await self._answered(problem, key)
        if method.shown is not None:
            return await self._shown(method.shown, problem, key)
        return await self._alone(problem, key)

    async def _alone(self, problem: Problem, key: Key, given: Trace | None = None) -> Ending:
        """Without others, or on from what is given."""
        score, saved, recorder = self._cast.score, self._store.saved(key), self._store.recorder(key)
        if given is not None:
            return await Duet(score, problem, key, recorder, saved, self._before_turn, given).write()
        return await writer_for(score)(score, problem, key, recorder, saved, self._before_turn).write()

    async def _by(self, name: str, problem: Problem, key: Key) -> Ending:
        """By another method: what it wrote already, else written here."""
        saved = self._store.saved(key)
        begun = bool(saved.spans)
        found = self._shelf.origin(key) if begun else self._shelf.find(name, key.problem, key.sample)
        if found is not None:
            return await self._copy(key, found, [found])
        # In a run directory that was merged problems stand in another order; whoever began goes on.
        begun_by = next((span.author for span in saved.spans if span.kind is not Kind.MARKER), None)
        name = next((part for part in self._cast.parts if METHODS[part].opener is begun_by), name)
        score = self._cast.parts[name].score
        return await writer_for(score)(score, problem, key, self._store.recorder(key), saved, self._before_turn).write()

    async def _answered(self, problem: Problem, key: Key) -> Ending:
        """One model's thinking, another's answer."""
        (name,) = self._cast.parts
        if self._store.saved(key).spans:
            return await self._alone(problem, key, self._shelf.origin(key))
        score = self._cast.parts[name].score
        if score.voices[score.method.answer].continues:
            thought = self._shelf.find(name, key.problem, key.sample)
        else:  # it gives whole replies only
            thought = await self._shelf.provide(name, problem, key.sample)
        if thought is not None:
            self._shelf.link(key, [thought])
        return await self._alone(problem, key, thought)

    async def _shown(self, whose: str, problem: Problem, key: Key) -> Ending:
        """By a model that is shown a response."""
        if whose == PROBLEMS:
            response = str(problem.metadata["reference"])
        else:
            reference = await self._shelf.provide(TEACHERS, problem, key.sample)
            self._shelf.link(key, [reference])
            if reference.status is not Status.COMPLETE:
                return await self._end(key, reference, f"the response to be shown: {reference.cause}")
            response = response_of(reference)
        return await self._alone(replace(problem, messages=shown(problem.messages, response)), key)

    async def _best(self, name: str, problem: Problem, key: Key) -> Ending:
        """The best of some candidates, by the teacher's grades."""
        samples = range(key.sample * self._candidates, (key.sample + 1) * self._candidates)
        candidates = [await self._shelf.provide(name, problem, sample) for sample in samples]
        whole = [candidate for candidate in candidates if candidate.status is Status.COMPLETE]
        self._shelf.link(key, candidates)
        if not whole:
            first = candidates[0]
            why = first.cause or first.status
            cause = f"none of {many(len(candidates), 'candidate')} is complete; the first: {why}"
            return await self._end(key, first, cause)
        grader = Grader(self._cast.parts[TEACHERS].score, self._store, self._reader, key, self._before_turn)
        grades = [await grader.grade(problem, candidate) for candidate in whole]
        graded = [(grade, -place) for place, grade in enumerate(grades) if grade is not None]
        if not graded:
            return await self._end(
                key, None, f"no grade could be read in the teacher's replies (candidates: {len(whole)})"
            )
        best = whole[-max(graded)[1]]
        return await self._copy(key, best, [best, *(other for other in candidates if other is not best)])

    async def _revoiced(self, problem: Problem, key: Key) -> Ending:
        """From a trace of the source."""
        assert self._source is not None, "the method needs one"
        source = self._reader.trace(Key(key.problem, self._source, key.sample))
        thinking = thinking_of(source)
        self._shelf.link(key, [source])
        if {span.kind for span in thinking} != {Kind.THINKING} or len({span.author for span in thinking}) > 1:
            return await self._end(key, None, f"{source.key} has no thinking of one author alone")
        return await self._alone(problem, key, source)

    async def _copy(self, key: Key, trace: Trace, sources: Sequence[Trace]) -> Ending:
        """The trace is another's, as it is."""
        recorder = self._store.recorder(key)
        recorder.begin(anew=True)
        self._shelf.link(key, sources)
        _record(trace, self._cast.score.script, recorder)
        assert trace.status is not None, "it is finished"
        await recorder.finish(trace.status, cause=trace.cause, closed_by=trace.closed_by)
        return Ending(trace.status, trace.cause)

    async def _end(self, key: Key, like: Trace | None, cause: str) -> Ending:
        """There is nothing to write: it ends as one that it was to be made of did."""
        status = Status.FAILED if like is None or like.status is None else like.status
        recorder = self._store.recorder(key)
        recorder.begin(anew=True)
        await recorder.finish(status, cause=cause)
        return Ending(status, cause)


def _record(trace: Trace, script: Voice, recorder: Recorder) -> None:
    """A trace's spans, between the markers in which this variant's responses are stored."""
    before = None
    for index, span in enumerate(trace.spans):
        if span.kind is Kind.MARKER:
            marker = text_of(script.dialect.think_open if before is None else script.dialect.closing(before))
            if marker != span.text:
                span = replace(span, text=marker, ids=pack_ids())
        recorder.close_span(index, span)
        before = span.text
