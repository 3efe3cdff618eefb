"""Stretches that are never style: code, formulas and quotations, followed from word to word.

A region is the delimiter that opened it, "" outside of all. As in Markdown and TeX a blank line ends all but a code
fence, so that a stray back-tick, dollar sign or quotation mark costs one paragraph at most.
"""

from __future__ import annotations

import re

FENCE = "```"
KINDS = {
    "fences": (FENCE,),
    "code": ("`",),
    "formulas": ("\\(", "\\[", "$", "$$"),
    "quotes": ('"', "“", "「", "『"),
}

_CLOSER = {"\\(": "\\)", "\\[": "\\]", "“": "”", "「": "」", "『": "』"}
_OPENERS = frozenset(opener for openers in KINDS.values() for opener in openers)
_TWO_SIDED = frozenset('"`$')
_DELIMITER = re.compile(r"```|`|\\[()\[\]]|\$\$?|[\"“”「」『』]")
_MONEY = re.compile(r"\$\d[\d.,]*[^\w$]*$")


def has_delimiter(word: str) -> bool:
    """Whether a word can change the region."""
    return _DELIMITER.search(word) is not None


def after_word(region: str, word: str, first_of_line: bool, openers: frozenset[str]) -> tuple[str, bool]:
    """The region behind a word, and whether any of the word lies in a region; only `openers` open one.

    A fence opens and closes only at the start of a line. A quotation mark, back-tick or dollar sign opens only
    before something (`5"` does not), and one that could open does not close; the dollar sign of a price does neither.
    """
    touched = region != ""
    for match in _DELIMITER.finditer(word):
        found, start, end = match.group(), match.start(), match.end()
        if FENCE in (region, found):
            if found == FENCE and region in ("", FENCE) and first_of_line and start == 0 and FENCE in openers:
                region, touched = "" if region else FENCE, True
        elif region:
            if found == _CLOSER.get(region, region) and not (start == 0 and _opens(found, word, end)):
                region = ""
        elif found in openers and _opens(found, word, end):
            region, touched = found, True
    return region, touched


def after_blank_line(region: str) -> str:
    """The region on the other side of a blank line."""
    return region if region == FENCE else ""


def _opens(delimiter: str, word: str, end: int) -> bool:
    """Whether the delimiter that ends at `end` can open a region, if it is one of those that open and close."""
    if delimiter not in _TWO_SIDED:
        return delimiter in _OPENERS
    if delimiter == "$" and _MONEY.match(word, end - 1):
        return False
    return any(c.isalnum() or c in "\\([{<>=-+*_/'#@&%~" for c in word[end:])
