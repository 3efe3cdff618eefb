"""Rows made of answers and measured: here, or in other processes."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from antiphon.dialect import text_of
from antiphon.errors import ClusterError, ModelError
from antiphon.export.base import Exporter, Pair, Row, Unfit
from antiphon.export.formats import FORMATS
from antiphon.export.student import Student, read_student
from antiphon.problem import Problem
from antiphon.trace import Trace

if TYPE_CHECKING:
    from antiphon.store import Outcome, Variant

LONGER = "longer than --max-length"

_Made = TypeVar("_Made")

Elsewhere = Callable[[Any, Iterable[tuple[int, Any]]], AsyncGenerator[tuple[int, Any]]]
"""Has other processes work on numbered items with what a function makes there: results by number, in any order, a text
where there is none. `antiphon.scale.spread.Spread.map` is one."""


class Answer(NamedTuple):
    """What a row is made of. `trace` is there for formats of whole traces."""

    problem: Problem
    outcome: Outcome
    trace: Trace | None


@dataclass(frozen=True, slots=True)
class Measure:
    """How rows are measured.

    Attributes:
        always: also where the format does not say how long a row is.
        most: tokens of a row; longer ones are unfit.
    """

    always: bool = False
    most: int | None = None


class Making:
    """Makes rows of a format's exporter.

    Args:
        student: whose tokens rows are measured in.
    """

    def __init__(self, exporter: Exporter, student: Student | None, measure: Measure):
        self._exporter, self._student, self._measure = exporter, student, measure

    def row(self, answer: Answer) -> Row | Unfit:
        """The row of an answer, with its length in tokens where that is told or asked for; or why it has none."""
        try:
            row = self._measured(answer.problem, self._exporter.row(*answer))
        except Unfit as unfit:
            return unfit
        if self._measure.most is not None and row.tokens is not None and row.tokens > self._measure.most:
            return Unfit(LONGER)
        return row

    def _measured(self, problem: Problem, row: Row) -> Row:
        if row.tokens is not None or self._student is None or not self._measure.always:
            return row
        text = row.text
        if not text:
            parts, rest = self._student.prompt(problem.messages, row.response)
            text = text_of(parts) + rest + self._student.end
        return row._replace(tokens=self._student.count(text))


def made_here(making: Making, answers: Iterable[Answer]) -> Iterator[tuple[Pair, Row | Unfit]]:
    """What comes of each answer, in order."""
    for answer in answers:
        yield (answer.problem, answer.outcome), making.row(answer)


def made_elsewhere(
    elsewhere: Elsewhere,
    answers: Iterable[Answer],
    *,
    format: str,
    variants: Sequence[Variant],
    student: Student | None,
    measure: Measure,
) -> Iterator[tuple[Pair, Row | Unfit]]:
    """As `made_here`, by other processes, where the student has to be, too. What comes early waits for what is before.

    Raises:
        ClusterError: nothing came of an answer; or what `elsewhere` raises.
    """
    whose = None if student is None else (student.model, student.family, student.vocabulary.digest)
    make = partial(_making, format, tuple(variants), whose, measure)
    sent: dict[int, Pair] = {}

    def items() -> Iterator[tuple[int, Answer]]:
        for number, answer in enumerate(answers):
            sent[number] = answer.problem, replace(answer.outcome, response=None)
            yield number, answer

    for number, made in enumerate(_in_order(elsewhere(make, items()))):
        pair = sent.pop(number)
        if isinstance(made, str):
            raise ClusterError(f"trace {pair[1].key}: {made}; nothing was put in place")
        yield pair, pickle.loads(made)


async def _making(
    format: str, variants: Sequence[Variant], whose: tuple[str, str, str] | None, measure: Measure
) -> Callable[[Answer], Awaitable[bytes]]:
    """Makes rows on another machine, each pickled: it is to be held as small as it came until its turn.

    Raises:
        ModelError: the student is not there, or is another.
    """
    student = None
    if whose is not None:
        model, family, digest = whose
        student = read_student(model, family)
        if student.vocabulary.digest != digest:
            raise ModelError(f"{model} has another tokenizer here than where the command is; give all the same")
    making = Making(FORMATS[format].make(variants, student), student, measure)

    async def row(answer: Answer) -> bytes:
        return pickle.dumps(making.row(answer))

    return row


def _in_order(results: AsyncGenerator[tuple[int, _Made]]) -> Iterator[_Made]:
    """The results by their numbers, which count from 0."""
    early: dict[int, _Made] = {}
    due = 0

    async def following() -> tuple[int, _Made] | None:
        return await anext(results, None)

    with asyncio.Runner() as runner:
        try:
            while (told := runner.run(following())) is not None:
                early[told[0]] = told[1]
                while due in early:
                    yield early.pop(due)
                    due += 1
        finally:
            runner.run(results.aclose())
