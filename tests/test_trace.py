"""The record's plain values."""

from __future__ import annotations

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.trace import (
    Author,
    IdsFrom,
    Key,
    Kind,
    Label,
    Span,
    SpanEnd,
    Status,
    Trace,
    Turn,
    Usage,
    Verdict,
    Word,
    estimated_tokens,
    pack_ids,
    pack_words,
    unpack_words,
)

words = st.builds(Word, st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.5, 1))


@given(st.lists(words))
def test_packed_words_come_back_with_their_confidence_to_a_255th(given: list[Word]) -> None:
    packed = pack_words(given)
    assert len(packed) == 6 * len(given)
    for word, back in zip(given, unpack_words(packed), strict=True):
        assert (back.end, back.style) == (word.end, word.style)
        assert abs(back.confidence - word.confidence) <= 0.5 / 255 + 1e-9


def test_ids_take_four_bytes_each() -> None:
    assert pack_ids([0, 2**32 - 1]).itemsize == 4
    assert list(pack_ids([0, 2**32 - 1])) == [0, 2**32 - 1]
    assert not pack_ids()


def test_the_voices_are_each_others_other() -> None:
    assert Author.STUDENT.other is Author.TEACHER
    assert Author.TEACHER.other is Author.STUDENT


@pytest.mark.parametrize("author", [Author.UNKNOWN, Author.NONE])
def test_who_is_no_voice_has_no_other(author: Author) -> None:
    with pytest.raises(ValueError, match=author.value):
        _ = author.other


def test_a_response_is_its_spans_joined() -> None:
    spans = (
        Span(Author.NONE, Kind.MARKER, "<think>\n"),
        Span(Author.STUDENT, Kind.STYLE, "Okay,"),
        Span(Author.TEACHER, Kind.CAPABILITY, " 2+2=4"),
        Span(Author.TEACHER, Kind.STYLE, " so", forced=True),
        Span(Author.NONE, Kind.MARKER, "\n</think>\n\n"),
        Span(Author.STUDENT, Kind.ANSWER, "4"),
    )
    trace = Trace(Key("p", "tessy", 0), spans)
    assert trace.response == "<think>\nOkay, 2+2=4 so\n</think>\n\n4"
    assert trace.thinking == "Okay, 2+2=4 so"
    assert trace.answer == "4"
    assert str(trace.key) == "p/tessy/0"


def test_what_was_thrown_away_is_what_was_received_and_not_kept() -> None:
    turn = Turn(Author.TEACHER, "here", asked=20, received=9, kept=6, words=3, cut=True, seconds=0.1)
    assert turn.thrown_away == 3
    assert Usage(received=9, kept=6).thrown_away == 3


def test_a_seam_inside_a_word_is_counted() -> None:
    texts = ["Okay,", "two", " plus", " two.\n\n", "Wait"]
    spans = tuple(Span(Author.STUDENT, Kind.STYLE, text) for text in texts)
    assert Trace(Key("p", "tessy", 0), (*spans, Span(Author.NONE, Kind.MARKER, "</think>"))).glued == 1


@pytest.mark.parametrize(
    ("enumeration", "written"),
    [
        (Author, "student teacher unknown none"),
        (Kind, "style capability thinking answer marker"),
        (IdsFrom, "sampled encoded none"),
        (SpanEnd, "boundary think_close think_close_text end_of_turn budget context seam"),
        (Status, "complete repetition too_long context_full no_answer failed"),
        (Label, "right wrong no_answer timed_out crashed cannot_judge"),
    ],
)
def test_run_directories_and_exports_hold_these_words(enumeration: type[StrEnum], written: str) -> None:
    """Who changes one has to bring the run directories that are there along."""
    assert [member.value for member in enumeration] == written.split()
    assert [member.name.lower() for member in enumeration] == written.split()


def test_thinking_is_closed_by_a_token_or_by_its_text() -> None:
    assert {end for end in SpanEnd if end.closes_thinking} == {SpanEnd.THINK_CLOSE, SpanEnd.THINK_CLOSE_TEXT}


@pytest.mark.parametrize(("characters", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_four_characters_are_about_a_token(characters: int, tokens: int) -> None:
    assert estimated_tokens(characters) == tokens
    assert Span(Author.TEACHER, Kind.ANSWER, "x" * characters, pack_ids([7])).tokens == tokens
    assert Span(Author.TEACHER, Kind.ANSWER, "x" * characters, pack_ids([7]), IdsFrom.ENCODED).tokens == 1


def test_confidences_are_stored_in_steps_of_a_255th() -> None:
    assert pack_words([Word(258, True, 1.0), Word(3, False, 0.5)]) == bytes([2, 1, 0, 0, 1, 255, 3, 0, 0, 0, 0, 128])


usages = st.builds(
    Usage,
    requests=st.integers(0, 99),
    received=st.integers(0, 99),
    kept=st.integers(0, 99),
    cached=st.none() | st.integers(0, 99),
    seconds=st.integers(0, 99),
    prompt=st.integers(0, 99),
    told=st.integers(0, 99),
)


@given(usages, usages)
def test_usages_add_up(one: Usage, other: Usage) -> None:
    both = one + other
    for name in ("requests", "received", "kept", "seconds", "prompt", "told"):
        assert getattr(both, name) == getattr(one, name) + getattr(other, name)
    told = [usage.cached for usage in (one, other) if usage.cached is not None]
    assert both.cached == (sum(told) if told else None)
    assert one + Usage() == one


def test_a_turn_is_one_request_whose_prompt_nobody_told_unless_said_otherwise() -> None:
    turn = Turn(Author.TEACHER, "here", asked=20, received=9, kept=6, words=3, cut=True, seconds=0.1)
    assert turn.usage == Usage(requests=1, received=9, kept=6, cached=None, seconds=0.1, prompt=0, told=0)


def test_the_share_of_prompts_that_was_cached_is_of_those_that_were_told() -> None:
    assert Usage(cached=30, prompt=200, told=120).cached_share == 0.25
    assert Usage(cached=3, told=2).cached_share == 1.0  # a server counts otherwise than we
    assert Usage(cached=1, told=1).cached_share == 1.0
    assert Usage(prompt=200).cached_share is None
    assert Usage(cached=0, prompt=200).cached_share is None


def test_a_trace_begins_pending_and_not_stored() -> None:
    trace = Trace(Key("p", "tessy", 0))
    assert (trace.spans, trace.status, trace.cause, trace.change) == ((), None, "", 0)
    assert Verdict("math", "1", Label.RIGHT) == Verdict("math", "1", Label.RIGHT, detail="", seconds=0.0)


def test_a_seam_is_whole_with_white_space_on_either_side() -> None:
    def glued(*spans: Span) -> int:
        return Trace(Key("p", "tessy", 0), spans).glued

    style = [Span(Author.STUDENT, Kind.STYLE, text) for text in ("a ", "b", " c", "", "d")]
    assert glued(*style) == 1  # c and d, with nothing between them
    assert glued(style[1], Span(Author.STUDENT, Kind.ANSWER, "4"), Span(Author.NONE, Kind.MARKER, "</think>")) == 0
