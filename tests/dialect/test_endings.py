"""Awkward thinking texts in every family: each ends as it should, and each marker stands once in the stored response.

The same texts are written by a model whose control tokens come as ids, and by a server that knows only text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pytest
from bench.pair import settings

from antiphon.dialect import Dialect, text_of
from antiphon.engine.scripted import Control, ScriptedEngine, ScriptVocabulary, Situation, Token
from antiphon.engine.vocabulary import Vocabulary
from antiphon.problem import Problem
from antiphon.synth.run import Run
from antiphon.trace import Author, IdsFrom, Kind, SpanEnd, Status, Trace
from tests.dialect.models import loaded, model, text_only


class Says(Enum):
    """What a model writes as a token of its own."""

    CLOSE = auto()  # of the thinking
    END = auto()  # of the turn
    OPEN = auto()  # of the thinking, again
    SWITCH = auto()  # gpt-oss: to another channel
    START = auto()  # gpt-oss: of another message
    FOREIGN = auto()  # any other control token


class Letters(str):
    """Text that is written letter by letter."""


@dataclass(frozen=True)
class Family:
    """A family, and what its model writes for each of `Says`. `folder`: of its real tokenizer."""

    name: str
    close: str
    end: str
    foreign: str
    open: str = "<think>"
    switch: str | None = None
    start: str | None = None
    folder: str | None = None
    controls: tuple[str, ...] = ()
    others: str = "<|channel|>final<|message|> <｜tool▁calls▁begin｜> [/THINK] <end_of_turn>"

    @property
    def textual(self) -> bool:
        """Whether the model has no token that closes the thinking."""
        return self.folder is None and self.close not in self.controls

    @property
    def tells_end(self) -> bool:
        """Whether its page knows how a turn ends where there are no ids; else the server has to know."""
        return self.name != "plain"

    def spelled(self, says: Says) -> str:
        return {
            Says.CLOSE: self.close,
            Says.END: self.end,
            Says.OPEN: self.open,
            Says.SWITCH: self.switch or self.foreign,
            Says.START: self.start or self.foreign,
            Says.FOREIGN: self.foreign,
        }[says]

    def filled(self, text: str) -> str:
        """A text of `CASES` with this family's markers as letters."""
        marks = {"close": self.close, "code": self.close, "end": self.end, "endcode": self.end, "open": self.open}
        for name, spelling in {**marks, "others": self.others, "begun": self.close[:4]}.items():
            text = text.replace(f"{{{name}}}", spelling)
        return text


CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
FAMILIES = {
    family.name: family
    for family in (
        Family("qwen3", "</think>", "<|im_end|>", "<tool_call>", folder="qwen3"),
        Family("qwen3-thinking", "</think>", "<|im_end|>", "<|im_start|>", folder="qwen3"),
        Family("qwq", "</think>", "<|im_end|>", "<|im_start|>", controls=(*CHATML, "<think>", "</think>")),
        Family(
            "deepseek-r1",
            "</think>",
            "<｜end▁of▁sentence｜>",
            "<｜begin▁of▁sentence｜>",
            folder="r1-distill-qwen",
            others="<|end|>",
        ),
        Family(
            "gpt-oss",
            "<|end|>",
            "<|return|>",
            "<|constrain|>",
            open="<|message|>",
            switch="<|channel|>",
            start="<|start|>",
            folder="gpt-oss",
            others="<think> </think> <|im_end|> <｜end▁of▁sentence｜>",
        ),
        Family("chatml", "</think>", "<|im_end|>", "<|im_start|>", controls=CHATML),
        Family("phi-4-reasoning", "</think>", "<|im_end|>", "<|im_sep|>", controls=(*CHATML, "<|im_sep|>")),
        Family("plain", "</think>", "<eos>", "<bos>", controls=("<bos>", "<eos>")),
    )
}
CLOSE, END, OPEN, SWITCH, START, FOREIGN = Says
FENCE = "\n```python\nprint('{code}')\n```\n"

CASES: list[tuple[str | Says, ...]] = [
    # {close}, {end}: markers as letters outside code, {code}, {endcode}: inside a code fence.
    (CLOSE,),
    (END,),
    (" ", " \n", CLOSE),
    (" two", " and", " two", CLOSE),
    (" two and two.\n", CLOSE),
    (" two and two.\n\n", CLOSE),
    (" two\r\n", CLOSE),
    (" so four", END),
    (" the tag {close} closes", CLOSE),
    (" we write ", Letters("{close}"), " there", CLOSE),
    ("{close} is a tag", CLOSE),
    (" and then {close}", CLOSE),
    (" <{close}> and {close}{close}", CLOSE),
    (" the tag {open} opens", CLOSE),
    (" {open}x{close} y", CLOSE),
    (" we print it:", FENCE, "done", CLOSE),
    (" we print it:", Letters(FENCE), "done", CLOSE),
    (FENCE, " but {close} is text", CLOSE),
    (" first", FENCE, "then", FENCE, CLOSE),
    (" x\n```\nprint('{code}')\n```", CLOSE),
    (" a list\n  - x\n\n    ```py\n    '{code}'\n    ```\n  - y\n", CLOSE),
    (" x\n````md\n```\n{code}\n```\n````\n", CLOSE),
    (" use `{close}` here", CLOSE),
    (" a ``` b {close} c", CLOSE),
    (" x = f('{close}')\n y = g('{close}')\n", CLOSE),
    (" {end} ends a turn", CLOSE),
    (" a turn ends with ", Letters("{end}"), " then", CLOSE),
    ("\n```\n{endcode}\n```\n so {close}", CLOSE),
    (" assistantfinal", " it is", " 4", CLOSE),
    (" analysis commentary final, user\nassistant", CLOSE),
    (" other models write {others}", CLOSE),
    (" so four", SWITCH, "final", FOREIGN, " it is 4", CLOSE),
    (" let us call", SWITCH, "commentary to=functions.add", FOREIGN, "{}", END),
    (SWITCH, "analysis", OPEN, " again", CLOSE),
    (" so four", START, "assistant", SWITCH, "final", OPEN, " it is 4", END),
    (" two", OPEN, "\n two", CLOSE),
    (" two", FOREIGN, " and two", CLOSE),
    (FOREIGN, " two", CLOSE),
    (" 二加二等于四。", "所以答案是四", CLOSE),
    (
        Letters(
            "答案{close}是四，",
        ),
        CLOSE,
    ),
    (Letters(" 👩\u200d👧 🇩🇪 é 한국어 \u202eabc\u2028"), "\n", CLOSE),
    (" </think </ think> <think/> </thinks> <|end <|end |> |end|>", CLOSE),
    (" it may begin {begun}", CLOSE),
    (" two", CLOSE, CLOSE, OPEN, " more", CLOSE),
]

Case = Iterable[str | Says]


@dataclass(frozen=True)
class Writer:
    """A model of a family; `ids` False: behind a server that takes and gives only text, control tokens spelled out."""

    family: Family
    words: Vocabulary
    ids: bool

    @cached_property
    def controls(self) -> frozenset[int]:
        return frozenset(self.words.controls.values())

    @cached_property
    def dialect(self) -> Dialect:
        return loaded(self.family.name, None, self.words.controls) if self.ids else text_only(self.family.name)

    @property
    def closes(self) -> SpanEnd:
        by_token = self.ids and not self.family.textual
        return SpanEnd.THINK_CLOSE if by_token else SpanEnd.THINK_CLOSE_TEXT

    def tokens(self, case: Case) -> list[Token]:
        """What it writes."""
        made: list[Token] = []
        for token in case:
            if isinstance(token, Says):
                made.append(self._spelled(token))
            elif isinstance(token, Letters):
                made += self.family.filled(token)
            else:
                made.append(self.family.filled(token))
        return made

    def _spelled(self, says: Says) -> Token:
        spelling = self.family.spelled(says)
        textual = not self.ids and (says is not END or self.family.tells_end)
        return spelling if textual or (self.family.textual and says in (CLOSE, OPEN)) else Control(spelling)


def expected(case: Case, writer: Writer) -> tuple[str, Literal["close", "end"]]:
    """The thinking that such an author leaves, and how it ends."""
    family, said = writer.family, ""
    closing = [SWITCH, START, CLOSE] if family.switch is not None else [CLOSE]
    for token in case:
        if not isinstance(token, Says):
            spelled = ["{close}"] if not writer.ids or family.textual else []
            if not writer.ids and family.tells_end:
                spelled.append("{end}")
            found = re.search("|".join(spelled), token) if spelled else None
            said += family.filled(token[: found.start()] if found else token)
            if found:
                return said, "close" if found[0] == "{close}" else "end"
        elif token in closing:
            return said, "close"
        elif (not writer.ids and token is not END) or (token is OPEN and family.textual):
            said += family.spelled(token)
        else:
            return said, "end"
    return said, "end"


def written(
    student: Writer, teacher: Writer, method: str, folder: Path, replies: Callable[[int], dict[str, list[Case]]]
) -> dict[int, Trace]:
    """A trace for each case: `replies` gives what each role writes, request by request."""
    writers = {"student": student, "teacher": teacher}
    left: dict[tuple[str, int], Iterator[Case]] = {}

    def open_engine(role: str, **_: Any) -> ScriptedEngine:
        writer = writers[role]

        def script(here: Situation) -> list[Token]:
            found = re.search(r"case (\d+)", here.text)
            assert found is not None
            case = int(found[1])
            return writer.tokens(next(left.setdefault((role, case), iter(replies(case)[role]))))

        engine = ScriptedEngine(role, script, vocabulary=writer.words, chunk=3, ids=writer.ids)
        engine.controls = tuple(writer.words.controls) if writer.ids else ()
        return engine

    problems = [Problem(f"{n}", ({"role": "user", "content": f"case {n}"},)) for n in range(len(CASES))]
    flags = {f"{role}.dialect": writer.family.name for role, writer in writers.items()}
    run = Run(problems, folder, settings(**flags, method=method), open_engine=open_engine)
    return {int(trace.key.problem): trace for trace in run}


def check(trace: Trace, student: Writer, teacher: Writer, thinking: str, answer: str) -> None:
    """The whole response, and each marker once in it: as text, and as ids."""
    assert trace.status is Status.COMPLETE, trace.cause
    assert trace.thinking == thinking
    parts = student.dialect.think_open, student.dialect.closing(thinking)
    opening, closing = map(text_of, parts)
    assert trace.response == opening + thinking + closing + answer
    assert [s.text for s in trace.spans if s.kind is Kind.MARKER] == [opening, closing]
    for marker in (opening.strip(), closing.strip()):
        assert trace.response.count(marker) == 1 + (thinking + answer).count(marker)
    stored: dict[Writer, list[int]] = {student: [], teacher: []}
    for span in trace.spans:
        writer = teacher if span.author is Author.TEACHER else student
        assert writer.ids or span.ids_from is IdsFrom.NONE
        stored[writer] += [token for token in span.ids if token in writer.controls]
    written = [student.words.control_id(part.text) for part in (*parts[0], *parts[1]) if part.control]
    assert stored.pop(student) == (written if student.ids else [])
    assert not any(stored.values())


@pytest.fixture
def writer(request: pytest.FixtureRequest) -> Callable[[str], Writer]:
    """A family's name, and "text" behind it for a server of text only, to a model. With the family's real vocabulary
    where it has one (skipped where that is not at hand), else with one of words."""

    def make(name: str) -> Writer:
        name, _, way = name.partition(" ")
        family = FAMILIES[name]
        if family.folder is None:
            return Writer(family, ScriptVocabulary(family.controls), way != "text")
        return Writer(family, model(request.getfixturevalue("shared"), family.folder).vocabulary, way != "text")

    return make


ALONE = [name + way for name in FAMILIES for way in ("", " text")]
PAIRS = [
    *((name, name) for name in ALONE),
    ("qwen3", "gpt-oss"),
    ("gpt-oss", "deepseek-r1"),
    ("deepseek-r1", "qwen3-thinking"),
    ("chatml", "gpt-oss"),
    ("qwen3", "gpt-oss text"),
    ("plain text", "qwen3"),
]
ANSWER = ("it", " is", " 4.", END)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_a_teachers_thinking_ends_as_it_should(
    pair: tuple[str, str], writer: Callable[[str], Writer], tmp_path: Path
) -> None:
    student = writer(pair[0])
    teacher = student if pair[0] == pair[1] else writer(pair[1])

    def replies(number: int) -> dict[str, list[Case]]:
        handed_over = expected(CASES[number], teacher)[1] == "end"
        opening, closing = ("Okay", " x"), (" Done", CLOSE)
        return {
            "teacher": [CASES[number]],
            "student": [opening, closing, ANSWER] if handed_over else [opening, ANSWER],
        }

    traces = written(student, teacher, "tessy", tmp_path, replies)
    assert len(traces) == len(CASES) >= 40
    for number, trace in traces.items():
        said, how = expected(CASES[number], teacher)
        said = said if said.strip() else ""  # a turn without a word leaves nothing
        check(trace, student, teacher, f"Okay{said}{' Done' if how == 'end' else ''}", "it is 4.")
        closer = teacher if how == "close" else student
        assert trace.closed_by is (Author.TEACHER if how == "close" else Author.STUDENT), CASES[number]
        if said or how == "end":
            assert trace.spans[-3].end is closer.closes


@pytest.mark.parametrize("name", [*FAMILIES, "qwen3 text", "gpt-oss text"])
def test_a_lone_thinking_ends_as_it_should(name: str, writer: Callable[[str], Writer], tmp_path: Path) -> None:
    student = writer(name)
    traces = written(student, student, "student_only", tmp_path, lambda number: {"student": [CASES[number], ANSWER]})
    for number, trace in traces.items():
        said, how = expected(CASES[number], student)
        check(trace, student, student, said, "it is 4.")
        assert trace.closed_by is Author.STUDENT
        if said:
            assert trace.spans[1].end is (student.closes if how == "close" else SpanEnd.END_OF_TURN), CASES[number]


ANSWERS: list[tuple[str | Says, ...]] = [
    ("it is 4.", END),
    ("it is 4.", CLOSE, " more", END),
    ("it is 4.", OPEN, "\n so", CLOSE, END),
    ("it is 4.", SWITCH, "analysis", FOREIGN, " so", END),
    ("it is 4.", START, "assistant", END),
    ("it is 4.", FOREIGN, " so", END),
    ("we print {code} and {open}:", FENCE, "so 4", END),
    ("\n```\n{endcode}\n```\nassistantfinal", END),
]


@pytest.mark.parametrize("name", FAMILIES)
def test_no_control_token_is_stored_in_an_answer(name: str, writer: Callable[[str], Writer], tmp_path: Path) -> None:
    student = writer(name)

    def stored(answer: Case) -> str:
        said = ""
        for token in student.tokens(answer):
            if isinstance(token, Control):
                return said
            said += str(token)
        return said

    traces = written(
        student,
        student,
        "student_only",
        tmp_path,
        lambda number: {"student": [(" so", CLOSE), ANSWERS[number % len(ANSWERS)]]},
    )
    for number, answer in enumerate(ANSWERS):
        check(traces[number], student, student, " so", stored(answer))
        assert traces[number].spans[-1].end is SpanEnd.END_OF_TURN
