"""What the small predictor sees of a word: its letters by hashed features, and the place where it stands."""

from __future__ import annotations

import zlib

from antiphon.boundary.lexeme import lexeme
from antiphon.boundary.region import KINDS, after_blank_line, after_word

BUCKETS = 1 << 16
"""Features are told apart by this many hashes."""
MOST = 8
"""Features of a word, at most."""
WHOLE = 2
"""Of these the first are of the whole word, the rest of its parts."""
PLACES = 24
"""Kinds of place: the white space before a word (4), by the region that it stands in (6)."""

_REGIONS = {
    "": 0,
    "```": 1,
    "`": 2,
    **dict.fromkeys(("\\(", "\\[", "$", "$$"), 3),
    **dict.fromkeys('"“「『', 4),
}
_OPENS_REGION = 5
_KINDS_OF_REGION = 6
_OPENERS = frozenset(opener for openers in KINDS.values() for opener in openers)
_AFFIX = 3  # characters
_LONGEST = 24  # characters of a word that is known as a whole
_ENDS, _BEGINS = frozenset(")]}*_\"”'`"), frozenset("([{*_\"“'`#-")


def features(word: str) -> tuple[int, ...]:
    """The hashed features of a word: its core and its form, the core's beginning and end, the mark that ends it, its
    shape, brackets and the like. At most `MOST`, each from 0 to `BUCKETS` - 1."""
    taken = lexeme(word)
    core = taken.core
    found = [f"c:{core}", f"w:{word[:_LONGEST]}", f"m:{taken.mark}"]
    if len(core) > _AFFIX:
        found += [f"p:{core[:_AFFIX]}", f"s:{core[-_AFFIX:]}"]
    flags = ((taken.bracket, "b"), (taken.numbering, "n"), (taken.number, "d"), (taken.identifier, "i"))
    found.append(f"f:{_shape(word, core)}" + "".join(letter for given, letter in flags if given))
    if word[-1] in _ENDS:
        found.append(f"e:{word[-1]}")
    if word[0] in _BEGINS:
        found.append(f"b:{word[0]}")
    return tuple(zlib.crc32(name.encode("utf-8", "surrogatepass")) % BUCKETS for name in found)


def _shape(word: str, core: str) -> str:
    if len(core) > 1 and word.isupper():
        return "A"
    first = next((letter for letter in word if letter.isalnum()), "")
    if first.isupper():
        return "U"
    if first.islower():
        return "l"
    return "d" if first.isdigit() else "o"


def place(gap: str, region: str, word: str, delimiter: bool) -> tuple[int, str]:
    """Where a word stands, from 0 to `PLACES` - 1, and the region behind it.

    Args:
        gap: the white space before it.
        region: the region behind the word before it (`antiphon.boundary.region`).
        delimiter: whether the word can change the region.
    """
    lines = 0 if gap == " " else gap.count("\n")
    white = 1 + min(lines, 2) if gap else 0
    if lines > 1:
        region = after_blank_line(region)
    kind = _REGIONS[region]
    if region or delimiter:
        behind, touched = after_word(region, word, lines > 0, _OPENERS)
        if touched and not region:
            kind = _OPENS_REGION
        region = behind
    return white * _KINDS_OF_REGION + kind, region
