"""The lab's language: its words, and the two manners in which one computation is told.

A solution is steps with style around them. A step is written the same way by everybody (`tens 4x7=28+4=32`); what
differs is the manner: how one opens, passes on to the next step, announces the result, closes and answers. No word is
both a style word and a capability word, whoever writes it, so the boundary between the two can be told exactly from
the words (the rule page `lab`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LABELS = ("units", "tens", "hundreds", "total", "set", "print", "put", "list", "digit", "larger", "count")
"""Capability words: each step is one of these and a formula."""

QUESTION_WORDS = ("What", "is", "times", "plus", "Run:", "Sort", "Which", "larger:", "or", "Echo:")
"""Words of the problems that no solution's thinking uses (`print` and `a=3` are used by both)."""

VARIABLES = "abcd"


def bare(word: str) -> str:
    """A word as the rule pages see it: lower case, without the punctuation at its end."""
    return word.lower().strip(".,:")


@dataclass(frozen=True, slots=True)
class Manner:
    """How one author speaks. Every choice is drawn evenly from its list; an empty closing phrase is silence.

    `answers` hold `{}` where the result stands.
    """

    openers: tuple[str, ...]
    links: tuple[str, ...]
    results: tuple[str, ...]
    closers: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def style_words(self) -> frozenset[str]:
        """All words of its thinking, lower case, without punctuation."""
        phrases = (*self.openers, *self.links, *self.results, *self.closers)
        return frozenset(bare(word) for phrase in phrases for word in phrase.split())

    @property
    def inner_words(self) -> frozenset[str]:
        """All words that it uses behind a blank, answers included, as spelled but without punctuation."""
        tails = (phrase.partition(" ")[2] for phrase in (*self.openers, *self.answers))
        phrases = (*tails, *self.links, *self.results, *self.closers)
        return frozenset(word.strip(".,:{}") for phrase in phrases for word in phrase.split()) - {""}


STUDENT = Manner(
    openers=("Okay, let me see", "Alright, here goes", "Hmm, let me try", "Right, so first off"),
    links=("and now", "okay, so", "hmm, then", "so moving on", "then, well"),
    results=("so I guess", "and that makes", "which leaves", "so there it is"),
    closers=("looks good", "nice", "that was fun", "", ""),
    answers=("I get {}.", "So it is {}."),
)

TEACHER = Manner(
    openers=("We proceed stepwise:", "Consider each part:", "Begin by place:", "Proceeding in order:"),
    links=("Next:", "Subsequently:", "Continuing thus:", "Afterwards, similarly:", "In turn:"),
    results=("Hence:", "Consequently:", "Therefore, overall:", "This yields:"),
    closers=("Verified.", "Derivation complete.", "All consistent.", "", ""),
    answers=("Answer: {}", "Result: {}"),
)

MANNERS = {"student": STUDENT, "teacher": TEACHER}

STYLE_WORDS = STUDENT.style_words | TEACHER.style_words
"""What the rule page `lab` calls style; all other words of a thinking are capability."""


def first_word(phrase: str) -> str:
    """The first word of a phrase as spelled, without punctuation."""
    return phrase.split()[0].strip(".,:")


class Span(NamedTuple):
    """A stretch of a solution: its text, with the blank before it, and its kind: style, step, close or answer."""

    text: str
    kind: str


def told(steps: Sequence[str], result: str, manner: Manner, rng: random.Random) -> list[Span]:
    """A solution told in a manner, from the first word of the thinking to the last of the answer.

    Args:
        steps: the steps, the last of them the one that states the result.
        result: what the answer gives.
        manner: whose phrases.
        rng: draws the phrases.
    """
    spans = [Span(rng.choice(manner.openers), "style")]
    for number, step in enumerate(steps, 1):
        if number > 1:
            phrases = manner.links if number < len(steps) else manner.results
            spans.append(Span(" " + rng.choice(phrases), "style"))
        spans.append(Span(" " + step, "step"))
    if closer := rng.choice(manner.closers):
        spans.append(Span(" " + closer, "style"))
    return [*spans, Span(CLOSE, "close"), Span(rng.choice(manner.answers).format(result), "answer")]


OPEN = "<think>\n"
CLOSE = "\n</think>\n\n"
"""The think markers, as Qwen3 writes them."""

_ANSWER = re.compile(
    "|".join(re.escape(phrase).replace(r"\{\}", "(.*)") for manner in MANNERS.values() for phrase in manner.answers)
)


def result_of(answer: str) -> str:
    """What an answer gives as the result: what stands in an answer phrase of either manner, else the whole of it;
    blanks at the ends and a full stop do not count."""
    answer = " ".join(answer.split())
    match = _ANSWER.fullmatch(answer)
    found = next(group for group in match.groups() if group is not None) if match else answer
    return found.removesuffix(".").strip()


def vocabulary() -> Iterator[str]:
    """Every word and sign, in the spellings (with its blank, where one stands before it) that are one token each."""
    for manner in MANNERS.values():
        yield from (" " + word for word in sorted(manner.inner_words))
        yield from (first_word(phrase) for phrase in (*manner.openers, *manner.answers))
    for word in (*LABELS, *QUESTION_WORDS, *VARIABLES):
        yield " " + word.strip(":")
    yield from (word.strip(":") for word in QUESTION_WORDS if word[0].isupper())
    yield from ("system", "user", "assistant")
    yield from ("=" + variable for variable in VARIABLES)
    yield from ("\n", "\n\n", " ", *"x+-=<>.,:?", *"0123456789")
