"""How long rows are, in the student's tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Lengths:
    """Counts of rows by length.

    Attributes:
        limit: the longest that a trainer takes whole, None where nobody said.
        rows: how many were counted.
        tokens: their sum.
        longest: the longest.
        longer: how many are over the limit.
    """

    limit: int | None = None
    rows: int = 0
    tokens: int = 0
    longest: int = 0
    longer: int = 0
    _by_size: Counter[int] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        """Counts a row."""
        self.rows += 1
        self.tokens += length
        self.longest = max(self.longest, length)
        self.longer += self.limit is not None and length > self.limit
        self._by_size[length.bit_length()] += 1

    @property
    def histogram(self) -> Mapping[tuple[int, int], int]:
        """Rows by length: (least, most) of each bin, a power of two wide, none between the first and the last left
        out."""
        sizes = range(min(self._by_size, default=0), max(self._by_size, default=-1) + 1)
        return {(1 << size >> 1, (1 << size) - 1): self._by_size[size] for size in sizes}
