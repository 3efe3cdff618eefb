"""The six invariants of the record, checked on what was recorded (docs/architecture.md, "The record")."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable
from typing import Any

from antiphon.dialect import Part, text_of
from antiphon.engine.base import Engine, Sequence
from antiphon.engine.scripted import ScriptedEngine
from antiphon.synth.methods import Alone, Turns
from antiphon.synth.record import MemoryRecorder
from antiphon.synth.score import Listener, Score
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Status, unpack_words


class Ear(Listener):
    """Hears what is kept."""

    def __init__(self) -> None:
        self.text = ""

    def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
        self.text += text


def check(
    recorder: MemoryRecorder,
    score: Score,
    is_style: Callable[[str], bool],
    *,
    heard: str | None = None,
    all_turns: bool = True,
) -> None:
    """Raises AssertionError where an invariant does not hold. `all_turns`: no turn's record was lost by a kill."""
    spans = recorder.spans
    response = "".join(span.text for span in spans)
    if heard is not None:
        assert response == heard  # 1: the spans are the response, as it was heard
    _check_order(recorder, score)
    if all_turns:
        _check_turns(recorder, score)
    for before, span in zip([None, *spans], spans, strict=False):
        assert span.end is not None
        assert "\ufffd" not in span.text  # whole code points
        _check_maximal(before, span)
        _check_cut(span, score)
        _check_words(span, score, is_style)
    for role in score.method.roles:
        _check_sequence(role, spans, score)


def _check_order(recorder: MemoryRecorder, score: Score) -> None:
    """5: the student opens and writes the answer; each marker stands once."""
    spans = recorder.spans
    if not spans:
        assert recorder.status is Status.CONTEXT_FULL or recorder.status is Status.FAILED
        return
    kinds = "".join({Kind.MARKER: "m", Kind.ANSWER: "a"}.get(span.kind, "t") for span in spans)
    assert re.fullmatch("mt*(ma?)?", kinds), kinds
    assert spans[0].text == text_of(score.script.dialect.think_open)
    assert all(span.author is score.method.answer for span in spans if span.kind is Kind.ANSWER)
    assert all(span.author is Author.NONE for span in spans if span.kind is Kind.MARKER)
    if recorder.status is Status.COMPLETE:
        assert kinds.endswith("a")
        assert recorder.closed_by is not None


def _check_maximal(before: Span | None, span: Span) -> None:
    if before is not None and before.kind is not Kind.MARKER:
        assert (before.author, before.kind) != (span.author, span.kind) or before.forced or span.forced
    assert span.text or span.kind in (Kind.THINKING, Kind.ANSWER)


def _engine(role: Author, score: Score) -> Engine:
    return score.voices[Author.STUDENT if role is Author.NONE else role].engine


def _check_cut(span: Span, score: Score) -> None:
    """2: a span's ids give its text; no blank token is left before a cut."""
    if span.ids_from is IdsFrom.NONE:
        assert not span.ids
        if span.end is SpanEnd.BOUNDARY:
            assert span.text[-1] in "\n\r\u2028" or not span.text[-1].isspace()
        return
    engine = _engine(span.author, score)
    assert isinstance(engine, ScriptedEngine)
    assert normal(engine.vocabulary.decode(span.ids)) == normal(span.text)
    if span.end is SpanEnd.BOUNDARY and not span.reencoded:
        last = engine.vocabulary.decode(span.ids[-1:])
        assert not (last.isspace() and len(last.splitlines()) == 1 and last.splitlines()[0] == last), repr(last)


def _check_words(span: Span, score: Score, is_style: Callable[[str], bool]) -> None:
    """3: every word had its kind's verdict when it was kept, and every word is there; a forced one is alone."""
    method = score.method
    if not method.predicted or span.kind in (Kind.ANSWER, Kind.MARKER) or isinstance(method.thinking, Alone):
        assert not span.words
        assert span.kind in (Kind.THINKING, Kind.ANSWER, Kind.MARKER)
        return
    at, words = 0, list(unpack_words(span.words))
    assert words
    tells = span.kind is not Kind.THINKING
    for word in words:
        text = span.text[at : word.end].lstrip()
        assert text and not any(character.isspace() for character in text)
        assert not tells or word.style is (span.kind is Kind.STYLE)
        assert is_style(text) is word.style, (text, span)
        at = word.end
    assert not span.text[at:].strip()
    style = method.thinking.style if isinstance(method.thinking, Turns) else Author.STUDENT
    own = Kind.STYLE if span.author is style else Kind.CAPABILITY
    assert tells is method.tells_kinds
    assert not tells or (span.kind is own) is not span.forced
    if span.forced:
        assert len(words) == 1


def _check_turns(recorder: MemoryRecorder, score: Score) -> None:
    """5: who is to open does. 4: two turns in a row keep a word between them, unless the thinking ends there."""
    if not isinstance(score.method.thinking, Turns):
        return
    thoughts = [span for span in recorder.spans if span.kind not in (Kind.ANSWER, Kind.MARKER)]
    if recorder.turns and thoughts:
        assert recorder.turns[0].role is score.method.opener
    thinking = [turn for turn in recorder.turns if turn.words or turn.cut]
    for first, second, third in zip(thinking, thinking[1:], thinking[2:], strict=False):
        if first.cut and second.cut and not first.words and not second.words:
            assert third.requests == 0 and third.words == 1  # the forced word


def _check_sequence(role: Author, spans: list[Span], score: Score) -> None:
    """6: each model saw its dialect, its own ids in their order, and the rest as the same text; nothing twice."""
    voice = score.voices[role]
    engine = voice.engine
    if not isinstance(engine, Remembering) or not engine.ids or not spans or engine.prompt_length is None:
        return
    ids = list(engine.last_ids)
    at: int = engine.prompt_length
    seen = normal(engine.vocabulary.decode(ids[at:]))
    before = expected = ""
    for span in spans[1:]:
        closing = span.kind is Kind.MARKER and role is score.method.answer
        expected += text_of(voice.dialect.closing(before)) if closing else span.text
        before = span.text
        if span.author is role:
            while ids[at : at + len(span.ids)] != list(span.ids):
                at += 1
                assert at < len(ids), "its own ids are not what it saw"
            at += len(span.ids)
    if role is score.method.answer and spans[-1].kind is Kind.ANSWER:
        assert seen == normal(expected)
    else:  # it may not have come to hear the rest
        assert normal(expected).startswith(seen[:-1])


def normal(text: str) -> str:
    """Qwen's tokenizers read and write NFC."""
    return unicodedata.normalize("NFC", text)


class Remembering(ScriptedEngine):
    """A scripted engine that shows what its last sequence held, and how long the prompt was."""

    @property
    def last_ids(self) -> array[int]:
        return self._last._ids

    async def open(self, parts: Iterable[Part]) -> Sequence:
        sequence = await super().open(parts)
        self._last: Any = sequence
        opening = await sequence.append(self.think_open)
        self.prompt_length = sequence.length
        sequence.truncate(sequence.length - len(opening))
        return sequence

    think_open: tuple[Part, ...] = ()
    prompt_length: int | None = None  # until it is opened
