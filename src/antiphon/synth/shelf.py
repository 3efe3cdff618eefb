"""The traces of a run directory that others are made of: taken where they are there, else written first.

What one model writes alone is the same whichever method asks for it. So a thinking, or a whole trace, is looked for in
all variants that this model wrote alone by the same settings, and nothing that was paid for is generated again. What
has to be written goes to a variant of its own, `VARIANT.METHOD`, where it is a trace like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.store import Reader, Saved, Store
from antiphon.synth.cast import Cast
from antiphon.synth.methods import METHODS
from antiphon.synth.reply import writer_for
from antiphon.synth.shaping import same_hand
from antiphon.trace import Key, Status, Trace


class Shelf:
    """Finished traces, for one variant.

    Args:
        before_turn: as a `Duet`'s.

    Raises:
        VariantChanged: what was written for this one has other settings.
    """

    def __init__(self, store: Store, reader: Reader, cast: Cast, variant: str, before_turn: Callable[[], None]):
        self._store, self._reader, self._cast = store, reader, cast
        self._variant = variant
        self._before_turn = before_turn
        self._added: set[str] = set()
        known = reader.variants()
        for name in cast.parts:
            if any(other.name == self._own(name) for other in known):
                self._add(name)
        self._variants = {
            name: [
                other.name
                for other in known
                if other.name != variant and same_hand(other.shaping, part.shaping, METHODS[name].answer)
            ]
            for name, part in cast.parts.items()
        }

    def find(self, method: str, problem: str, sample: int) -> Trace | None:
        """A trace by this method that ended by itself, whichever way. (One that failed did not.)"""
        for variant in self._variants[method]:
            trace = self._trace(Key(problem, variant, sample))
            if trace is not None and trace.status not in (None, Status.FAILED):
                return trace
        return None

    async def provide(self, method: str, problem: Problem, sample: int) -> Trace:
        """The same, written now if it is not there. It may have failed.

        Raises:
            EngineUnavailable: see `Duet.write`.
        """
        found = self.find(method, problem.id, sample)
        if found is not None:
            return found
        if method not in self._added:
            self._add(method)
            self._variants[method].append(self._own(method))
        part, key = self._cast.parts[method], Key(problem.id, self._own(method), sample)
        self._store.plan([key])
        before = self._reader.trace(key)
        saved, recorder = self._store.saved(key), self._store.recorder(key)
        if before.status is not None:
            saved = Saved((), saved.usage, saved.turns)
            recorder.begin(anew=True)
        await writer_for(part.score)(part.score, problem, key, recorder, saved, self._before_turn).write()
        return self._reader.trace(key)

    def origin(self, key: Key) -> Trace | None:
        """The trace of which this one was made, first of all."""
        sources = self._reader.trace(key).made_from
        return self._reader.trace(sources[0]) if sources else None

    def link(self, key: Key, sources: Iterable[Trace]) -> None:
        """A trace is made of these."""
        self._store.set_made_from(key, [source.key for source in sources])

    def _own(self, method: str) -> str:
        """The variant of what is written to be made of."""
        return f"{self._variant}.{method}"

    def _add(self, method: str) -> None:
        """Raises VariantChanged where it is there by other settings."""
        self._added.add(method)
        self._store.add_variant(self._own(method), self._cast.parts[method].shaping, self._cast.about)

    def _trace(self, key: Key) -> Trace | None:
        try:
            return self._reader.trace(key)
        except UsageError:
            return None
