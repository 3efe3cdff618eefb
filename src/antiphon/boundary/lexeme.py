"""What the rules see of a word: its core, its mark, and what else tells style from content.

`Okay,` has the core `okay` and the mark `,`; `**Wait` the core `wait` and no mark. Phrases are matched on cores and
marks, so that capitals, emphasis, brackets and curly apostrophes do not hide them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MARKS = {"?": "?？", ".": ".!…。！．", ":": ":：", ",": ",;—–，、；"}  # the strongest first
_BEFORE = "(\\[{*_'‘~（【"
_AFTER = ")\\]}*_'’~）】" + "".join(_MARKS.values())
_PARTS = re.compile(f"([{_BEFORE}]*)(.*?)([{_AFTER}]*)", re.DOTALL)
_APOSTROPHES = str.maketrans("’ʼ＇", "'''")
_ABBREVIATIONS = frozenset(("e.g", "i.e", "cf", "vs"))
_NUMBERING = re.compile(r"\(?(\d{1,3}|[A-Za-z])[.)]+|[-*•–—#>]+")
_NUMBER = re.compile(r"\d")
_IDENTIFIER = re.compile(r"\w_|_\w|[a-z][A-Z]|\w[(\[]|\w\.\w\w|::|[/\\=<>|@#&+^]")


class Lexeme(NamedTuple):
    """One word as the rules see it; equal words have equal lexemes.

    `mark` is the class of the punctuation that ends it: `.` (also `!` and `…`), `?`, `:`, `,` (also `;` and dashes),
    or nothing. A word of punctuation alone has an empty core, one of other signs alone (`→`) is its own core.
    `bracket`: an opening bracket stands before it. `numbering`: a bullet or number that may open a line.
    """

    core: str
    mark: str
    bracket: bool
    numbering: bool
    number: bool
    identifier: bool


def lexeme(word: str) -> Lexeme:
    """Takes a word apart (see `Lexeme`)."""
    match = _PARTS.fullmatch(word)
    assert match is not None  # each of the three parts may be empty
    before, core, after = match.groups()
    folded = core.translate(_APOSTROPHES).lower()
    mark = "" if folded in _ABBREVIATIONS else _mark(after)
    return Lexeme(
        core=folded if core or mark else word,
        mark=mark,
        bracket=any(c in "([（【" for c in before),
        numbering=_NUMBERING.fullmatch(word) is not None,
        number=_NUMBER.search(core) is not None,
        identifier=_IDENTIFIER.search(core) is not None or ("'" in before and "'" in after),
    )


def _mark(punctuation: str) -> str:
    return next((mark for mark, members in _MARKS.items() if any(c in members for c in punctuation)), "")
