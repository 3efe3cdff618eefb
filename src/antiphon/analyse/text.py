"""What is analysed: one response, in stretches of one author and one kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.judge import judge
from antiphon.dialect import Message
from antiphon.problem import Problem, content_id
from antiphon.trace import Author, Kind, Span

_SAID = (Kind.STYLE, Kind.CAPABILITY)


class Stretch(NamedTuple):
    """A piece of a response with one author and one kind, markers left out. `forced`: liveness kept this one word."""

    author: Author
    kind: Kind
    text: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One response and what it replies to.

    Attributes:
        key: its place, as a reader finds it: a trace's key, or file:line.
        problem: what all responses to the same problem share, also in other runs and files (`problem_key`).
        complete: whether it ended by itself.
        marked: whether its style was told by a predictor here, and not by the record.
    """

    key: str
    problem: str
    messages: tuple[Message, ...]
    stretches: tuple[Stretch, ...]
    complete: bool = True
    marked: bool = False

    @property
    def thinking(self) -> str:
        """The thinking, without markers."""
        return "".join(stretch.text for stretch in self.stretches if stretch.kind is not Kind.ANSWER)

    @property
    def answer(self) -> str:
        """The final answer."""
        return "".join(stretch.text for stretch in self.stretches if stretch.kind is Kind.ANSWER)

    @property
    def has_kinds(self) -> bool:
        """Whether style is told from capability in all of its thinking."""
        return all(stretch.kind is not Kind.THINKING for stretch in self.stretches)


def problem_key(problem: Problem) -> str:
    """What pairs responses from different places: the record's `problem_key` where it has one, else a hash of what was
    asked."""
    named = problem.metadata.get("problem_key")
    return named if isinstance(named, str) and named else content_id(problem.messages)


def stretches(spans: Iterable[Span]) -> tuple[Stretch, ...]:
    """The stretches of a record's spans: adjacent ones of the same author and kind are one."""
    kept = (span for span in spans if span.kind is not Kind.MARKER and span.text)
    return tuple(
        Stretch(author, kind, "".join(span.text for span in together), forced)
        for (author, kind, forced), together in groupby(kept, lambda span: (span.author, span.kind, span.forced))
    )


async def marked(texts: Iterable[Text], predictor: BoundaryPredictor) -> list[Text]:
    """The texts, those parts of their thinking in which nobody told style from capability marked by a predictor, in one
    piece. White space belongs to what stands before it; authors stay.

    Raises:
        PredictorError: the predictor breaks its contract.
    """
    given = list(texts)
    wanted = [(text, place) for text in given for place, one in enumerate(text.stretches) if one.kind is Kind.THINKING]
    asked = [(text.stretches[place].text, _role(text.stretches[place].author)) for text, place in wanted]
    told = iter(await judge(predictor, asked, by_word=False))
    found = []
    for text in given:
        if text.has_kinds:
            found.append(text)
            continue
        parts: list[Stretch] = []
        for one in text.stretches:
            if one.kind is not Kind.THINKING:
                parts.append(one)
                continue
            cuts = [(verdict.start, verdict.style) for verdict in next(told).verdicts]
            first = [next(group) for _, group in groupby(cuts, lambda cut: cut[1])] or [(0, False)]
            ends = [start for start, _ in first[1:]] + [len(one.text)]
            begins = [0, *ends]
            for begin, end, (_, style) in zip(begins, ends, first, strict=False):
                parts.append(Stretch(one.author, _SAID[not style], one.text[begin:end]))
        found.append(replace(text, stretches=tuple(parts), marked=True))
    return found


def _role(author: Author) -> Author:
    """Whose session reads it: data of an unknown author are read as the teacher's, who is the one that others are."""
    return author if author in (Author.STUDENT, Author.TEACHER) else Author.TEACHER
