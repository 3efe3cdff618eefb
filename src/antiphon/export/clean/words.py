"""Texts as words that survive rewording: without case, punctuation and numbers; and runs of words as numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from antiphon.problem import Problem

NUMBER = "#"
"""Stands for a number, in digits or words, and for several in a row."""

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # of these each character is a word
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
)
_SPELLED = frozenset(_NUMBERS.split())
_GOES_ON = frozenset(("hundred", "thousand", "million", "billion"))  # "two hundred and five"
_COMMON = (
    "a an and are as at be by can do does each for from has have how if in is it its let many of on one or that the"
    " their then there this to was we what when which with you your"
)
_LITTLE = frozenset(_COMMON.split())
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def asked(problem: Problem) -> str:
    """What a problem says, all but what a system message says to every one."""
    return "\n".join(message["content"] for message in problem.messages if message["role"] != "system")


def words(text: str) -> list[str]:
    """The words of a text, lower case and in Unicode's compatible form, numbers as they stand."""
    if not text.isascii():
        text = _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFKC", text))
    return _WORD.findall(text.casefold())


def reworded(text: str) -> list[str]:
    """The same with each run of numbers as one `NUMBER`."""
    kept: list[str] = []
    before = ""
    for word in words(text):
        if word in _SPELLED or word[0].isdigit():
            if not kept or kept[-1] is not NUMBER:
                kept.append(NUMBER)
        elif word != "and" or before not in _GOES_ON:
            kept.append(word)
        before = word
    return kept


def runs(words: Sequence[str], length: int) -> Hashes:
    """A hash for each run of so many words, in their order; none where there are fewer words."""
    codes = np.fromiter((crc32(word.encode()) for word in words), np.uint64, len(words))
    count = len(codes) - length + 1
    if count < 1:
        return codes[:0]
    hashes = np.zeros(count, np.uint64)
    for place in range(length):
        hashes = (hashes ^ codes[place : place + count]) * _FACTOR
        hashes ^= hashes >> _SHIFT
    return hashes


def telling(words: Sequence[str], length: int) -> NDArray[np.bool_]:
    """Which of the `runs` tell something: one of their words is no number, no single letter and none of those that are
    in every text."""
    told = ((len(word) > 1 or not word.isascii()) and word not in _LITTLE for word in words)
    tells = np.fromiter(told, np.bool_, len(words))
    count = max(0, len(tells) - length + 1)
    found = np.zeros(count, np.bool_)
    for place in range(length):
        found |= tells[place : place + count]
    return found
