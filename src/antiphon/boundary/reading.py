"""The words of one trace as they arrive in pieces: what a predictor knows of each, and the white space before it."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from antiphon.boundary.words import is_whole, words

_CACHED_WORDS, _CACHED_LENGTH = 50_000, 64


class Seen(Protocol):
    """What a predictor knows of a word by its letters alone."""

    @property
    def text(self) -> str:
        """The word."""


S = TypeVar("S", bound=Seen)


class Sight(Generic[S]):
    """Remembers what a predictor made of the words that it met: most come again.

    Args:
        look_at: makes it of a word.
    """

    def __init__(self, look_at: Callable[[str], S]):
        self._look_at = look_at
        self._seen: dict[str, S] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def __call__(self, word: str) -> S:
        seen = self._seen.get(word)
        if seen is None:
            if len(self._seen) >= _CACHED_WORDS:
                self._seen.clear()
            seen = self._look_at(word)
            if len(word) <= _CACHED_LENGTH:
                self._seen[word] = seen
        return seen


class Reading(Generic[S]):
    """The words since the last seam, and those before it that somebody still needs. Some 30 bytes a word.

    Attributes:
        position: characters of the thinking read so far.
        base: where the last seam is; a rollback goes no further.
        seen, gaps, ends: of each held word, what is known of it, the white space before it, and where it ends.
        gap: the white space behind the last whole word; a trace begins like a line.
    """

    def __init__(self, see: Callable[[str], S]):
        self._see = see
        self.position = 0
        self.base = 0
        self.seen: list[S] = []
        self.gaps: list[str] = []
        self.ends = array("q")
        self.gap = "\n"
        self._open: list[str] = []  # pieces of the word still being written

    def __len__(self) -> int:
        return len(self.seen)

    def span(self, index: int) -> tuple[int, int]:
        """(start, end) of a held word, in characters of the thinking."""
        end = self.ends[index]
        return end - len(self.seen[index].text), end

    def read(self, text: str) -> None:
        """Adds the words that text completes; keeps what may go on."""
        spans = words(text)
        if self._open and text:
            if spans and spans[0][0] == 0 and not is_whole(text[:1], 1):
                end = spans.pop(0)[1]
                self._open.append(text[:end])
                self.position += end
                if end == len(text):
                    return
                text, spans = text[end:], [(start - end, stop - end) for start, stop in spans]
            self.close()
        base, gap, done = self.position, self.gap, 0
        for start, end in spans:
            gap += text[done:start]
            if end == len(text) and not is_whole(text, end):
                self._open = [text[start:end]]
            else:
                self._add(text[start:end], base + end, gap)
                gap = ""
            done = end
        self.gap = gap + text[done:]
        self.position += len(text)

    def close(self) -> None:
        """The word still being written ends here."""
        if self._open:
            self._add("".join(self._open), self.position, self.gap)
            self._open, self.gap = [], ""

    def read_apart(self, text: str) -> None:
        """Adds the words of text with a seam at both ends: no word goes on into it, none out of it."""
        self.close()
        self.read(text)
        self.close()

    def settle(self) -> None:
        """A seam: nothing before it is rolled back."""
        self.base = self.position
        self.gap = "\n" * min(2, self.gap.count("\n"))  # all that anybody asks of it

    def forget(self, count: int) -> None:
        """Lets go of the first words."""
        del self.seen[:count], self.gaps[:count], self.ends[:count]

    def rollback(self, offset: int) -> None:
        """Forgets everything from `offset` on. A word whose end stays is whole still.

        Raises:
            ValueError: where it lies before the last seam or after the end.
        """
        if not self.base <= offset <= self.position:
            raise ValueError(f"cannot roll back to {offset}: held are {self.base} to {self.position}")
        end, text, gap = self.position, "".join(self._open), self.gap
        while self.ends and self.ends[-1] > offset:
            end, text, gap = self.ends.pop(), self.seen.pop().text, self.gaps.pop()
        start = end - len(text)
        self._open = [text[: offset - start]] if offset > start else []
        self.gap = gap if offset >= start else gap[: max(0, len(gap) - (start - offset))]
        self.position = offset

    def _add(self, word: str, end: int, gap: str) -> None:
        self.seen.append(self._see(word))
        self.gaps.append(gap)
        self.ends.append(end)
