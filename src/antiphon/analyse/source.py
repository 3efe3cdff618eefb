"""Where texts come from: variants of run directories, files of records; which of them are read."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from antiphon.analyse.text import Text, problem_key, stretches
from antiphon.errors import ProblemError, UsageError
from antiphon.imports.record import Answer, Row, row_of
from antiphon.problem.read import rows
from antiphon.problem.source import Source, expand
from antiphon.store import Reader, Variant
from antiphon.store.found import Call
from antiphon.store.place import DATABASE
from antiphon.trace import Author, Key, Status, Trace, Usage
from antiphon.verify.result import Result, result_of


class FilePlace(NamedTuple):
    """Where a response stands among files: the file's index, the line, which one of its record's responses."""

    file: int
    line: int
    number: int


class Entry(NamedTuple):
    """One response, without its text. `place` finds it again in its side; `key` names it for people."""

    key: str
    place: Key | FilePlace
    problem: str
    status: Status | None
    result: Result


class Side(ABC):
    """One set of responses.

    Attributes:
        name: what it is called beside others.
        place: the run directory or file, as it was named.
        variant: in a run directory.
        method: of the variant, "" where it is not known.
        models: by role, as far as they are known.
        entries: all of its responses.
        faults: what could not be read, with its place.
    """

    name: str
    place: str
    variant: Variant | None = None
    method: str = ""
    models: Mapping[str, str]
    entries: list[Entry]
    faults: list[str]

    @abstractmethod
    def texts(self, chosen: Collection[Entry]) -> Iterator[tuple[Text, Trace | None]]:
        """The texts of some entries, one in memory at a time, each with its trace where there is one, whose usage
        covers auxiliary calls, too."""


class RunSide(Side):
    """A variant of a run directory."""

    def __init__(self, place: str, reader: Reader, variant: Variant):
        self.name = f"{place}:{variant.name}"
        self.place = place
        self.variant = variant
        method = variant.shaping.get("method")
        self.method = str(method.get("name", "") if isinstance(method, Mapping) else method or "")
        about = ((role.value, variant.about.get(role.value)) for role in Author)
        self.models = {
            role: str(facts["model"]) for role, facts in about if isinstance(facts, Mapping) and facts.get("model")
        }
        self.faults = []
        keys = {problem.id: problem_key(problem) for problem in reader.problems()}
        self.entries = [
            Entry(
                str(standing.key),
                standing.key,
                keys[standing.key.problem],
                standing.status,
                result_of(standing.status, standing.verdict.label if standing.verdict else None),
            )
            for together in reader.standings(variant=variant.name)
            for standing in together
            if standing.key.problem in keys  # a writer may have added others meanwhile
        ]

    def texts(self, chosen: Collection[Entry]) -> Iterator[tuple[Text, Trace | None]]:
        with Reader(Path(self.place)) as reader:
            for entry in chosen:
                assert isinstance(entry.place, Key)
                trace = _with_calls(reader.trace(entry.place), reader.calls(entry.place))
                messages = reader.problem(entry.place.problem).messages
                complete = trace.status is Status.COMPLETE
                yield Text(entry.key, entry.problem, messages, stretches(trace.spans), complete), trace


class FileSide(Side):
    """Records in files (a folder or a pattern may be several), in any shape that `antiphon import` takes."""

    def __init__(self, place: str):
        self.name = self.place = place
        self.entries = []
        self.faults = []
        try:
            self._files: Sequence[Source] = expand([place])
        except ProblemError as error:
            raise UsageError(f"{error}; give run directories, DIRECTORY:VARIANT, or files of records") from None
        models = set()
        for number, file in enumerate(self._files):
            for line, row in self._rows(file, self.faults):
                models.add(row.model)
                self._add(number, file.name, line, row)
        one = models.pop() if len(models) == 1 else None
        self.models = {Author.UNKNOWN.value: one} if one else {}

    def texts(self, chosen: Collection[Entry]) -> Iterator[tuple[Text, Trace | None]]:
        wanted = {entry.place: entry for entry in chosen}
        lines = defaultdict(set)
        for place in wanted:
            assert isinstance(place, FilePlace)
            lines[place.file].add(place.line)
        for number, file in enumerate(self._files):
            for line, row in self._rows(file, [], lines[number]):
                for at, answer in _answers(row):
                    entry = wanted.get(FilePlace(number, line, at))
                    if entry is not None:
                        spans = answer.response.spans(cut=answer.cut, markers=Author.UNKNOWN)
                        messages = row.problem.messages
                        yield Text(entry.key, entry.problem, messages, stretches(spans), not answer.cut), None

    def _add(self, file: int, name: str, line: int, row: Row) -> None:
        problem = problem_key(row.problem)
        for at, answer in _answers(row):
            place = FilePlace(file, line, at)
            key = f"{name}:{line}" + ("" if answer.number is None else f":{answer.number}")
            status = Status.TOO_LONG if answer.cut else Status.COMPLETE
            label = next((label for _, label in answer.labels), None)
            self.entries.append(Entry(key, place, problem, status, result_of(status, label)))
        for error in row.answers:
            if isinstance(error, ProblemError):
                self.faults.append(f"{name}:{line}: {error}")

    def _rows(self, file: Source, faults: list[str], lines: Collection[int] | None = None) -> Iterator[tuple[int, Row]]:
        """The rows of a file that can be read, of those lines alone where they are given."""
        try:
            for line, fields, fault in rows(file):
                if lines is not None and line not in lines:
                    continue
                try:
                    if fields is None:
                        raise ProblemError(fault)
                    yield line, row_of(fields, source=file.name, line=line)
                except ProblemError as error:
                    faults.append(f"{file.name}:{line}: {error}")
        except ProblemError as error:
            faults.append(f"{file.name}: {error}")


def find(places: Iterable[str]) -> list[Side]:
    """The sides that are named.

    Args:
        places: run directories (each of their variants is a side), DIRECTORY:VARIANT, and files, folders or patterns of
            records.

    Raises:
        UsageError: a place that is nothing of these, a variant that is not there, a place without any response, or one
            that is named twice.
        StoreUnfit: a run directory that cannot be opened.
    """
    sides = [side for place in places for side in _sides(place)]
    twice = [name for name, count in Counter(side.name for side in sides).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice; leave one of them out")
    return sides


def choose(side: Side, statuses: Collection[Status], most: int, first: Collection[str] = ()) -> list[Entry]:
    """Entries whose texts are to be read: those of at most so many problems, in an order that is the same for all
    sides, so that these choose the same ones.

    Args:
        statuses: only responses that ended so.
        first: problems that come before all others: those that other sides have, too.
    """
    there = {entry.problem for entry in side.entries if entry.status in statuses}
    wanted = set(sorted(there, key=lambda problem: (problem not in first, rank(problem)))[:most])
    return [entry for entry in side.entries if entry.problem in wanted and entry.status in statuses]


def rank(problem: str) -> str:
    """Where a problem stands in an order that has nothing to do with what it asks."""
    return hashlib.sha256(problem.encode("utf-8", "surrogatepass")).hexdigest()


def _with_calls(trace: Trace, calls: Iterable[Call]) -> Trace:
    usage = dict(trace.usage)
    for call in calls:
        usage[call.role] = usage.get(call.role, Usage()) + call.usage
    return replace(trace, usage=usage)


def _answers(row: Row) -> Iterator[tuple[int, Answer]]:
    return ((at, answer) for at, answer in enumerate(row.answers) if isinstance(answer, Answer))


def _sides(place: str) -> Iterator[Side]:
    path, colon, name = place.rpartition(":")
    if (Path(place) / DATABASE).is_file():
        path, name = place, ""
    elif not colon or not (Path(path) / DATABASE).is_file():
        side = FileSide(place)
        if not side.entries:
            fault = f": {side.faults[0]}" if side.faults else ""
            raise UsageError(f"{place}: there is no response in it{fault}")
        yield side
        return
    with Reader(Path(path)) as reader:
        variants = reader.variants()
        named = [variant for variant in variants if name in ("", variant.name)]
        if not variants:
            raise UsageError(f"{path}: this run has no variant yet; antiphon synth begins one")
        if not named:
            raise UsageError(f"{path} has no variant {name!r}; it holds {', '.join(one.name for one in variants)}")
        for variant in named:
            yield RunSide(path, reader, variant)
