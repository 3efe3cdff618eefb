"""How much of known texts is found in another: an index of their runs of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from antiphon.export.clean.words import Hashes, runs, telling

_SHORT = 16  # words: of a text this short more must be found
_ENOUGH, _ENOUGH_OF_SHORT = 0.5, 0.65
_COMMON = 20, 1 / 1000  # texts, or this share of all: a run that is in more is a phrase of the trade


class Found(NamedTuple):
    """A known text, by its place among them, and how much of it was found: the share of its words that are in common
    runs."""

    text: int
    share: float


class Index:
    """The runs of many texts. Takes about 20 bytes a word.

    A run that stands several times in a text counts once there, one that is in very many texts nowhere: what repeats
    itself, and what all texts of a kind say, is found everywhere.

    Attributes:
        unfit: how many of the texts hold no run that counts, and so are never found.
    """

    def __init__(self, texts: Iterable[Sequence[str]], length: int):
        """Takes the texts as words.

        Args:
            length: words in a run.
        """
        self._length = length
        hashes, owners, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        count = 0
        for words in texts:
            first, place = np.unique(runs(words, length), return_index=True)
            tells = telling(words, length)[place]
            hashes.append(first[tells])
            places.append(place[tells].astype(np.int32))
            owners.append(np.full(len(places[-1]), count, np.int32))
            count += 1
        self._fill(np.concatenate(hashes), np.concatenate(owners), np.concatenate(places), count)

    def _fill(self, hashes: Hashes, owners: NDArray[np.int32], places: NDArray[np.int32], count: int) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes, starts, sizes = np.unique(hashes[order], return_index=True, return_counts=True)
        kept = sizes <= max(_COMMON[0], count * _COMMON[1])
        self._owners, self._places = owners[order], places[order]
        rare = np.repeat(kept, sizes)
        self._hashes, self._starts, self._sizes = self._hashes[kept], starts[kept], sizes[kept]
        self._words = self._covered(self._owners[rare], self._places[rare], count)
        self.unfit = int(np.count_nonzero(self._words == 0))

    def best(self, words: Sequence[str]) -> Found | None:
        """The known text of which most is found in these words, if that is enough: half of it, of a short one two
        thirds."""
        wanted = np.unique(runs(words, self._length))
        at = np.searchsorted(self._hashes, wanted)
        at = at[at < len(self._hashes)] if len(self._hashes) else at[:0]
        at = at[self._hashes[at] == wanted[: len(at)]]
        if not len(at):
            return None
        sizes = self._sizes[at]
        entries = np.repeat(self._starts[at] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        owners, numbers = np.unique(self._owners[entries], return_inverse=True)
        shares = self._covered(numbers, self._places[entries], len(owners)) / self._words[owners]
        enough = np.where(self._words[owners] < _SHORT, _ENOUGH_OF_SHORT, _ENOUGH)
        shares = np.where(shares >= enough, shares, 0)
        best = int(np.argmax(shares))
        return Found(int(owners[best]), float(shares[best])) if shares[best] else None

    def _covered(self, owners: NDArray[np.integer], places: NDArray[np.int32], count: int) -> NDArray[np.float64]:
        """How many words of each owner are in runs that begin at these places."""
        order = np.lexsort((places, owners))
        owners, places = owners[order], places[order]
        gained = np.full(len(places), self._length, np.float64)
        if len(places) > 1:
            same = owners[1:] == owners[:-1]
            gained[1:][same] = np.minimum(self._length, places[1:] - places[:-1])[same]
        return np.bincount(owners, gained, count)
