"""A predictor's verdicts on texts: at once, and word by word as a run gets them; and how fast they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor, Session, Step, Verdict
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.words import words
from antiphon.errors import PredictorError
from antiphon.trace import Author

_AT_ONCE = 64  # texts, so that predictors that work in batches have something to gather
_SIZES = (100, 1_000, 10_000, 100_000)  # words on which speed is measured
_LONG_ENOUGH = 0.3  # seconds: a larger size is not tried after that


class Judged(NamedTuple):
    """The verdicts on a text, one for each word, and how many of them came before its end was told: word by word
    those of the words that have their look-ahead in the text."""

    verdicts: tuple[Verdict, ...]
    due: int


class Judgement(NamedTuple):
    """All that a predictor says of a marked text.

    `whole` is what its writer's session says of the text in one piece, `student` and `teacher` what each role's says
    word by word. `lookahead` is the predictor's.
    """

    marked: MarkedText
    whole: Judged
    student: Judged
    teacher: Judged
    lookahead: int

    @property
    def online(self) -> Judged:
        """Word by word, by the session of the role in which the text was written (the student's where that is not
        known)."""
        return self.teacher if self.marked.author is Author.TEACHER else self.student


class Speed(NamedTuple):
    """Words a second by the clock, in one trace: text given in one piece, and word by word."""

    bulk: float
    online: float


async def judge_marked(
    predictor: BoundaryPredictor, marked: Sequence[MarkedText], *, done: Callable[[], None] = lambda: None
) -> list[Judgement]:
    """Judges marked texts in all three ways.

    Args:
        done: called three times for each text, whenever one was judged in one way.

    Raises:
        PredictorError: the predictor breaks its contract.
    """
    texts = [item.text for item in marked]
    roles = [item.author or Author.STUDENT for item in marked]
    whole = await judge(predictor, zip(texts, roles, strict=True), by_word=False, done=done)
    student = await judge(predictor, ((text, Author.STUDENT) for text in texts), by_word=True, done=done)
    teacher = await judge(predictor, ((text, Author.TEACHER) for text in texts), by_word=True, done=done)
    return [Judgement(*one, predictor.lookahead) for one in zip(marked, whole, student, teacher, strict=True)]


async def judge(
    predictor: BoundaryPredictor,
    texts: Iterable[tuple[str, Author]],
    *,
    by_word: bool,
    done: Callable[[], None] = lambda: None,
) -> list[Judged]:
    """The verdicts on texts, each by a session of its own for the role beside it.

    Args:
        by_word: each word is fed alone, with the blanks before it; else the text in one piece.
        done: called whenever a text was judged.

    Raises:
        PredictorError: the predictor breaks its contract.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(text: str, role: Author) -> Judged:
        async with gate:
            judged = await _judged(predictor, text, role, by_word=by_word)
        done()
        return judged

    return await asyncio.gather(*(one(text, role) for text, role in texts))


async def _judged(predictor: BoundaryPredictor, text: str, role: Author, *, by_word: bool) -> Judged:
    session = predictor.session(role)
    spans = words(text)
    found: list[Verdict] = []
    for piece in _pieces(text, spans) if by_word else [text]:
        _take(predictor, found, await _feed(predictor, session, piece), spans)
    due = len(found)
    _take(predictor, found, await _feed(predictor, session, "", finish=True), spans)
    if len(found) < len(spans):
        raise PredictorError(f"boundary {predictor.id}: {len(found)} verdicts on a text of {len(spans)} words")
    return Judged(tuple(found), due)


async def _feed(
    predictor: BoundaryPredictor, session: Session, text: str, *, finish: bool = False
) -> Sequence[Verdict]:
    (verdicts,) = await predictor.advance([Step(session, text, finish)])
    return verdicts


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> Iterable[str]:
    """A text in pieces that end where a word ends."""
    return (text[a:b] for a, b in pairwise([0, *(end for _, end in spans), len(text)]) if b > a)


def _take(
    predictor: BoundaryPredictor, found: list[Verdict], verdicts: Iterable[Verdict], spans: Sequence[tuple[int, int]]
) -> None:
    for verdict in verdicts:
        if found and verdict.start == found[-1].start:  # given before the word was there (look-ahead -1)
            found[-1] = verdict
        elif len(found) < len(spans) and verdict.start == spans[len(found)][0]:
            found.append(verdict)
        else:
            due = f"the word at {spans[len(found)][0]} was due" if len(found) < len(spans) else "no word was left"
            raise PredictorError(f"boundary {predictor.id}: a verdict on characters from {verdict.start}, where {due}")


async def speed(predictor: BoundaryPredictor, texts: Iterable[str]) -> Speed:
    """Measures how fast a predictor reads, on so much of the texts, joined, as takes a moment."""
    text = "\n\n".join(texts)
    spans = words(text)
    return Speed(await _rate(predictor, text, spans, by_word=False), await _rate(predictor, text, spans, by_word=True))


async def _rate(predictor: BoundaryPredictor, text: str, spans: Sequence[tuple[int, int]], *, by_word: bool) -> float:
    rate = 0.0
    for size in _SIZES:
        read = spans[:size]
        part = text[: read[-1][1]]
        pieces = list(_pieces(part, read)) if by_word else [part]
        session = predictor.session(Author.STUDENT)
        started = time.perf_counter()
        for piece in pieces:
            await _feed(predictor, session, piece)
        seconds = time.perf_counter() - started
        rate = len(read) / max(seconds, 1e-9)
        if seconds > _LONG_ENOUGH or size >= len(spans):
            break
    return rate
