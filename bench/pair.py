"""A scripted pair for measurements: both authors write one agreed text, style and capability in turns.

Each author goes on writing past its own span, as models do, until its stream is closed. The text is a function of the
position, and of the problem where it is to vary, so that a run that was killed and taken up writes the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import WordReader
from antiphon.engine.scripted import Control, ScriptedEngine, ScriptVocabulary, Situation, Token
from antiphon.problem import Problem
from antiphon.settings import Settings, load
from antiphon.trace import Author


@dataclass(frozen=True)
class Shape:
    """Tokens of thinking, of one style and one capability span, of the answer; seconds a token takes; whether each
    problem, told by the first number in it, has words of its own (files of equal responses are next to empty)."""

    thinking: int = 2000
    style: int = 4
    capability: int = 24
    answer: int = 120
    delay: float = 0.0
    varied: bool = False

    @property
    def period(self) -> int:
        return self.style + self.capability

    @property
    def turns(self) -> int:
        """Turns of thinking in a trace."""
        return 2 * self.thinking // self.period

    def token(self, position: int, problem: int = 0) -> str:
        """The token at a position of the thinking: style words begin with a capital."""
        place = position % self.period
        return f" S{place}" if place < self.style else f" c{self._number(position, 97, problem)}"

    def answer_token(self, position: int, problem: int = 0) -> str:
        """The token at a position of the answer, counted from where the thinking begins."""
        return f" a{self._number(position, 89, problem)}"

    def _number(self, position: int, of: int, problem: int) -> int:
        return crc32(b"%d %d" % (problem, position)) % 5000 if self.varied else position % of


def engines(shape: Shape, chunk: int, count: Callable[[], None] = lambda: None) -> Callable[..., ScriptedEngine]:
    """An opener of engines for `Run`. `count` is called for every token that is written."""
    vocabulary = ScriptVocabulary()

    def script(here: Situation) -> Iterator[Token]:
        position = here.written - 2  # "<think>" and a line break
        number = re.search(r"\d+", here.text) if shape.varied else None
        problem = 0 if number is None else int(number[0])
        while position < shape.thinking:
            count()
            yield shape.token(position, problem)
            position += 1
        if position == shape.thinking:
            yield Control("</think>")
        # A line break, the marker and two line breaks are four tokens.
        while position < shape.thinking + 4 + shape.answer:
            count()
            yield shape.answer_token(position, problem)
            position += 1
        yield Control("<|im_end|>")

    def open_engine(reference: str, **_: object) -> ScriptedEngine:
        engine = ScriptedEngine(reference, script, vocabulary=vocabulary, chunk=chunk, delay=shape.delay)
        engine.controls = tuple(vocabulary.controls)
        return engine

    return open_engine


class Capitals(BoundaryPredictor):
    """Words that begin with a capital are style."""

    id = "capitals"
    lookahead = 0

    def session(self, role: Author) -> Session:
        return _CapitalsSession()


class _CapitalsSession(Session):
    def __init__(self) -> None:
        self._reader = WordReader()

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._reader.skip(len(text))

    def feed(self, text: str) -> list[Verdict]:
        return [self._verdict(*word) for word in self._reader.push(text)]

    def finish(self) -> list[Verdict]:
        return [self._verdict(*word) for word in self._reader.finish()]

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)

    def _verdict(self, start: int, end: int) -> Verdict:
        return Verdict(start, end, self._reader.text(start, end)[0].isupper(), 1.0)


def problems(count: int) -> list[Problem]:
    """As many different problems."""
    return [Problem(f"p{n}", ({"role": "user", "content": f"Question {n}"},)) for n in range(count)]


def settings(**flags: object) -> Settings:
    """Settings for a run of the pair."""
    pair = {
        "teacher.model": "teacher",
        "student.model": "student",
        "teacher.dialect": "qwen3",
        "student.dialect": "qwen3",
        "boundary.teacher": "bench.pair:Capitals",
        "boundary.student": "bench.pair:Capitals",
        "guards.repetition": False,
    }
    return load(flags=pair | flags)
