"""Responses into the record of a run: each once, some megabytes at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from antiphon.dialect import Dialect
from antiphon.errors import ProblemError, UsageError
from antiphon.imports.record import Answer
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Author, Key, Kind, Span, Status, Usage, Verdict
from antiphon.version import __version__

METHOD = "import"
PURPOSE = "import"
"""Of the call that hangs on a trace and says where it came from."""
VERIFIER = "imported:"
"""Begins the name of a verifier that is a field of a row."""
UNNAMED = "imported"
"""The variant of rows that name no model."""

_VERDICT_VERSION = "1"


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        rows: how many rows were read.
        added: new traces, by variant and status.
        known: responses that were there before.
        implicit: new traces that begin in mid-thinking: their prompt had opened it.
        bad: every row or response that could not be taken; each message begins with its file and line.
        changed: every row of which another response, ending or verdict was imported before; that one is kept.
        repaired: what an earlier writer of the run directory left that died, in a sentence.
    """

    rows: int = 0
    added: dict[str, Counter[Status]] = dataclasses.field(default_factory=dict)
    known: int = 0
    implicit: int = 0
    bad: list[ProblemError] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)
    repaired: str | None = None


class _Item(NamedTuple):
    """A response on its way to the record."""

    problem: Problem
    variant: str
    answer: Answer
    spans: tuple[Span, ...]

    @property
    def place(self) -> str:
        """Where it came from: file, line, and which of several responses."""
        number = self.answer.number
        return self.problem.place if number is None else f"{self.problem.place}#{number + 1}"

    @property
    def ending(self) -> tuple[Status, str]:
        """How the trace ended, and why."""
        if self.answer.cut:
            return Status.TOO_LONG, "cut off where it was made"
        response = self.answer.response
        if response.thinking is not None and not response.closed:
            return Status.NO_ANSWER, "the thinking is never closed"
        return (Status.COMPLETE, "") if response.answer.strip() else (Status.NO_ANSWER, "the answer is empty")

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What its row said of it."""
        return tuple(
            Verdict(f"{VERIFIER}{name}", _VERDICT_VERSION, label, "as its row says")
            for name, label in self.answer.labels
        )

    @property
    def identity(self) -> bytes:
        """Equal for responses that are the same."""
        return _identity("".join(span.text for span in self.spans), self.ending[0], self.verdicts)


class _Stored:
    """What a problem has of a variant already."""

    def __init__(self, reader: Reader, key: Key):
        self._reader = reader
        self.samples: Counter[bytes] = Counter()
        self.pending: list[int] = []
        self.next = 0
        self._finished: list[Key] = []
        self._places: dict[str, Key] | None = None
        for trace in reader.traces(variant=key.variant, problem=key.problem):
            self.next = max(self.next, trace.key.sample + 1)
            if trace.status is None:
                self.pending.append(trace.key.sample)
            else:
                self._finished.append(trace.key)
                verdicts = (verdict for verdict in trace.verdicts if verdict.verifier.startswith(VERIFIER))
                self.samples[_identity(trace.response, trace.status, verdicts)] += 1
        self.pending.sort(reverse=True)

    def at(self, place: str) -> Key | None:
        """The trace that came from a place."""
        if self._places is None:
            self._places = {
                call.text: key for key in self._finished for call in self._reader.calls(key) if call.purpose == PURPOSE
            }
        return self._places.get(place)

    def new(self) -> int:
        """The number of a sample that is to be written: first those that an earlier import left unwritten."""
        if self.pending:
            return self.pending.pop()
        self.next += 1
        return self.next - 1


class Writer:
    """Takes responses and writes them, a batch at a time."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        done: Imported,
        variant: str | None,
        model: str | None,
        spelling: Dialect | None,
    ):
        self._store, self._reader, self._done = store, reader, done
        self._variant, self._model, self._spelling = variant, model, spelling
        self._items: list[_Item] = []
        self._models: dict[str, str | None] = {}
        self._seen: Counter[bytes] = Counter()  # in these files, by problem, variant and what makes them the same
        self.size = 0

    def take(self, problem: Problem, model: str | None, answer: Answer) -> None:
        """Takes a response into the batch."""
        model = self._model or model
        variant = self._variant or model or UNNAMED
        if self._models.setdefault(variant, model) != model:
            raise UsageError(
                f"{problem.place}: names the model {model!r}, and rows before it in the variant {variant!r}"
                f" {self._models[variant]!r}; without --variant each model gets its own, with --model all are of that"
            )
        response, markers = answer.response, Author.NONE if answer.made else Author.UNKNOWN
        if self._spelling is not None:
            response, markers = response.spelled(self._spelling), Author.NONE
        item = _Item(problem, variant, answer, response.spans(cut=answer.cut, markers=markers))
        self._items.append(item)
        self.size += sum(len(span.text) for span in item.spans)

    async def write(self) -> None:
        """Writes the batch and empties it."""
        items, self._items, self.size = self._items, [], 0
        for variant in dict.fromkeys(item.variant for item in items):
            model = self._models[variant]
            spelling = None if self._spelling is None else [self._spelling.name, self._spelling.fingerprint]
            shaping = {"method": METHOD, "model": model, "markers": spelling}
            about = {"antiphon": __version__, Author.UNKNOWN.value: {"model": model}}
            self._store.add_variant(variant, shaping, about)
        items = self._with_problems(items)
        planned = dict(self._new(items))
        self._store.plan(planned)
        await asyncio.gather(*(self._record(key, item) for key, item in planned.items()))

    def _with_problems(self, items: Iterable[_Item]) -> list[_Item]:
        """The items whose problems are in the run now, the new ones added."""
        problems: dict[str, Problem] = {}
        new: list[Problem] = []
        kept = []
        for item in items:
            id = item.problem.id
            if id not in problems:
                try:
                    problems[id] = self._reader.problem(id)
                except UsageError:
                    problems[id] = item.problem
                    new.append(item.problem)
            first = problems[id]
            if first.messages == item.problem.messages:
                kept.append(item)
            else:
                self._done.bad.append(
                    ProblemError(
                        f"{item.place}: the id {id!r} stands for another text at {first.place}; make ids unique, or"
                        " take problems by their text"
                    )
                )
        self._store.add_problems(new)
        return kept

    def _new(self, items: Iterable[_Item]) -> Iterator[tuple[Key, _Item]]:
        """The items that are not there yet, with their keys."""
        stored: dict[tuple[str, str], _Stored] = {}
        for item in items:
            whose = (item.problem.id, item.variant)
            if whose not in stored:
                stored[whose] = _Stored(self._reader, Key(*whose, 0))
            there, identity = stored[whose], item.identity
            seen = hashlib.sha256(repr(whose).encode() + identity).digest()[:12]
            self._seen[seen] += 1
            if self._seen[seen] <= there.samples[identity]:
                self._done.known += 1
            elif (before := there.at(item.place)) is not None:
                self._done.changed.append(
                    f"{item.place}: is not what was imported from there as {before}; that one is kept. Import the file"
                    " into another variant to have both"
                )
            else:
                there.samples[identity] += 1
                yield Key(*whose, there.new()), item

    async def _record(self, key: Key, item: _Item) -> None:
        recorder = self._store.recorder(key)
        recorder.begin(anew=True)
        for index, span in enumerate(item.spans):
            recorder.close_span(index, span)
        self._store.add_call(key, Author.UNKNOWN, PURPOSE, Usage(), item.place)
        self._store.add_verdicts(key, item.verdicts)
        status, cause = item.ending
        self._done.added.setdefault(item.variant, Counter())[status] += 1
        self._done.implicit += item.spans[0].kind is Kind.THINKING or not item.spans[0].text.strip()
        closed_by = Author.UNKNOWN if item.answer.response.closed else None
        await recorder.finish(status, cause=cause, closed_by=closed_by)


def _identity(text: str, status: Status, verdicts: Iterable[Verdict]) -> bytes:
    told = sorted((verdict.verifier, verdict.label.value) for verdict in verdicts)
    return hashlib.sha256(repr((status.value, told)).encode() + text.encode("utf-8", "surrogatepass")).digest()
