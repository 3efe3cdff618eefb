"""How much of known texts is found in another: an index of their runs of words."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from antiphon.export.clean.words import Hashes, runs, telling

_ENOUGH, _ENOUGH_OF_SHORT, _SHORT = 0.5, 0.7, 16  # of a text of fewer words more must be found: half is soon there
_TELLING, _BETWEEN = 2, 12  # of a short text: words that tell something, and such as may have been put in
_COMMON = 20, 1 / 1000  # texts, or this share of all: a run that is in more is a phrase of the trade


class Found(NamedTuple):
    """A known text, by its place among them, and how much of it was found: the share of its words that are in common
    runs."""

    text: int
    share: float


class _Sealed(NamedTuple):
    """The runs that count, sorted; for each, where its entries begin and how many there are. An entry is a text and the
    place of the run in it. Of each text, how many words are in runs that count; infinity where these are too few."""

    hashes: Hashes
    starts: NDArray[np.uint32]
    sizes: NDArray[np.int32]
    owners: NDArray[np.int32]
    places: NDArray[np.int32]
    words: NDArray[np.float64]


class Index:
    """The runs of many texts. Takes about 25 bytes a word.

    A run that stands several times in a text counts once there, one that is in very many texts nowhere: what repeats
    itself, and what all texts of a kind say, is found everywhere.
    """

    def __init__(self, length: int, least: int = 1):
        """An empty index; `add` comes before `best`.

        Args:
            length: words in a run.
            least: a text that has fewer words in runs that count is never found.
        """
        self._length, self._least = length, least
        self._count = 0
        self._short: dict[int, list[str]] = {}
        self._hashes, self._owners, self._places = array("Q"), array("i"), array("i")
        self._sealed: _Sealed | None = None

    def add(self, words: Sequence[str]) -> None:
        """Adds a text, whose number is how many were added before."""
        hashes, places = np.unique(runs(words, self._length), return_index=True)
        tells = telling(words, self._length)[places]
        order = np.argsort(places[tells])
        self._hashes.frombytes(hashes[tells][order].tobytes())
        self._places.frombytes(places[tells][order].astype(np.int32).tobytes())
        self._owners.frombytes(np.full(len(order), self._count, np.int32).tobytes())
        if len(words) < _SHORT and telling(words, 1).sum() >= _TELLING:
            self._short[self._count] = list(words)
        self._count += 1

    @property
    def unfit(self) -> int:
        """How many of the texts hold too little that counts, and so are never found."""
        return int(np.count_nonzero(np.isinf(self._seal().words)))

    def _seal(self) -> _Sealed:
        if self._sealed is None:
            order = np.argsort(np.frombuffer(self._hashes, np.uint64), kind="stable")
            hashes = np.frombuffer(self._hashes, np.uint64)[order]
            self._hashes = array("Q")
            owners, places = np.frombuffer(self._owners, np.int32), np.frombuffer(self._places, np.int32)
            starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))[: len(hashes)])
            sizes = np.diff(starts, append=len(hashes))
            rare = sizes <= max(_COMMON[0], self._count * _COMMON[1])
            counts = np.empty(len(hashes), np.bool_)
            counts[order] = np.repeat(rare, sizes)
            words = self._covered(owners[counts], places[counts], self._count)
            words[words < self._least] = np.inf
            starts, sizes = starts[rare], sizes[rare].astype(np.int32)
            self._sealed = _Sealed(hashes[starts], starts.astype(np.uint32), sizes, owners[order], places[order], words)
            self._owners, self._places = array("i"), array("i")
        return self._sealed

    def best(self, words: Sequence[str]) -> Found | None:
        """The known text of which most is found in these words, if that is enough: half of it, of a short one 0.7, or
        all its words in their order with others between them."""
        index = self._seal()
        wanted = np.unique(runs(words, self._length))
        at = np.searchsorted(index.hashes, wanted)
        inside = at < len(index.hashes)
        at, wanted = at[inside], wanted[inside]
        at = at[index.hashes[at] == wanted]
        if not len(at):
            return None
        sizes = index.sizes[at]
        entries = np.repeat(index.starts[at] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        owners, numbers = np.unique(index.owners[entries], return_inverse=True)
        places = index.places[entries]
        order = np.lexsort((places, numbers))
        shares = self._covered(numbers[order], places[order], len(owners)) / index.words[owners]
        enough = np.where(index.words[owners] < _SHORT, _ENOUGH_OF_SHORT, _ENOUGH)
        for number in np.flatnonzero((shares > 0) & (shares < enough)):
            if _holds(words, self._short.get(int(owners[number]), ())):
                shares[number] = 1
        shares[shares < enough] = 0
        best = int(np.argmax(shares))
        return Found(int(owners[best]), float(shares[best])) if shares[best] else None

    def _covered(self, owners: NDArray[np.integer], places: NDArray[np.int32], count: int) -> NDArray[np.float64]:
        """How many words of each owner are in runs that begin at these places, sorted by owner and place."""
        gained = np.full(len(places), self._length, np.float64)
        if len(places) > 1:
            same = owners[1:] == owners[:-1]
            gained[1:][same] = np.minimum(self._length, places[1:] - places[:-1])[same]
        return np.bincount(owners, gained, count).astype(np.float64)


def _holds(words: Sequence[str], short: Sequence[str]) -> bool:
    """Whether all words of a short text are there, in their order and close to one another."""
    for start, word in enumerate(words):
        if short and word == short[0]:
            rest = iter(words[start : start + len(short) + _BETWEEN])
            if all(any(one == other for other in rest) for one in short):
                return True
    return False
