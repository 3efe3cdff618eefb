"""From an annotator's reply, the text with ⟦ and ⟧ in it, to marks on the original.

Alignment is by position. White space, kinds of quotes and dashes, and forms of one character count as equal; what
stands before and after the text (a preamble, a code fence, thinking) is passed over. Where the text is there unchanged
but for that, every mark falls exactly where the brackets are. Where it is not, the two are aligned word by word, which
must agree in at least 95% of the words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from antiphon.boundary.making.forms import CLOSE, OPEN, Style, spans_of
from antiphon.boundary.making.thinking import after_thinking
from antiphon.boundary.words import words

AGREEMENT = 0.95
"""The share of the words that must be there unchanged."""

_FEW = 20  # words: a shorter text may be all style
_ADDED = 2  # words
_SAME = str.maketrans("‘’‚‛′`´“”„‟″«»‐‑‒–—―−", "'''''''\"\"\"\"\"\"\"-------")
_NOTHING = f"{OPEN}{CLOSE} \t\r\n`"
_EMPHASIS = re.compile(r"[*_`]+")


class Cause(StrEnum):
    """Why a reply cannot be used. The last two are for those who know more: `UNMARKED`: it has no mark on a text that
    surely has style; `SERVER`: there is none, the server refused the request."""

    EMPTY = "empty"
    REFUSAL = "refusal"
    LANGUAGE = "language"
    HALF = "half"
    CHANGED = "changed"
    BRACKETS = "brackets"
    SPANS = "spans"
    UNMARKED = "unmarked"
    SERVER = "server"

    @property
    def says(self) -> str:
        """In words."""
        return _SAYS[self]


_SAYS = {
    Cause.EMPTY: "nothing was written",
    Cause.REFUSAL: "something short that is not the text, as a refusal is",
    Cause.LANGUAGE: "a text in another language",
    Cause.HALF: "a part of the text only",
    Cause.CHANGED: f"another text: fewer than {AGREEMENT:.0%} of the words agree",
    Cause.BRACKETS: f"{OPEN} and {CLOSE} unpaired or nested",
    Cause.SPANS: "a mark at every turn, or on nearly all of it",
    Cause.UNMARKED: "no mark, though style is plain to see",
    Cause.SERVER: "no reply: the server refused the request",
}


class Unusable(Exception):
    """A reply that gives no marks."""

    def __init__(self, cause: Cause):
        super().__init__(cause.says)
        self.cause = cause


def align(text: str, reply: str) -> Style:
    """The marks that a reply makes on a text, from the start of a word to the end of one.

    As everywhere, a word is style where its first character is. A word that the reply lacks is style only inside a
    mark.

    Raises:
        Unusable: says why.
    """
    written = after_thinking(reply)
    if not written.strip(_NOTHING):
        raise Unusable(Cause.EMPTY)
    # The text may speak of think markers itself, so that all of the reply is looked at, too.
    classes = _exact(text, written) or _exact(text, reply) or _by_word(text, written)
    style = spans_of(text, classes)
    if len(style) > max(8, len(classes) // 4) or (len(classes) >= _FEW and sum(classes) > 0.9 * len(classes)):
        raise Unusable(Cause.SPANS)
    return style


class _Folded:
    """A text as it is compared: without white space and invisible characters, quotes and dashes of one kind, every
    character in its simplest form. `at` gives the place of each of these characters in the text itself."""

    def __init__(self, text: str):
        characters: list[str] = []
        self.at: list[int] = []
        for place, character in enumerate(text.translate(_SAME)):
            for simple in unicodedata.normalize("NFKD", character):
                if not simple.isspace() and unicodedata.category(simple) != "Cf":
                    characters.append(simple)
                    self.at.append(place)
        self.text = "".join(characters)

    def before(self, place: int) -> int:
        """How many of its characters stand before a place in the text."""
        return bisect_left(self.at, place)


class _Reply:
    """A reply without its brackets.

    Args:
        blank: what stands in a bracket's place.
    """

    def __init__(self, reply: str, blank: str = ""):
        pieces = re.split(f"([{OPEN}{CLOSE}])", reply)
        self.text = blank.join(pieces[::2])
        self.folded = _Folded(self.text)
        self._brackets: list[tuple[int, str]] = []  # how much of the folded text stands before each
        length = 0
        for piece, bracket in zip(pieces[::2], pieces[1::2], strict=False):
            length += len(piece)
            found = self.folded.before(length), bracket
            length += len(blank)
            if bracket == CLOSE and self._brackets[-1:] == [(found[0], OPEN)]:
                self._brackets.pop()  # a pair around nothing
            else:
                self._brackets.append(found)

    def marks(self, start: int, end: int) -> list[tuple[int, int]]:
        """What stands between brackets in a stretch of the folded text.

        Raises:
            Unusable: they are unpaired or nested there.
        """
        inside = [
            (at, bracket)
            for at, bracket in self._brackets
            if (start <= at < end if bracket == OPEN else start < at <= end)
        ]
        if [bracket for _, bracket in inside] != [OPEN, CLOSE] * (len(inside) // 2):
            raise Unusable(Cause.BRACKETS)
        return [(a, b) for (a, _), (b, _) in zip(inside[::2], inside[1::2], strict=True)]

    def has_brackets(self, start: int, end: int) -> bool:
        """Whether any stand in a stretch of the folded text."""
        return any(start <= at <= end for at, _ in self._brackets)


def _exact(text: str, reply: str) -> list[bool] | None:
    """The classes of the words where the reply holds the text unchanged, the last time with brackets if it does more
    than once; None where it does not, or where its brackets are no pairs."""
    original, given = _Folded(text), _Reply(reply)
    places = [found.start() for found in re.finditer(re.escape(original.text), given.folded.text)]
    if not places:
        return None
    size = len(original.text)
    start = next((at for at in reversed(places) if given.has_brackets(at, at + size)), places[-1])
    try:
        marks = [(a - start, b - start) for a, b in given.marks(start, start + size)]
    except Unusable:  # which a word added at an end may explain
        return None
    return [_is_inside(original.before(first), marks) for first, _ in words(text)]


def _is_inside(at: int, marks: Iterable[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in marks)


def _by_word(text: str, reply: str) -> list[bool]:
    """The classes of the words, from a reply that changes some of them.

    Raises:
        Unusable: too many are changed.
    """
    original = [_key(text[start:end]) for start, end in words(text)]
    # A bracket may stand in the place of a blank, or inside a word: what agrees better is taken.
    tries = [_Alignment(original, _Reply(reply, blank)) for blank in ("", " ")]
    best = max(tries, key=lambda found: found.agreement)
    if best.agreement < AGREEMENT:
        raise Unusable(_cause(original, best.given, best.blocks))
    return best.classes()


class _Block(NamedTuple):
    """So many words that are the same, from word `a` of the text and word `b` of the reply on."""

    a: int
    b: int
    size: int


class _Alignment:
    """A reply's words beside those of the text, by their keys."""

    def __init__(self, original: Sequence[str], reply: _Reply):
        self._reply = reply
        self._spans = words(reply.text)
        self._original = original
        self.given = [_key(reply.text[start:end]) for start, end in self._spans]
        self.blocks = _blocks(original, self.given)
        self.agreement = _agreement(self.blocks, len(original))

    def classes(self) -> list[bool]:
        """The class of each of the text's words.

        Raises:
            Unusable: brackets are unpaired or nested.
        """
        partner = self._partners()
        places = [self._place(index) for index in range(len(self._spans))]
        marks = self._marks(min(partner.values()), max(partner.values()), places)
        classes = {word: _is_inside(places[index][0], marks) for word, index in partner.items()}
        for word in range(len(self._original)):
            if word not in classes:
                classes[word] = self._lacking(word, partner, places, marks)
        return [classes[word] for word in range(len(self._original))]

    def _marks(self, first: int, last: int, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The marks from one word to another; an added word or two at the ends may stand inside a mark."""
        before, behind = max(0, first - _ADDED), min(len(places) - 1, last + _ADDED)
        try:
            return self._reply.marks(places[before][0], places[behind][1])
        except Unusable:
            return self._reply.marks(places[first][0], places[last][1])

    def _partners(self) -> dict[int, int]:
        """The reply's word for each of the text's that has one: the same word, or what stands in its place, counted
        from the last that is the same (at the beginning: back from the first)."""
        partner = {a + step: b + step for a, b, size in self.blocks for step in range(size)}
        a, b, _ = self.blocks[0]
        for before in range(1, min(a, b) + 1):
            partner[a - before] = b - before
        end = _Block(len(self._original), len(self.given), 0)
        for (a, b, size), after in pairwise([*self.blocks, end]):
            for step in range(size, min(after.a - a, after.b - b)):
                partner[a + step] = b + step
        return partner

    def _place(self, index: int) -> tuple[int, int]:
        start, end = self._spans[index]
        return self._reply.folded.before(start), self._reply.folded.before(end)

    def _lacking(
        self, word: int, partner: dict[int, int], places: Sequence[tuple[int, int]], marks: Iterable[tuple[int, int]]
    ) -> bool:
        """The class of a word that the reply lacks: style where one mark covers what stands before and behind it."""
        before = next((partner[at] for at in range(word - 1, -1, -1) if at in partner), None)
        behind = next((partner[at] for at in range(word + 1, len(self._original)) if at in partner), None)
        if before is None or behind is None:
            return False
        (_, start), (end, _) = places[before], places[behind]
        return any(a < start and end < b for a, b in marks)


def _blocks(original: Sequence[str], given: Sequence[str]) -> list[_Block]:
    """What agrees, in order. The reply is read from where its longest agreement lets the text begin to where it lets it
    end, with some room; what agrees by chance beyond is left out, as words of a preamble do."""
    room = max(2, len(original) // 20)
    longest = SequenceMatcher(None, original, given, autojunk=False).find_longest_match()
    low = max(0, longest.b - longest.a - room)
    high = min(len(given), longest.b + len(original) - longest.a + room)
    found = SequenceMatcher(None, original, given[low:high], autojunk=False).get_matching_blocks()
    blocks = [_Block(a, b + low, size) for a, b, size in found if size]
    for shorter in (blocks[1:], blocks[:-1], blocks[1:-1]):
        if _agreement(shorter, len(original)) > _agreement(blocks, len(original)):
            blocks = shorter
    return blocks


def _agreement(blocks: Sequence[_Block], length: int) -> float:
    """The share of the words that agree, of those of the text (`length`) or of the reply from the first to the last."""
    if not blocks:
        return 0.0
    given = blocks[-1].b + blocks[-1].size - blocks[0].b
    return sum(block.size for block in blocks) / max(length, given)


def _cause(original: Sequence[str], given: Sequence[str], blocks: Sequence[_Block]) -> Cause:
    """What kind of reply it is that is not the text."""
    runs = [block for block in blocks if block.size >= min(3, len(original))]
    if runs:
        covered = runs[-1].a + runs[-1].size - runs[0].a
        same = sum(block.size for block in runs)
        if same >= 0.9 * covered and covered < AGREEMENT * len(original) and same >= min(10, 0.1 * len(original)):
            return Cause.HALF
    if len(given) < 0.5 * len(original):
        return Cause.REFUSAL
    spoken = [core for word in given if len(core := _core(word)) > 1 or core > "z"]
    known = set(map(_core, original))
    if len(spoken) >= 5 and sum(word in known for word in spoken) < 0.2 * len(spoken):
        return Cause.LANGUAGE
    return Cause.CHANGED


def _core(key: str) -> str:
    """A word's letters, "" where it is not a word of letters."""
    core = re.sub(r"^\W+|\W+$", "", key)
    return core if core.isalpha() else ""


def _key(word: str) -> str:
    """A word as it is compared: simplest forms, no capitals, no Markdown emphasis."""
    folded = _Folded(word).text.casefold()
    return _EMPHASIS.sub("", folded) or folded
