"""What another predictor would have cut elsewhere in what random authors wrote."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.rejudge import Rejudged, passages, rejudge
from antiphon.boundary.words import words
from antiphon.errors import UsageError
from antiphon.store import Reader
from antiphon.synth.record import MemoryRecorder
from antiphon.trace import Author, Key, Kind, Span, Trace, Turn, Word, pack_words
from tests.synth.authors import Temper, author, is_style, sureness
from tests.synth.duets import DIALECT, KEY, Oracle, perform, score
from tests.synth.invariants import Remembering

tempers = st.builds(Temper, seed=st.integers(0, 10**6), style=st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))


class Memory:
    """One trace in the place of a run directory."""

    directory = Path("run")

    def __init__(self, trace: Trace, turns: Sequence[Turn]):
        self._trace, self._turns = trace, turns

    def traces(self) -> Iterator[Trace]:
        yield self._trace

    def turns(self, key: Key) -> Sequence[Turn]:
        return self._turns


def written(predictor: BoundaryPredictor, *tempers: Temper, **how: Any) -> MemoryRecorder:
    sizes = random.Random(0)
    student, teacher = (
        Remembering(role, author(temper, DIALECT), chunk=lambda: sizes.randint(1, 9))
        for role, temper in zip(("student", "teacher"), tempers, strict=True)
    )
    values = {"thinking_budget": 60, "answer_budget": 5, "guard_repetition": False, "keep_rejected": True, **how}
    return perform(score(student, teacher, predictor, **values))[1]


def rejudged(recorder: MemoryRecorder, predictor: BoundaryPredictor) -> Rejudged:
    reader = Memory(Trace(KEY, tuple(recorder.spans)), recorder.turns)
    return asyncio.run(rejudge(cast(Reader, reader), predictor))


@given(tempers, tempers, st.sampled_from([-1, 0, 1, 3]))
def test_the_predictor_of_a_run_would_cut_nothing_elsewhere(student: Temper, teacher: Temper, lookahead: int) -> None:
    oracle = Oracle(is_style, lookahead, sureness)
    recorder = written(oracle, student, teacher)
    if not any(turn.cut for turn in recorder.turns):
        return
    found = rejudged(recorder, oracle)
    assert found.moved == ()
    assert found.left_out == 0
    trace = Trace(KEY, tuple(recorder.spans))
    seen = list(passages(trace, recorder.turns))
    assert found.turns.total() == len(seen)
    for passage in seen:
        assert trace.thinking.startswith(passage.kept, passage.start)


@given(tempers, tempers)
def test_one_that_sees_only_style_cuts_the_teacher_at_once_and_the_student_never(
    student: Temper, teacher: Temper
) -> None:
    recorder = written(Oracle(is_style, 0, sureness), student, teacher)
    cuts = [turn for turn in recorder.turns if turn.cut]
    if not cuts:
        return
    found = rejudged(recorder, Oracle(lambda word: True, 0))
    for moved in found.moved:
        if moved.author is Author.STUDENT:
            assert moved.by is None, "it goes on over all that was written"
        else:
            assert moved.by is not None and moved.by < 0
    of = {role: [turn for turn in cuts if turn.role is role] for role in Author}
    moved_teacher = [moved for moved in found.moved if moved.author is Author.TEACHER]
    assert len(moved_teacher) >= sum(turn.words > 0 for turn in of[Author.TEACHER])
    assert len([m for m in found.moved if m.author is Author.STUDENT]) + found.unsure[Author.STUDENT] == len(
        of[Author.STUDENT]
    )


S, T = Author.STUDENT, Author.TEACHER


def span(author: Author, text: str, **how: Any) -> Span:
    """A span as a run leaves it, all its words judged."""
    kind = Kind.STYLE if author is S else Kind.CAPABILITY
    packed = pack_words(Word(end, author is S, 0.9) for _, end in words(text))
    return Span(author, kind, text, words=packed, **how)


def turn(role: Author, index: int | None, count: int, rejected: str | None, **how: Any) -> Turn:
    values = {"asked": 9, "received": 9, "kept": count, "cut": rejected is not None, "seconds": 0.0, **how}
    return Turn(role, "server", words=count, span=index, rejected=rejected, **values)


SPANS = [span(S, "Okay, so"), span(T, " we add 3"), span(S, "But", forced=True), span(T, " and 4.\n\nIt is 7.")]
TURNS = [
    turn(S, 0, 2, " we "),
    turn(T, 1, 3, " But then "),
    turn(S, None, 0, " and "),
    turn(T, None, 0, " But "),
    turn(S, 2, 1, None, requests=0),
    turn(T, 3, 2, " So "),
    turn(S, None, 0, "It "),
    turn(T, 3, 3, None),
]


def recorded(spans: Sequence[Span], turns: Sequence[Turn]) -> MemoryRecorder:
    recorder = MemoryRecorder()
    recorder.spans, recorder.turns = list(spans), list(turns)
    return recorder


def told(*style: str) -> Oracle:
    return Oracle(lambda word: word.strip(",.") in style, 0)


def test_what_each_turn_wrote() -> None:
    found = list(passages(Trace(KEY, tuple(SPANS)), TURNS))
    assert [(each.author, each.start, each.kept, each.rejected) for each in found] == [
        (S, 0, "Okay, so", " we "),
        (T, 8, " we add 3", " But then "),
        (S, 17, "", " and "),
        (T, 17, "", " But "),
        (T, 20, " and 4.\n\n", " So "),
        (S, 29, "", "It "),
        (T, 29, "It is 7.", ""),
    ]


def test_where_another_would_have_cut() -> None:
    found = rejudged(recorded(SPANS, TURNS), told("Okay", "we", "add", "4"))
    assert found.turns == {S: 3, T: 4}
    assert [(each.author, each.by) for each in found.moved] == [(S, -1), (T, -3), (T, None), (T, -1)]
    first, second, third, fourth = found.moved
    assert (first.before, first.between, first.after) == ("Okay, ", "so ", "we ")
    assert (second.before, second.between, second.after) == ("Okay, so ", "we add 3 ", "But then ")
    assert (third.before, third.between, third.after) == ("Okay, so we add 3 ", "But ", "")
    assert (fourth.before, fourth.between, fourth.after) == ("Okay, so we add 3But and ", "4.\n\n ", "So ")


def test_turns_that_were_lost_are_left_out_and_the_others_stay_in_their_place() -> None:
    found = rejudged(recorded(SPANS, [*TURNS[:5], *TURNS[6:]]), told("Okay", "so", "But", "So"))
    assert found.left_out == 1  # one turn of the last span is lost, so what the other wrote is not known
    assert found.moved == ()
    assert found.turns == {S: 3, T: 2}


def test_a_run_that_kept_nothing_rolled_back_or_cut_nothing() -> None:
    forgotten = [replace(each, rejected=None, cut=each.cut) for each in TURNS]
    with pytest.raises(UsageError, match="--keep-rejected"):
        rejudged(recorded(SPANS, forgotten), told())
    with pytest.raises(UsageError, match="no turn of this run was cut"):
        rejudged(recorded(SPANS[:1], [turn(S, 0, 2, None)]), told())
