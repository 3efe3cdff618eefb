"""A response as it is published, taken apart: where its thinking stands, and what opens, closes and ends it."""

from __future__ import annotations

import re
from typing import NamedTuple

from antiphon.boundary.making.thinking import thinking_in
from antiphon.dialect import Dialect, text_of
from antiphon.trace import Author, Kind, Span, SpanEnd

_BREAKS = "\r\n"
_CLOSE = re.compile(
    r"[\r\n]*(?:(?:</think>|\[/THINK\]|</seed:think>|<\|end_of_thought\|>)(?:[ \t]*(?=[\r\n]))?[\r\n]*"
    r"(?:<\|begin_of_solution\|>[\r\n]*)?"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>|assistantfinal|<\|end\|>)"
)
_FINAL = re.compile(r"\s*(?:<\|channel\|>final<\|message\|>|<\|begin_of_solution\|>[\r\n]*)")
_END = re.compile(r"[\r\n]*(?:<\|(?:return|end)\|>|<\|end_of_solution\|>)\s*\Z")


class Response(NamedTuple):
    """A response in five pieces, which joined are its text. Line breaks beside a marker belong to it.

    `thinking` is None where the response shows none; `closed` says whether something closes it. What follows is the
    answer, also where that holds further blocks of thinking.
    """

    opening: str
    thinking: str | None
    closing: str
    answer: str
    ending: str
    closed: bool

    def spelled(self, dialect: Dialect) -> Response:
        """The same with the markers of a family of models, the thinking and the answer untouched. What shows no
        thinking has no markers."""
        if self.thinking is None:
            return self._replace(opening="", closing="", ending="")
        closing = text_of(dialect.closing(self.thinking)) if self.closed else ""
        return self._replace(opening=text_of(dialect.think_open), closing=closing, ending="")

    def spans(self, *, cut: bool, markers: Author) -> tuple[Span, ...]:
        """The response as the record has it.

        Args:
            cut: it was cut off.
            markers: who wrote the markers: nobody knows, or nobody.
        """
        last = SpanEnd.BUDGET if cut else SpanEnd.END_OF_TURN
        spans = (
            Span(markers, Kind.MARKER, self.opening, end=SpanEnd.SEAM),
            Span(
                Author.UNKNOWN,
                Kind.THINKING,
                self.thinking or "",
                end=SpanEnd.THINK_CLOSE_TEXT if self.closed else last,
            ),
            Span(markers, Kind.MARKER, self.closing, end=SpanEnd.SEAM),
            Span(Author.UNKNOWN, Kind.ANSWER, self.answer, end=last),
            Span(markers, Kind.MARKER, self.ending, end=SpanEnd.SEAM),
        )
        return tuple(span for span in spans if span.text)


def inline(text: str, *, cut: bool) -> Response:
    """A response whose thinking stands in its text, between markers, before a close, or, where it was cut off without
    any, all of it."""
    found = thinking_in(text, complete=not cut)
    ended = _END.search(text)
    if found is None:
        begun = _FINAL.match(text)
        start, end = begun.end() if begun else 0, ended.start() if ended else len(text)
        return Response(text[:start], None, "", text[start:end], text[end:], False)
    start, end = found
    while start < end and text[start] in _BREAKS:
        start += 1
    inner = end
    while start < inner and text[inner - 1] in _BREAKS:
        inner -= 1
    close = _CLOSE.match(text, inner)
    end, after = (end, end) if close is None else (inner, close.end())
    last = ended.start() if ended and ended.start() >= after else len(text)
    answer = text[after:last]
    return Response(
        text[:start], text[start:end], text[end:after], answer, text[last:], close is not None or answer != ""
    )


def apart(thinking: str, answer: str, *, cut: bool) -> Response:
    """A response whose thinking was told apart from its answer; the markers between them are ours."""
    closed = bool(answer) or not cut
    return Response("<think>\n", thinking, "\n</think>\n\n" if closed else "", answer, "", closed)
