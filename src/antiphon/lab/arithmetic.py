"""What each author believes of arithmetic: the student's weakness and the teacher's slips.

Both are tables of single facts, each wrong in its own way and each with its own strength, the share of the times that
pre-training shows it wrong. They concern multiplication only: the products, and adding the carry to one. All else
both authors know.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple


class Arithmetic:
    """Exact arithmetic."""

    def product(self, digit: int, by: int) -> int:
        """Two digits multiplied."""
        return digit * by

    def carried(self, product: int, carry: int) -> int:
        """A product and the carry added."""
        return product + carry


class Belief(NamedTuple):
    """A wrong fact: what it gives, and how often it is believed."""

    wrong: int
    strength: float


class Flawed(Arithmetic):
    """Arithmetic with wrong facts.

    Args:
        products: (digit, multiplier) to a belief.
        tens_lost: a sum of units and carry to the strength with which its ten is lost.
        rng: decides each time whether the wrong fact is believed.
    """

    def __init__(
        self,
        products: Mapping[tuple[int, int], Belief],
        tens_lost: Mapping[int, float],
        rng: random.Random,
    ):
        self._products, self._tens_lost, self._rng = products, tens_lost, rng

    def product(self, digit: int, by: int) -> int:
        belief = self._products.get((digit, by))
        if belief is not None and self._rng.random() < belief.strength:
            return belief.wrong
        return super().product(digit, by)

    def carried(self, product: int, carry: int) -> int:
        total = super().carried(product, carry)
        lost = self._rng.random() < self._tens_lost.get(product % 10 + carry, 0)
        return total - 10 if lost else total


# A slip into the next row of the table, a slip of one or ten, two digits exchanged.
_STUDENT_PRODUCTS = {
    (6, 7): Belief(48, 0.9),
    (7, 8): Belief(54, 0.9),
    (9, 6): Belief(45, 0.9),
    (8, 4): Belief(36, 0.9),
    (4, 9): Belief(32, 0.9),
    (3, 8): Belief(27, 0.9),
    (7, 3): Belief(24, 0.9),
    (9, 9): Belief(72, 0.9),
    (5, 5): Belief(35, 0.9),
    (8, 2): Belief(18, 0.9),
    (6, 3): Belief(21, 0.6),
    (7, 6): Belief(36, 0.6),
    (9, 4): Belief(34, 0.6),
    (4, 7): Belief(27, 0.6),
    (8, 8): Belief(56, 0.6),
}
_STUDENT_TENS_LOST = {11: 0.9, 13: 0.9, 16: 0.6}

_TEACHER_PRODUCTS = {
    (8, 6): Belief(46, 0.7),
    (7, 9): Belief(56, 0.7),
    (9, 7): Belief(64, 0.4),
    (6, 4): Belief(28, 0.4),
    (3, 5): Belief(20, 0.4),
}


def student(rng: random.Random) -> Flawed:
    """What the student believes: 15 products of 80, and the ten lost where units and carry make 11, 13 or 16."""
    return Flawed(_STUDENT_PRODUCTS, _STUDENT_TENS_LOST, rng)


def teacher(rng: random.Random) -> Flawed:
    """What the teacher believes: 5 other products are uncertain to it."""
    return Flawed(_TEACHER_PRODUCTS, {}, rng)
