"""The record's plain values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.trace import (
    Author,
    Key,
    Kind,
    Span,
    Trace,
    Turn,
    Usage,
    Word,
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
