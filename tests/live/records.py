"""The invariants that a record shows by itself (docs/architecture.md, "The record"), for runs of real models."""

from __future__ import annotations

import re
from collections.abc import Mapping

from antiphon.engine.vocabulary import Vocabulary
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Trace, unpack_words

_LETTERS = {Kind.MARKER: "m", Kind.ANSWER: "a"}


def check(trace: Trace, vocabularies: Mapping[Author, Vocabulary]) -> None:
    """Raises AssertionError where one does not hold in a finished trace whose answer the student writes.

    Args:
        vocabularies: those of the authors, which both speak in ids.
    """
    assert trace.response == "".join(span.text for span in trace.spans)
    assert re.fullmatch("mt*(ma?)?", "".join(_LETTERS.get(span.kind, "t") for span in trace.spans))
    for before, span in zip([None, *trace.spans], trace.spans, strict=False):
        assert (span.author is Author.NONE) is (span.kind is Kind.MARKER)
        assert span.end is not None
        assert "\ufffd" not in span.text
        if span.kind is Kind.MARKER:
            continue
        if before is not None and not before.forced and not span.forced:
            assert (before.author, before.kind) != (span.author, span.kind)
        if span.kind is Kind.ANSWER:
            assert span.author is Author.STUDENT
        _check_ids(span, vocabularies[span.author])
        if span.kind in (Kind.STYLE, Kind.CAPABILITY):
            _check_words(span)


def _check_ids(span: Span, vocabulary: Vocabulary) -> None:
    assert span.ids_from is IdsFrom.SAMPLED
    assert vocabulary.decode(span.ids) == span.text
    if span.end is SpanEnd.BOUNDARY and not span.reencoded:
        last = vocabulary.decode(span.ids[-1:])
        assert "\n" in last or not last.isspace()


def _check_words(span: Span) -> None:
    words = list(unpack_words(span.words))
    assert words
    assert all(word.style is (span.kind is Kind.STYLE) for word in words)
    assert not span.text[words[-1].end :].strip()
    assert ((span.author is Author.STUDENT) is (span.kind is Kind.STYLE)) is not span.forced
    assert len(words) == 1 or not span.forced
