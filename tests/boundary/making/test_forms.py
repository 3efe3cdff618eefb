"""Spans, classes, tags and brackets say the same of a text."""

from __future__ import annotations

import pytest
from hypothesis import given

from antiphon.boundary.making.forms import Unpaired, bracketed, classes_of, spans_of, tagged, unbracketed
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.words import words
from antiphon.errors import UsageError

from .texts import marked_texts


def joined(item: MarkedText) -> tuple[tuple[int, int], ...]:
    """Its spans, those without a gap joined."""
    spans: list[tuple[int, int]] = []
    for start, end in item.style:
        spans.append((spans.pop()[0] if spans and spans[-1][1] == start else start, end))
    return tuple(spans)


@given(marked_texts())
def test_a_word_is_style_if_its_first_character_lies_in_a_span(item: MarkedText) -> None:
    covered = {at for start, end in item.style for at in range(start, end)}
    assert classes_of(item.text, item.style) == [start in covered for start, _ in words(item.text)]


@given(marked_texts())
def test_spans_of_classes_have_these_classes_and_begin_and_end_with_words(item: MarkedText) -> None:
    spans = spans_of(item.text, item.classes)
    assert classes_of(item.text, spans) == item.classes
    assert {start for start, _ in spans} <= {start for start, _ in words(item.text)}
    assert {end for _, end in spans} <= {end for _, end in words(item.text)}
    assert len(spans) == sum(a and not b for a, b in zip(item.classes, [False, *item.classes], strict=False))


@given(marked_texts())
def test_brackets_round_trip(item: MarkedText) -> None:
    assert unbracketed(bracketed(item.text, item.style)) == (item.text, item.style)


@given(marked_texts())
def test_tags_round_trip(item: MarkedText) -> None:
    tokens = [item.text[a:b] for a, b in words(item.text)]
    classes = item.classes
    tags = ["O" if not c else "I-style" if n and classes[n - 1] else "B-style" for n, c in enumerate(classes)]
    text, style = tagged({"text": item.text, "tokens": tokens, "tags": tags}, "tokens")
    assert (text, style) == (item.text, spans_of(item.text, classes))
    text, style = tagged({"words": tokens, "tags": [tag[0].lower() for tag in tags]}, "words")
    assert text == " ".join(tokens)
    assert classes_of(text, style) == [c for (a, b), c in zip(words(item.text), classes, strict=True)]


def test_an_i_after_an_o_begins_a_span() -> None:
    assert tagged({"tokens": ["a", "b", "c"], "tags": ["O", "I-STYLE", "B-style"]}, "tokens") == (
        "a b c",
        ((2, 3), (4, 5)),
    )


def test_a_pair_around_nothing_marks_nothing() -> None:
    assert unbracketed("a⟦⟧ ⟦b⟧") == ("a b", ((2, 3),))


@pytest.mark.parametrize(("marked", "at"), [("a ⟦b ⟦c⟧", 5), ("a⟧ b", 1), ("⟦a⟧ b ⟧", 6), ("a ⟦b", 2)])
def test_unpaired_brackets_are_told_with_their_place(marked: str, at: int) -> None:
    with pytest.raises(Unpaired) as error:
        unbracketed(marked)
    assert error.value.at == at


def test_a_text_with_brackets_of_its_own_cannot_be_bracketed() -> None:
    with pytest.raises(UsageError, match="holds ⟦"):
        bracketed("x ∈ ⟦0, 1⟧", ())
