"""Small parts for tests of the method: a predictor that knows, voices that say what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import WordReader
from antiphon.dialect import Dialect, Message, Part
from antiphon.engine.scripted import Control, Script, ScriptedEngine, Situation, Token
from antiphon.problem import Problem
from antiphon.settings import Sampling
from antiphon.store import Saved
from antiphon.synth.duet import Duet
from antiphon.synth.methods import method
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Score
from antiphon.synth.stage import Ending
from antiphon.synth.voice import Voice
from antiphon.trace import Author, Key

PROBLEM = Problem(id="p", messages=({"role": "user", "content": "2+2?"},), metadata={})
KEY = Key("p", "v", 0)


def render(messages: Sequence[Message]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for message in messages:
        parts += [
            Part("<|im_start|>", True),
            Part(f"{message['role']}\n{message['content']}"),
            Part("<|im_end|>", True),
        ]
        parts.append(Part("\n"))
    return (*parts, Part("<|im_start|>", True), Part("assistant\n"))


DIALECT = Dialect(
    name="test",
    render=render,
    think_open=(Part("<think>", True), Part("\n")),
    think_close=(Part("\n"), Part("</think>", True)),
    answer_open=(Part("\n\n"),),
    ends=("<|im_end|>", "<|endoftext|>"),
    close_token="</think>",
)
TEXTUAL = replace(
    DIALECT,
    think_open=(Part("<think>\n"),),
    think_close=(Part("\n</think>"),),
    close_token=None,
    close_text="</think>",
)


class Oracle(BoundaryPredictor):
    """Judges each word by a function of the word (and its confidence by another)."""

    def __init__(
        self,
        is_style: Callable[[str], bool],
        lookahead: int = 1,
        confidence: Callable[[str], float] = lambda word: 1.0,
    ):
        self.id = "oracle"
        self.lookahead = lookahead
        self.is_style = is_style
        self.confidence = confidence

    def session(self, role: Author) -> Session:
        return OracleSession(self)


class OracleSession(Session):
    def __init__(self, oracle: Oracle):
        self._oracle = oracle
        self._reader = WordReader()
        self._due: list[tuple[int, int]] = []  # whole words without a verdict
        self._announced = -1  # where the word begins that was announced before it was whole

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._reader.skip(len(text))
        self._due.clear()

    def feed(self, text: str) -> list[Verdict]:
        self._due += self._reader.push(text)
        verdicts = self._give(len(self._due) - max(0, self._oracle.lookahead))
        if self._oracle.lookahead < 0:
            partial = self._reader.partial
            if partial is not None and partial[0] != self._announced:
                self._announced = partial[0]
                # It says the class before it can know the word: by its first character.
                verdicts.append(self._verdict(partial[0], partial[0]))
        return verdicts

    def finish(self) -> list[Verdict]:
        self._due += self._reader.finish()
        return self._give(len(self._due))

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)
        self._due = [word for word in self._due if word[1] <= offset]
        self._announced = -1

    def _give(self, count: int) -> list[Verdict]:
        given, self._due = self._due[: max(0, count)], self._due[max(0, count) :]
        return [self._verdict(start, end) for start, end in given]

    def _verdict(self, start: int, end: int) -> Verdict:
        word = self._reader.text(start, max(end, start + 1))
        if self._oracle.lookahead < 0:
            word = word[0]
        return Verdict(start, end, self._oracle.is_style(word), self._oracle.confidence(word))


def voice(
    role: Author, engine: ScriptedEngine, predictor: BoundaryPredictor | None, dialect: Dialect = DIALECT
) -> Voice:
    return Voice(role, engine, dialect, Sampling(), engine.context, engine.ids, predictor)


def score(
    student: ScriptedEngine,
    teacher: ScriptedEngine,
    predictor: BoundaryPredictor,
    *,
    dialect: Dialect = DIALECT,
    name: str = "tessy",
    **settings: object,
) -> Score:
    voices = {
        Author.STUDENT: voice(Author.STUDENT, student, predictor, dialect),
        Author.TEACHER: voice(Author.TEACHER, teacher, predictor, dialect),
    }
    values: dict[str, object] = {"thinking_budget": 10_000, "answer_budget": 10_000, **settings}
    return Score(method(name), voices, voices[Author.STUDENT], **values)  # type: ignore[arg-type]


def perform(
    score: Score, *, saved: Saved | None = None, recorder: MemoryRecorder | None = None
) -> tuple[Ending, MemoryRecorder]:
    recorder = recorder or MemoryRecorder()
    if saved is not None:
        recorder.spans = list(saved.spans)
    ending = asyncio.run(Duet(score, PROBLEM, KEY, recorder, saved).write())
    return ending, recorder


def spans(recorder: MemoryRecorder) -> list[tuple[str, str, str]]:
    """(author, kind, text) of all but the markers."""
    return [(s.author.value, s.kind.value, s.text) for s in recorder.spans if s.author is not Author.NONE]


def in_turn(*replies: Iterable[Token]) -> Script:
    """A script that gives one reply after the other, request by request."""
    left = iter(replies)
    return lambda here: next(left)


def after(marker: str, tokens: Sequence[Token]) -> Script:
    """A script that writes these tokens after a marker, from wherever the sequence stands in them."""
    spelled = [token.text.encode() if isinstance(token, Control) else _bytes(token) for token in tokens]

    def script(here: Situation) -> Iterable[Token]:
        said = here.text[here.text.rfind(marker) + len(marker) :].encode()
        count = 0
        while len(said) > len(b"".join(spelled[:count])):
            count += 1
        return tokens[count:]

    return script


def _bytes(token: str | bytes) -> bytes:
    return token if isinstance(token, bytes) else token.encode()


CLOSE, END = Control("</think>"), Control("<|im_end|>")
ANSWER = ["It", " is", " 4.", END]


def is_style(word: str) -> bool:
    return word[0].isupper() or word in ("so", "hm")


def duet(
    student: Script,
    teacher: Script,
    *,
    lookahead: int = 1,
    confidence: Any = lambda word: 1.0,
    student_is: dict[str, Any] | None = None,
    teacher_is: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A score for two scripts."""
    return score(
        ScriptedEngine("student", student, **(student_is or {})),
        ScriptedEngine("teacher", teacher, **(teacher_is or {})),
        Oracle(is_style, lookahead, confidence),
        **settings,
    )
