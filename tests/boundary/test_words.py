"""What a word is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.words import WordReader, first_word, is_whole, unfinished_word, words

from .contract import TEXTS

WORDS = {
    "Okay, so\n\nx=1": ["Okay,", "so", "x=1"],
    "好的，so那么": ["好", "的", "，", "so", "那", "么"],
    "ｆｕｌｌ カナ": ["ｆ", "ｕ", "ｌ", "ｌ", "カ", "ナ"],
    "한국어 말": ["한국어", "말"],
    "a\u2028b\u00a0c\x1fd": ["a", "b", "c", "d"],
    "a\x00b\ud800c e\u0301": ["a\x00b\ud800c", "e\u0301"],
    " \t": [],
    "": [],
}


@pytest.mark.parametrize(("text", "expected"), WORDS.items())
def test_words(text, expected):
    assert [text[start:end] for start, end in words(text)] == expected


@given(TEXTS)
def test_words_are_all_but_the_white_space(text):
    assert "".join(text[start:end] for start, end in words(text)) == "".join(text.split())


def test_is_whole():
    assert is_whole("so ", 2)
    assert not is_whole("so", 2)
    assert is_whole("好", 1)


def test_first_word():
    assert first_word("so x", 0) == (2, True)
    assert first_word("so x", 3) == (4, False)
    assert first_word("so好", 0) == (2, True)
    assert first_word("so ", 2) == (2, False)


@given(TEXTS)
def test_unfinished_word(text):
    start = unfinished_word(text)
    spans = words(text)
    if spans and spans[-1][1] == len(text) and not is_whole(text, len(text)):
        assert start == spans[-1][0]
    else:
        assert start == len(text)


@given(TEXTS, st.lists(st.integers(0, 40), max_size=5))
def test_a_reader_finds_the_same_words_however_the_text_is_cut(text, cuts):
    reader, found = WordReader(), []
    cuts = sorted(min(cut, len(text)) for cut in cuts)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += reader.push(text[start:end])
    found += reader.finish()
    assert found == words(text)
    assert reader.finish() == []
    assert reader.position == len(text)
    assert reader.text(0, len(text)) == text


def test_a_seam_ends_a_word_for_a_reader():
    reader = WordReader()
    reader.push("so")
    assert reader.partial == (0, 2)
    reader.skip(3)
    assert reader.push("be it") == [(5, 7)]
    assert reader.text(5, 7) == "be"
    with pytest.raises(ValueError, match="before the last seam at 5"):
        reader.text(4, 6)


def test_a_reader_rolls_back_to_its_last_seam():
    reader = WordReader()
    reader.skip(2)
    assert reader.push("so it") == [(2, 4)]
    reader.rollback(6)
    assert reader.push("s ") == [(5, 7)]
    for position in (1, 9):
        with pytest.raises(ValueError, match="held are 2 to 8"):
            reader.rollback(position)
