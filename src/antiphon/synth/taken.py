"""Thinking that is there already: a trace's, taken as it is, or with its style written anew."""

from __future__ import annotations

from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor, Step, Verdict
from antiphon.synth.methods import Revoiced
from antiphon.synth.passage import Task, Why
from antiphon.synth.stage import Ending, Stage
from antiphon.trace import Author, Kind, Span, SpanEnd, Trace, Word, pack_words, unpack_words


async def take_thinking(stage: Stage, source: Trace) -> Author | Ending:
    """The thinking of a finished trace becomes this one's; who closed it, or how that trace ended if nobody did."""
    if stage.last_thought is None:
        for span in thinking_of(source):
            stage.manuscript.insert(span)
    if source.closed_by is None:
        assert source.status is not None, "it is finished"
        return Ending(source.status, source.cause)
    return source.closed_by


async def revoice(stage: Stage, source: Trace) -> Author | Ending:
    """The capability of a trace's thinking stays, word for word; in each place where it has style the student writes
    its own, until its predictor sees capability begin. What it does not want to say there is left out."""
    author = _author(source)
    student = stage.speakers[Author.STUDENT]
    last = stage.last_thought
    # Of the next stretch, after a kill: its style may be written already.
    is_styled = last is not None and last.author is Author.STUDENT and last.end is not None
    for stretch in await _missing(stage, source):
        if stretch.style_before and not is_styled:
            left = await stage.passage(student, Task(Kind.STYLE, style=True))
            if left.why in (Why.BUDGET, Why.CONTEXT, Why.LOOP):
                return stage.stopped(left.why)
        is_styled = False
        if (spent := stage.spent(student)) is not None:
            return stage.stopped(spent)
        if stretch.text:
            stage.manuscript.insert(stretch.span(author, behind=stage.manuscript.last))
    return source.closed_by or author


async def who_had_closed(stage: Stage, source: Trace) -> Author | None:
    """Who closed a thinking that was taken or revoiced, and whose marker is already there."""
    if isinstance(stage.method.thinking, Revoiced):
        cut_short = any(stretch.text for stretch in await _missing(stage, source))
        return Author.NONE if cut_short else source.closed_by or _author(source)
    return source.closed_by


def thinking_of(trace: Trace) -> tuple[Span, ...]:
    """The spans between the markers."""
    return tuple(span for span in trace.spans if span.kind not in (Kind.MARKER, Kind.ANSWER))


def _author(source: Trace) -> Author:
    return next((span.author for span in thinking_of(source)), Author.UNKNOWN)


class _Stretch(NamedTuple):
    """Capability without a word of style in it. `gap` is the white space before it; the last stretch may be empty."""

    style_before: bool
    gap: str
    text: str
    words: tuple[Word, ...]

    def span(self, author: Author, *, behind: str) -> Span:
        """To stand behind this text: with its gap, unless there is white space or nothing."""
        gap = self.gap if behind and not behind[-1].isspace() else ""
        words = (word._replace(end=word.end + len(gap)) for word in self.words)
        return Span(author, Kind.CAPABILITY, gap + self.text, end=SpanEnd.SEAM, words=pack_words(words))


async def _missing(stage: Stage, source: Trace) -> list[_Stretch]:
    """What is not in the text yet."""
    assert stage.score.marks is not None, "the method needs it"
    stretches = await _stretches(stage.score.marks, source.thinking)
    kept = [span for span in stage.spans if span.author is _author(source) and span.kind is Kind.CAPABILITY]
    there = sum(len(list(unpack_words(span.words))) for span in kept)
    while there > 0:
        there -= len(stretches.pop(0).words)
    return stretches


async def _stretches(marks: BoundaryPredictor, text: str) -> list[_Stretch]:
    """The capability of a thinking. Line breaks behind a stretch are its own, as in a turn."""
    ((*verdicts,),) = await marks.advance((Step(marks.session(Author.TEACHER), text, finish=True),))
    words = [verdict for verdict in verdicts if verdict.end > verdict.start]
    stretches: list[_Stretch] = []
    at = 0
    while at < len(words):
        first = at
        while at < len(words) and words[at].style:
            at += 1
        style, begin = at > first, at
        while at < len(words) and not words[at].style:
            at += 1
        stretches.append(_stretch(text, words[begin:at], words[begin - 1].end if begin else 0, style_before=style))
    return stretches


def _stretch(text: str, words: list[Verdict], before: int, *, style_before: bool) -> _Stretch:
    if not words:
        return _Stretch(style_before, "", "", ())
    start, end = words[0].start, words[-1].end
    behind = text[end : len(text) - len(text[end:].lstrip())]
    breaks = behind.splitlines(keepends=True)
    if breaks and breaks[-1].splitlines()[0] == breaks[-1]:
        breaks.pop()  # blanks alone: they belong to the word behind them
    told = tuple(Word(word.end - start, False, word.confidence) for word in words)
    return _Stretch(style_before, text[before:start], text[start:end] + "".join(breaks), told)
