"""What a word is: a maximal run without white space, for CJK one character; a seam ends a word.

All predictors and the record share this one definition, so that verdicts mean the same everywhere.
"""

from __future__ import annotations

import re

# Han (with extensions and compatibility forms), kana, bopomofo, CJK punctuation and full-width forms: scripts
# written without spaces. Hangul is written with spaces and forms words like Latin.
CJK = (
    "\u2e80-\u2fff\u3001-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f"
    "\uff00-\uffef\U00020000-\U000323af"
)
_WORD = re.compile(f"[{CJK}]|[^\\s{CJK}]+")
_SINGLE = re.compile(f"[{CJK}]")
_UNFINISHED = re.compile(f"[^\\s{CJK}]+\\Z")


def words(text: str) -> list[tuple[int, int]]:
    """(start, end) of every word of a whole text, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


def is_whole(text: str, end: int) -> bool:
    """Whether the word that ends at `end` is known to end there: more text follows, or it is a CJK character."""
    return end < len(text) or bool(_SINGLE.match(text[end - 1]))


def first_word(text: str, start: int) -> tuple[int, bool]:
    """The end of the word that begins at `start`, and whether it is known to end there."""
    match = _WORD.match(text, start)
    if match is None:
        return start, False
    return match.end(), is_whole(text, match.end())


def unfinished_word(text: str) -> int:
    """Where the word begins that the end of the text may have cut; the text's length if it ends between words."""
    match = _UNFINISHED.search(text, max(0, text.rfind(" ")))
    return match.start() if match else len(text)


class WordReader:
    """Splits text that arrives in pieces into words. Positions count characters from the start of the thinking.

    Holds only the text since the last `skip`, so that a rollback can go back to it.
    """

    def __init__(self) -> None:
        self._base = 0  # position of the first held character
        self._text = ""  # all that was pushed since the last skip
        self._ends: list[int] = []  # in _text, of the words that are whole

    @property
    def position(self) -> int:
        """Where the text ends."""
        return self._base + len(self._text)

    @property
    def partial(self) -> tuple[int, int] | None:
        """(start, end so far) of the word still being written, None between words."""
        match = _WORD.search(self._text, self._done)
        return (self._base + match.start(), self._base + match.end()) if match else None

    @property
    def _done(self) -> int:
        return self._ends[-1] if self._ends else 0

    def text(self, start: int, end: int) -> str:
        """The held text between two positions.

        Raises:
            ValueError: where `start` lies before the last skip.
        """
        if start < self._base:
            raise ValueError(f"position {start} is before the last seam at {self._base}")
        return self._text[start - self._base : end - self._base]

    def skip(self, length: int) -> None:
        """`length` characters of settled text follow, with a seam at both ends; what was held is let go."""
        self._base = self.position + length
        self._text = ""
        self._ends.clear()

    def push(self, text: str) -> list[tuple[int, int]]:
        """Adds text and gives the words that are now known to be whole, as (start, end) positions."""
        self._text += text
        found = []
        for match in _WORD.finditer(self._text, self._done):
            if not is_whole(self._text, match.end()):
                break
            found.append((self._base + match.start(), self._base + match.end()))
            self._ends.append(match.end())
        return found

    def finish(self) -> list[tuple[int, int]]:
        """The word still being written, which ends here (none between words)."""
        partial = self.partial
        if partial is None:
            return []
        self._ends.append(partial[1] - self._base)
        return [partial]

    def rollback(self, position: int) -> None:
        """Forgets everything from `position` on. A word whose end stays is whole still.

        Raises:
            ValueError: where it lies before the last skip or after the end.
        """
        if not self._base <= position <= self.position:
            raise ValueError(f"cannot roll back to {position}: held are {self._base} to {self.position}")
        self._text = self._text[: position - self._base]
        while self._ends and self._ends[-1] > len(self._text):
            self._ends.pop()
