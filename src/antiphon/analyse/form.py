"""The form of a text, whatever it is about: how often it says what, how long its parts are, how it is laid out.

Rates are per 1,000 words of the thinking unless named otherwise; a word is what the record calls one
(`antiphon.boundary.words`). A sentence ends at `.`, `!`, `?` or `…` before white space, and at a line's end; a
paragraph at a blank line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from sys import intern

from antiphon.analyse.contrast import Measure, Measures
from antiphon.analyse.text import Text
from antiphon.boundary.lexeme import lexeme
from antiphon.boundary.words import words
from antiphon.trace import Kind

PHRASES = (
    "wait", "but", "so", "okay", "hmm", "well", "oh", "now", "then", "alright", "right", "yes", "no", "actually",
    "maybe", "perhaps", "probably", "however", "therefore", "thus", "hence", "alternatively", "instead", "also",
    "i", "we", "let me", "let's", "i think", "i need to", "i should", "i can", "we need to", "we can", "we have",
    "the user", "the problem", "first", "next", "finally", "check", "double check", "verify", "make sure",
    "that makes sense", "in other words", "for example", "it seems", "looks like", "not sure",
)  # fmt: skip
"""Phrases that are counted: fillers, turns of thought, hedges, frames and markers of the thinking of many models."""

OPENERS = (
    "wait", "but", "so", "okay", "hmm", "now", "then", "and", "let", "i", "we", "the", "if", "since", "therefore",
    "thus", "alternatively", "maybe", "however", "first", "next", "also", "that", "this", "it", "yes", "no",
)  # fmt: skip
"""First words by whose share of all sentences' beginnings texts are told apart."""

_SIGNS = {
    "commas": r",",
    "full stops": r"\.(?=\s|\Z)",
    "question marks": r"[?？]",
    "exclamation marks": r"[!！]",
    "colons": r":(?=\s|\Z)",
    "semicolons": r";",
    "ellipses": r"…|\.\.\.",
    "dashes": r"[–—]| - ",
    "parentheses": r"\((?![)])",
    "quotation marks": r"[\"“”]",
    "arrows": r"→|⇒|=>|->",
    "equals signs": r"(?<![=<>!])=(?![=>])",
    "emoji": r"[\U0001F300-\U0001FAFF\u2600-\u27BF]",
}
_LAYOUT = {
    "code fences": r"^[ \t]*```",
    "inline code": r"(?<!`)`[^`\n]+`(?!`)",
    "formulas": r"\$[^$\n]+\$|\\\(|\\\[|\$\$",
    "bold": r"\*\*[^*\n]+\*\*",
    "headings": r"^#{1,6} ",
    "bullets": r"^[ \t]*[-*•] ",
    "numbered lines": r"^[ \t]*\(?\d{1,3}[.)] ",
    "table rows": r"^[ \t]*\|.*\|[ \t]*$",
}
_PATTERNS = {name: re.compile(pattern, re.MULTILINE) for name, pattern in {**_SIGNS, **_LAYOUT}.items()}
_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]*]*\s+|\n+|(?<=[。！？])")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_LONGEST = max(phrase.count(" ") + 1 for phrase in PHRASES)
_PHRASES = frozenset(PHRASES)

LENGTHS = (
    Measure("words of thinking", "words"),
    Measure("words of the answer", "words"),
    Measure("words in a sentence", "words"),
    Measure("words in a paragraph", "words"),
    Measure("characters in a word", "characters"),
    Measure("spans in a trace", "spans"),
    Measure("words in a style span", "words"),
    Measure("words in a capability span", "words"),
    Measure("style among the words", "share"),
    Measure("different words among 100", "share"),
)
"""How long what is, how much of the thinking is style, and how varied its words are."""

_RATE = "per 1,000 words"
HABITS = (
    *(Measure(f"says “{phrase}”", _RATE, 1000) for phrase in PHRASES),
    *(Measure(f"sentence begins with “{opener}”", "share") for opener in OPENERS),
    *(Measure(name, _RATE, 1000) for name in _PATTERNS),
    *(Measure(f"{name} in the answer", _RATE, 1000) for name in _LAYOUT),
)
"""What a text says and how it is set, whatever its length."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one text: its measures, how often each word stands in its thinking, each word of its style spans, and
    each beginning (two words) of its sentences. Words are lower case, without punctuation around them."""

    key: str
    problem: str
    measures: Measures
    words: Counter[str]
    style: Counter[str]
    openers: Counter[str]


def form_of(text: Text) -> Form:
    """The form of a text; of its style only where style is told from capability."""
    thinking, answer = text.thinking, text.answer
    said = _said(thinking)
    count = len(said)
    sentences = [sentence for piece in _SENTENCE.split(thinking) if (sentence := _said(piece))]
    paragraphs = sum(1 for piece in _PARAGRAPH.split(thinking) if piece.strip())
    answered = len(words(answer))
    found: dict[str, tuple[float, float]] = {}
    if answered:
        found["words of the answer"] = answered, 1
        for name in _LAYOUT:
            found[f"{name} in the answer"] = len(_PATTERNS[name].findall(answer)), answered
    openers: Counter[str] = Counter()
    style: Counter[str] = Counter()
    if count:
        found["words of thinking"] = count, 1
        found["words in a paragraph"] = count, max(1, paragraphs)
        found["characters in a word"] = sum(map(len, said)), count
        pieces = [said[begin : begin + 100] for begin in range(0, count - 99, 100)]
        if pieces:
            found["different words among 100"] = sum(len(set(piece)) for piece in pieces), 100 * len(pieces)
        phrases = Counter(_phrases(said))
        found |= {f"says “{phrase}”": (phrases[phrase], count) for phrase in PHRASES}
        found |= {name: (len(pattern.findall(thinking)), count) for name, pattern in _PATTERNS.items()}
    if sentences:
        found["words in a sentence"] = sum(map(len, sentences)), len(sentences)
        begun = Counter(sentence[0] for sentence in sentences)
        found |= {f"sentence begins with “{opener}”": (begun[opener], len(sentences)) for opener in OPENERS}
        openers.update(" ".join(sentence[:2]) for sentence in sentences)
    if count and text.has_kinds:
        found |= _spans(text, style)
    return Form(text.key, text.problem, found, Counter(said), style, openers)


def _spans(text: Text, style: Counter[str]) -> Iterator[tuple[str, tuple[float, float]]]:
    thinking = [stretch for stretch in text.stretches if stretch.kind is not Kind.ANSWER]
    lengths: dict[Kind, list[int]] = {Kind.STYLE: [], Kind.CAPABILITY: []}
    for stretch in thinking:
        said = _said(stretch.text)
        lengths[stretch.kind].append(len(said))
        if stretch.kind is Kind.STYLE:
            style.update(said)
    of_style, of_capability = lengths[Kind.STYLE], lengths[Kind.CAPABILITY]
    yield "spans in a trace", (len(thinking), 1)
    if of_style:
        yield "words in a style span", (sum(of_style), len(of_style))
    if of_capability:
        yield "words in a capability span", (sum(of_capability), len(of_capability))
    yield "style among the words", (sum(of_style), sum(of_style) + sum(of_capability))


def _said(text: str) -> list[str]:
    """The words that are more than punctuation, as they are counted."""
    cores = (lexeme(text[start:end]).core for start, end in words(text))
    return [intern(core) for core in cores if core]  # most come again in other texts


def _phrases(said: list[str]) -> Iterator[str]:
    for length in range(1, _LONGEST + 1):
        for begin in range(len(said) - length + 1):
            phrase = " ".join(said[begin : begin + length])
            if phrase in _PHRASES:
                yield phrase
