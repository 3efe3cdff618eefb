"""A verifier that is told what is right, and a run directory with answers to judge."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Author, Key, Kind, Label, Span, SpanEnd, Status, Verdict


class ScriptedVerifier:
    """Right is what the problem's `answer` says; an answer that is the name of a label gets that label.

    Attributes:
        asked: what it was shown, in order: the problem's id and the answer.
        most: how many checks were under way at once.
    """

    def __init__(self, name: str = "scripted", version: str = "1", field: str = "answer"):
        self.name, self.version = name, version
        self._field = field
        self._under_way = 0
        self.asked: list[tuple[str, str]] = []
        self.most = 0

    def suits(self, problem: Problem) -> bool:
        return self._field in problem.metadata

    async def check(self, problem: Problem, answer: str) -> Verdict:
        self.asked.append((problem.id, answer))
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1
        return Verdict(self.name, self.version, self.label(problem, answer), f"it said {answer}", 0.5)

    def label(self, problem: Problem, answer: str) -> Label:
        if answer in iter(Label):
            return Label(answer)
        return Label.RIGHT if answer == problem.metadata[self._field] else Label.WRONG


class Telling(ScriptedVerifier):
    """Says on standard output what it is shown, and goes on at the next line, or the end, of standard input."""

    async def check(self, problem: Problem, answer: str) -> Verdict:
        print(f"{problem.id}: {answer}", flush=True)
        sys.stdin.readline()
        return await super().check(problem, answer)


class Broken(ScriptedVerifier):
    """Falls over at a wrong answer."""

    def label(self, problem: Problem, answer: str) -> Label:
        return Label.RIGHT if answer == problem.metadata[self._field] else Label({}[answer])


class SelfTested(ScriptedVerifier):
    """The same, of problems that come with an answer of their own."""

    async def canonical(self, problem: Problem) -> str | None:
        return problem.metadata.get("canonical")


def asked(id: str = "p", **metadata: object) -> Problem:
    return Problem(id, ({"role": "user", "content": f"what of {id}?"},), metadata, "problems.jsonl", 7)


def answered(
    directory: Path,
    problems: Iterable[Problem],
    answers: Mapping[str, Iterable[str]],
    *,
    variant: str = "tessy",
    status: Callable[[Key], Status | None] = lambda key: Status.COMPLETE,
) -> list[Key]:
    """A run in which each problem has these answers, one a sample; gives the keys."""

    async def write(store: Store) -> None:
        endings = []
        for key, answer in texts.items():
            recorder = store.recorder(key)
            recorder.close_span(0, Span(Author.NONE, Kind.MARKER, "<think>\n", end=SpanEnd.SEAM))
            recorder.close_span(1, Span(Author.TEACHER, Kind.CAPABILITY, f"right {answer}", end=SpanEnd.SEAM))
            recorder.close_span(2, Span(Author.NONE, Kind.MARKER, "\n</think>\n\n", end=SpanEnd.SEAM))
            recorder.close_span(3, Span(Author.STUDENT, Kind.ANSWER, answer, end=SpanEnd.END_OF_TURN))
            ended = status(key)
            if ended is not None:
                endings.append(recorder.finish(ended))
        await asyncio.gather(*endings)

    texts = {Key(id, variant, sample): text for id, them in answers.items() for sample, text in enumerate(them)}
    with Store.open(directory) as store:
        store.add_problems(problems)
        store.add_variant(variant, {"method": variant}, {})
        store.plan(texts)
        asyncio.run(write(store))
    return list(texts)


def label_counts(reader: Reader, variant: str | None = None) -> Counter[Label]:
    """How many traces have each label in their newest verdict."""
    counts: Counter[Label] = Counter()
    for (_, label), count in reader.standing_counts(variant).items():
        if label is not None:
            counts[label] += count
    return counts
