"""Random authors, random cuttings, random Unicode, every look-ahead: the record's invariants hold, and what is kept
does not depend on how it was cut."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from antiphon.dialect import Dialect, Part
from antiphon.engine.scripted import Fault, Request
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.engine.vocabulary import Vocabulary
from antiphon.store import Saved
from antiphon.synth import record as record_module
from antiphon.synth.ahead import Policy, RunAhead
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Score
from antiphon.synth.stage import Ending
from antiphon.synth.voice import Voice
from antiphon.trace import Author, Span, Status
from tests.synth.authors import Temper, author, is_style, sureness
from tests.synth.duets import DIALECT, TEXTUAL, Oracle, perform, score
from tests.synth.invariants import Ear, Remembering, check

TOKENIZERS = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"


@dataclass(frozen=True)
class World:
    """Everything a trace depends on."""

    student: Temper
    teacher: Temper
    lookahead: int
    thinking_budget: int
    answer_budget: int
    context: int | None
    close_on_budget: bool
    only_student_closes: bool
    ids: bool
    textual: bool


@dataclass(frozen=True)
class Cutting:
    """How the text arrives: tokens per chunk and per request."""

    chunk: int  # 0: random sizes
    run_ahead: Policy


tempers = st.builds(
    Temper,
    seed=st.integers(0, 10**6),
    style=st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]),
    end=st.sampled_from([0.0, 0.02, 0.3]),
    close=st.sampled_from([0.0, 0.02, 0.2]),
)


def within_reason(world: World) -> World:
    """Where a server tells no ids, budgets are estimates, and what runs into one depends on the cutting: such worlds
    get wide ones, and authors that come to an end."""
    if world.ids:
        return world
    student, teacher = (
        replace(temper, end=max(temper.end, 0.02), close=max(temper.close, 0.02))
        for temper in (world.student, world.teacher)
    )
    return replace(world, student=student, teacher=teacher, thinking_budget=3000, answer_budget=3000, context=None)


worlds = st.builds(
    World,
    student=tempers,
    teacher=tempers,
    lookahead=st.sampled_from([-1, 0, 1, 3]),
    thinking_budget=st.sampled_from([1, 7, 40, 120]),
    answer_budget=st.sampled_from([1, 12, 40]),
    context=st.sampled_from([None, None, 30, 90]),
    close_on_budget=st.booleans(),
    only_student_closes=st.booleans(),
    ids=st.booleans(),
    textual=st.booleans(),
).map(within_reason)
cuttings = st.builds(
    Cutting, chunk=st.sampled_from([0, 1, 2, 5, 1000]), run_ahead=st.sampled_from(["streamed", "auto", 1, 3, 20])
)


def engine(
    world: World,
    role: Author,
    cutting: Cutting,
    dialect: Dialect = DIALECT,
    vocabulary: Vocabulary | None = None,
    **how: Any,
) -> Remembering:
    temper = world.student if role is Author.STUDENT else world.teacher
    sizes = random.Random(temper.seed)
    made = Remembering(
        role.value,
        author(temper, dialect, vocabulary),
        vocabulary=vocabulary,
        chunk=cutting.chunk or (lambda: sizes.randint(1, 9)),
        context=world.context,
        ids=world.ids,
        **how,
    )
    made.think_open = dialect.think_open
    return made


def compose(world: World, cutting: Cutting, **how: Any) -> tuple[Score, Ear]:
    dialect = TEXTUAL if world.textual else DIALECT
    ear = Ear()
    composed = score(
        engine(world, Author.STUDENT, cutting, dialect, **how),
        engine(world, Author.TEACHER, cutting, dialect, **how),
        Oracle(is_style, world.lookahead, sureness),
        dialect=dialect,
        thinking_budget=world.thinking_budget,
        answer_budget=world.answer_budget,
        close_on_budget=world.close_on_budget,
        only_student_closes=world.only_student_closes,
        guard_repetition=False,
        run_ahead=RunAhead(cutting.run_ahead),
        listener=ear,
        breaks=10**6,
    )
    return composed, ear


Outcome = tuple[Ending, Author | None, list[tuple[Any, ...]]]


def outcome(ending: Ending, recorder: MemoryRecorder, composed: Score) -> Outcome:
    """What must not depend on the cutting: ids are compared as text, since scripted vocabularies grow."""
    return ending, recorder.closed_by, [content(span, composed) for span in recorder.spans]


WHOLE = Cutting(chunk=1, run_ahead="streamed")


def content(span: Span, composed: Score) -> tuple[Any, ...]:
    voice = composed.voices[Author.STUDENT if span.author is Author.NONE else span.author]
    pieces = [voice.engine.vocabulary.bytes_of(token) for token in span.ids]  # type: ignore[attr-defined]
    return (span.author, span.kind, span.text, span.end, span.words, span.forced, span.reencoded, pieces)


@given(world=worlds, cutting=cuttings)
def test_invariants_hold_and_kept_spans_do_not_depend_on_the_cutting(world: World, cutting: Cutting) -> None:
    composed, ear = compose(world, cutting)
    ending, recorder = perform(composed)
    check(recorder, composed, is_style, heard=ear.text)
    whole, _ = compose(world, WHOLE)
    assert outcome(ending, recorder, composed) == outcome(*perform(whole), whole)


@given(world=worlds, cutting=cuttings, breaks=st.integers(0, 10**6))
def test_broken_streams_change_nothing(world: World, cutting: Cutting, breaks: int) -> None:
    chance = random.Random(breaks)

    def faults(request: Request) -> Fault | None:
        return Fault("break", after=chance.randint(0, 6)) if chance.random() < 0.5 else None

    composed, ear = compose(world, cutting, faults=faults)
    ending, recorder = perform(composed)
    check(recorder, composed, is_style, heard=ear.text)
    whole, _ = compose(world, WHOLE)
    assert outcome(ending, recorder, composed) == outcome(*perform(whole), whole)


class Killed(BaseException):
    """The process is gone."""


class Dying(MemoryRecorder):
    """Records until it is killed at its n-th word."""

    def __init__(self, life: int):
        super().__init__()
        self.life = life

    def _live(self) -> None:
        self.life -= 1
        if self.life < 0:
            raise Killed

    def grow(self, *args: Any) -> None:
        self._live()
        super().grow(*args)

    def close_span(self, *args: Any) -> None:
        self._live()
        super().close_span(*args)

    def turn(self, *args: Any) -> None:
        self._live()
        super().turn(*args)


@given(world=worlds, cutting=cuttings, life=st.integers(0, 60))
def test_a_killed_trace_goes_on_from_what_was_saved(world: World, cutting: Cutting, life: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_module, "_SAVE_EVERY", -1.0)
        dying = Dying(life)
        composed, _ = compose(world, cutting)
        try:
            perform(composed, recorder=dying)
        except Killed:
            pass
        saved = Saved(tuple(dying.spans), {}, len(dying.turns))
        before = "".join(span.text for span in saved.spans)
        note(f"saved: {before!r}")
        again, ear = compose(world, cutting)
        for role, voice in again.voices.items():  # the same models, so the same ids
            voice.engine.vocabulary = composed.voices[role].engine.vocabulary  # type: ignore[attr-defined]
        recorder = MemoryRecorder()
        _, recorder = perform(again, saved=saved, recorder=recorder)
    response = "".join(span.text for span in recorder.spans)
    assert response == before + ear.text  # nothing kept is lost, nothing is there twice
    check(recorder, again, is_style, all_turns=False)


# -- the three real vocabularies

REAL = {
    "qwen3": replace(DIALECT, render=lambda messages: (Part("<|im_start|>", True), Part("2+2?"))),
    "r1-distill-qwen": replace(
        DIALECT,
        render=lambda messages: (Part("<｜User｜>", True), Part("2+2?"), Part("<｜Assistant｜>", True)),
        ends=("<｜end▁of▁sentence｜>",),
    ),
    "gpt-oss": Dialect(
        name="harmony",
        render=lambda messages: (Part("<|start|>", True), Part("assistant")),
        think_open=(Part("<|channel|>", True), Part("analysis"), Part("<|message|>", True)),
        think_close=(Part("<|end|>", True),),
        answer_open=(
            Part("<|start|>", True),
            Part("assistant"),
            Part("<|channel|>", True),
            Part("final"),
            Part("<|message|>", True),
        ),
        ends=("<|return|>",),
        close_token="<|end|>",
    ),
}


@cache
def vocabulary(name: str) -> Vocabulary:
    path = TOKENIZERS / name / "tokenizer.json"
    if not path.exists():
        pytest.skip("needs ../shared/data/tokenizers, which are not here")
    return TokenizerVocabulary.from_file(path)


def compose_real(world: World, cutting: Cutting, student: str, teacher: str) -> tuple[Score, Ear]:
    ear = Ear()
    oracle = Oracle(is_style, world.lookahead, sureness)
    engines = {
        role: engine(world, role, cutting, REAL[name], vocabulary(name))
        for role, name in ((Author.STUDENT, student), (Author.TEACHER, teacher))
    }
    composed = score(
        engines[Author.STUDENT],
        engines[Author.TEACHER],
        oracle,
        thinking_budget=world.thinking_budget,
        answer_budget=world.answer_budget,
        close_on_budget=world.close_on_budget,
        guard_repetition=False,
        run_ahead=RunAhead(cutting.run_ahead),
        listener=ear,
    )
    voices = {
        role: Voice(role, voice.engine, REAL[name], voice.sampling, voice.context, True, oracle)
        for (role, voice), name in zip(composed.voices.items(), (student, teacher), strict=True)
    }
    return replace(composed, voices=voices, script=voices[Author.STUDENT]), ear


@given(
    world=worlds.map(lambda world: replace(world, ids=True, textual=False)),
    cutting=cuttings,
    student=st.sampled_from(sorted(REAL)),
    teacher=st.sampled_from(sorted(REAL)),
)
def test_invariants_hold_with_real_vocabularies(world: World, cutting: Cutting, student: str, teacher: str) -> None:
    composed, ear = compose_real(world, cutting, student, teacher)
    ending, recorder = perform(composed)
    check(recorder, composed, is_style, heard=ear.text)
    assert ending.status is not Status.FAILED
    whole, _ = compose_real(world, WHOLE, student, teacher)
    assert outcome(ending, recorder, composed) == outcome(*perform(whole), whole)
