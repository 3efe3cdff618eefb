"""What another predictor would have cut elsewhere in a run that kept what was rolled back, without a server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor, Session, Step
from antiphon.boundary.words import words
from antiphon.errors import UsageError
from antiphon.store import Reader
from antiphon.trace import Author, Key, Kind, Trace, Turn, unpack_words

_AT_ONCE = 64  # traces, so that predictors that work in batches have something to gather
_AROUND = 60  # characters shown on each side of a cut


class Passage(NamedTuple):
    """What one turn wrote in a thinking: where it began, what was kept and what was rolled back, how many words were
    kept, and whether a boundary ended it."""

    author: Author
    start: int
    kept: str
    rejected: str
    words: int
    cut: bool


class Moved(NamedTuple):
    """A turn that would have been cut elsewhere.

    `by` counts the words more (or, negative, fewer) that would have been kept; None: more than were written, so that
    nothing is known but that. `before` is text up to the earlier of both places, `between` what lies between them,
    `after` what was written behind.
    """

    key: Key
    author: Author
    by: int | None
    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What a predictor says to the turns of a run.

    Attributes:
        turns: how many were looked at, by author.
        moved: those that would have been cut elsewhere, or cut where they were not.
        unsure: how many broke off before the predictor's look-ahead at the word where they were cut, by author.
        left_out: turns of which the record does not tell what they wrote (a part was lost in a kill).
    """

    turns: Counter[Author]
    moved: tuple[Moved, ...]
    unsure: Counter[Author]
    left_out: int


async def rejudge(reader: Reader, predictor: BoundaryPredictor, *, done: Callable[[], None] = lambda: None) -> Rejudged:
    """Shows every turn of a run to another predictor, each as the continuation of what was kept before it.

    Args:
        done: called for each trace.

    Raises:
        UsageError: the run did not keep what was rolled back, or nothing in it was cut.
    """
    found: list[Rejudged] = []
    cut = kept = False
    traces = reader.traces()
    while some := [(trace, reader.turns(trace.key)) for trace in islice(traces, _AT_ONCE)]:
        cut = cut or any(turn.cut for _, turns in some for turn in turns)
        telling = [(trace, turns) for trace, turns in some if any(turn.rejected for turn in turns)]
        kept = kept or bool(telling)
        found += await asyncio.gather(*(_rejudged(predictor, trace, turns) for trace, turns in telling))
        for _ in some:
            done()
    if not cut:
        raise UsageError(
            f"{reader.directory}: no turn of this run was cut by a predictor; give one of the method tessy"
        )
    if not kept:
        raise UsageError(
            f"{reader.directory}: this run did not keep what was rolled back, so nobody can say what another predictor"
            " would have kept of it; make one with --keep-rejected"
        )
    return Rejudged(
        sum((each.turns for each in found), Counter()),
        tuple(moved for each in found for moved in each.moved),
        sum((each.unsure for each in found), Counter()),
        sum(each.left_out for each in found),
    )


def passages(trace: Trace, turns: Sequence[Turn]) -> Iterator[Passage]:
    """The turns of a trace's thinking with their texts, in order; without those that wrote only forced words or of
    which a part was lost."""
    written = [0] * len(trace.spans)  # words, by the turns so far
    recorded = Counter[int]()
    for turn in turns:
        if turn.span is not None:
            recorded[turn.span] += turn.words
    starts = _starts(trace)
    position = 0
    for turn in turns:
        if turn.span is None:
            if turn.cut:
                yield Passage(turn.role, position, "", turn.rejected or "", 0, cut=True)
            continue
        span = trace.spans[turn.span]
        if span.kind not in (Kind.STYLE, Kind.CAPABILITY):
            continue
        ends = [word.end for word in unpack_words(span.words)]
        if recorded[turn.span] == len(ends) and not span.forced:
            begun = _next_word(span.text, ends, written[turn.span])
            written[turn.span] += turn.words
            end = _next_word(span.text, ends, written[turn.span])
            start = starts[turn.span] + begun
            yield Passage(turn.role, start, span.text[begun:end], turn.rejected or "", turn.words, turn.cut)
            position = starts[turn.span] + end
        else:
            position = starts[turn.span] + len(span.text)


async def _rejudged(predictor: BoundaryPredictor, trace: Trace, turns: Sequence[Turn]) -> Rejudged:
    sessions: dict[Author, Session] = {}
    looked_at: Counter[Author] = Counter()
    moved: list[Moved] = []
    unsure: Counter[Author] = Counter()
    thinking = trace.thinking
    for passage in passages(trace, turns):
        # What was not cut was broken off: the rest of it is half a word.
        author, text = passage.author, passage.kept + passage.rejected * passage.cut
        session = sessions.setdefault(author, predictor.session(author))
        if session.position < passage.start:
            session.context(thinking[session.position : passage.start])
        (given,) = await predictor.advance([Step(session, text, finish=not passage.cut)])
        verdicts = list({v.start: v for v in given if v.start >= passage.start}.values())
        session.rollback(passage.start + len(passage.kept))
        looked_at[author] += 1
        spans = words(text)
        other = next((n for n, v in enumerate(verdicts) if v.style is not (author is Author.STUDENT)), None)
        then = passage.words if passage.cut else None
        if other is None and then is not None and len(verdicts) <= then:
            unsure[author] += 1
        elif other != then:
            places = [spans[n][0] if n is not None and n < len(spans) else len(text) for n in (then, other)]
            first, last = min(places), max(places)
            moved.append(
                Moved(
                    trace.key,
                    author,
                    None if other is None else other - passage.words,
                    (thinking[max(0, passage.start - _AROUND) : passage.start] + text[:first])[-_AROUND:],
                    text[first:last],
                    text[last : last + _AROUND],
                )
            )
    in_thinking = sum(
        turn.cut if turn.span is None else trace.spans[turn.span].kind in (Kind.STYLE, Kind.CAPABILITY)
        for turn in turns
        if turn.span is None or not trace.spans[turn.span].forced
    )
    return Rejudged(looked_at, tuple(moved), unsure, in_thinking - looked_at.total())


def _starts(trace: Trace) -> list[int]:
    """Where each span begins in the thinking."""
    starts, position = [], 0
    for span in trace.spans:
        starts.append(position)
        if span.kind not in (Kind.ANSWER, Kind.MARKER):
            position += len(span.text)
    return starts


def _next_word(text: str, ends: Sequence[int], number: int) -> int:
    """Where the word of this number begins in a span; its end behind the last word."""
    if number == 0 or number >= len(ends):
        return len(text) if number else 0
    rest = text[ends[number - 1] :]
    return ends[number - 1] + len(rest) - len(rest.lstrip())
