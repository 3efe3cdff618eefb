"""Several run directories counted as one: the shards of a run, before they are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, fields
from typing import TypeVar

from antiphon.problem.shard import Share
from antiphon.store.found import Totals, Variant
from antiphon.store.reader import Reader
from antiphon.trace import Author, Label, Status, Usage

T = TypeVar("T")


class Several:
    """Gives what a `Reader` gives of the same name, summed over several. Nothing is compared: a trace that is in two of
    them counts twice."""

    def __init__(self, readers: Sequence[Reader]):
        self._readers = readers

    def variants(self) -> list[Variant]:
        """Each name once, as it stands in the first directory that has it."""
        found: dict[str, Variant] = {}
        for reader in self._readers:
            for variant in reader.variants():
                found.setdefault(variant.name, variant)
        return list(found.values())

    def shares(self) -> list[Share]:
        return [share for reader in self._readers for share in reader.shares()]

    def problem_count(self) -> int:
        return sum(reader.problem_count() for reader in self._readers)

    def counts(self, variant: str | None = None) -> dict[Status | None, int]:
        return _counted(reader.counts(variant) for reader in self._having(variant))

    def causes(self, variant: str | None = None) -> dict[str, int]:
        found = Counter(_counted(reader.causes(variant) for reader in self._having(variant)))
        return dict(sorted(found.items(), key=lambda cause: (-cause[1], cause[0])))

    def standing_counts(self, variant: str | None = None) -> dict[tuple[Status | None, Label | None], int]:
        return _counted(reader.standing_counts(variant) for reader in self._having(variant))

    def totals(self, variant: str | None = None) -> dict[Author, Totals]:
        return _joined((reader.totals(variant) for reader in self._having(variant)), _sum)

    def call_totals(self, variant: str | None = None) -> dict[Author, Usage]:
        return _joined((reader.call_totals(variant) for reader in self._having(variant)), Usage.__add__)

    def _having(self, variant: str | None) -> list[Reader]:
        return [
            reader
            for reader in self._readers
            if variant is None or any(known.name == variant for known in reader.variants())
        ]


def _counted(counts: Iterable[dict[T, int]]) -> dict[T, int]:
    total: Counter[T] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _joined(totals: Iterable[dict[Author, T]], add: Callable[[T, T], T]) -> dict[Author, T]:
    found: dict[Author, T] = {}
    for each in totals:
        for role, amount in each.items():
            found[role] = add(found[role], amount) if role in found else amount
    return found


def _sum(one: Totals, other: Totals) -> Totals:
    usage = one + other
    own = [field.name for field in fields(Totals)[len(fields(Usage)) :]]
    return Totals(*astuple(usage), *(getattr(one, name) + getattr(other, name) for name in own))
