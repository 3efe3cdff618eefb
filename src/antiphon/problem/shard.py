"""Parts of a set of problems that machines write without speaking with each other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from antiphon.errors import SettingsError


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One of `of` parts of any set of problems, counted from 0; as text `index/of`.

    A problem's id alone decides in which it is. So the parts are disjoint and together the whole, whatever the order of
    the problems, of files, or how many more come later.
    """

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard from its text.

        Raises:
            SettingsError: it is none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
        if found is None:
            raise SettingsError(f"shard {text}: write it as I/N: 0/4 is the first of four, 3/4 the last")
        index, of = map(int, found.groups())
        if index >= of:
            every = f"the {of} shards are 0/{of} to {of - 1}/{of}" if of else "there must be at least one"
            raise SettingsError(f"shard {text}: shards are counted from 0; {every}")
        return cls(index, of)

    def __contains__(self, problem: str) -> bool:
        """Whether the problem of this id is in it."""
        return place(problem, self.of) == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


@dataclass(frozen=True, slots=True)
class Share:
    """What a run directory holds of a whole: its shard, and how many problems each shard of the whole has."""

    shard: Shard
    problems: tuple[int, ...]

    @classmethod
    def of(cls, shard: Shard, problems: Iterable[str]) -> Self:
        """The share of the whole that these ids make."""
        sizes = Counter(place(problem, shard.of) for problem in problems)
        return cls(shard, tuple(sizes[index] for index in range(shard.of)))


def place(problem: str, of: int) -> int:
    """The index of the shard that the problem of this id is in."""
    return digest(problem) % of


def digest(text: str) -> int:
    """64 bits that stand for a text; of an id, its shard is the rest by their number."""
    # Its own hash: who draws a sample of problems by another one is not to find them all in one shard.
    made = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"antiphon shard")
    return int.from_bytes(made.digest(), "big")
