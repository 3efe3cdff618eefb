"""Which variants the page of comparisons shows, from an address, and back to addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlencode

from antiphon.errors import AntiphonError, UsageError
from antiphon.trace import Key
from antiphon.view.comparing import Asked, Comparisons
from antiphon.view.pages import Links
from antiphon.view.runs import Run

if TYPE_CHECKING:
    from antiphon.analyse.report import Contribution

USUAL = 6
"""How many variants are compared where none are named."""


class VariantOf(NamedTuple):
    """A variant of a run, by its number there."""

    run: Run
    number: int
    variant: str
    name: str
    chosen: bool = False
    first: bool = False

    @property
    def place(self) -> str:
        """As an address names it."""
        return f"{self.run.number}:{self.number}"


@dataclass(frozen=True, slots=True)
class Asking:
    """What an address asks for.

    Attributes:
        choices: all variants of the runs that can be read.
        chosen: those that are compared, the one first that others are held against.
        scores: the models whose likelihoods are there.
        under: which of them, None if there are none.
        asked: the same for the process that compares.
    """

    choices: Sequence[VariantOf]
    chosen: Sequence[VariantOf]
    scores: Sequence[str]
    under: int | None
    asked: Asked

    @classmethod
    def read(cls, runs: Sequence[Run], query: Mapping[str, Sequence[str]], comparisons: Comparisons) -> Self:
        """From an address.

        Raises:
            UsageError: it names what is not there.
        """
        there = {one.place: one for run in runs for one in _variants(run, several=len(runs) > 1)}
        wanted = list(dict.fromkeys(query.get("side", ()))) or list(there)[:USUAL]
        if query.get("first"):
            first = query["first"][-1]
            wanted = [first, *(place for place in wanted if place != first)]
        for place in wanted:
            if place not in there:
                raise UsageError(f"there is no variant {place!r} here; choose some on the page of comparisons")
        files = comparisons.scores()
        under = query.get("under", ["0"])[-1]
        if files and not (under.isdecimal() and int(under) < len(files)):
            raise UsageError(f"there are no likelihoods {under!r} here; there are {len(files)}")
        choices = [one._replace(chosen=place in wanted, first=wanted[:1] == [place]) for place, one in there.items()]
        chosen = [there[place] for place in wanted]
        asked = Asked(
            tuple((str(one.run.directory), one.variant) for one in chosen),
            comparisons.boundary,
            str(files[int(under)]) if files else None,
        )
        names = [file.stem.rpartition("-")[0] for file in files]
        return cls(choices, chosen, names, int(under) if files else None, asked)

    def address(self, links: Links) -> str:
        """The page of the same comparison."""
        pairs = [("side", one.place) for one in self.chosen]
        return f"{links.comparison}?{urlencode([*pairs, ('under', str(self.under or 0))])}"

    def link_of(self, links: Links, part: Contribution) -> str:
        """Where a trace that contributes to a difference is shown."""
        one = self.chosen[part.side]
        named, _, sample = part.key.rpartition("/")
        return links.trace(one.run.number, Key(named.removesuffix(f"/{one.variant}"), one.variant, int(sample)))


def _variants(run: Run, *, several: bool) -> list[VariantOf]:
    try:
        found = run.reader.variants()
    except AntiphonError:  # its own page says what is wrong with it
        return []
    return [
        VariantOf(run, number, one.name, f"{run.name}: {one.name}" if several else one.name)
        for number, one in enumerate(found)
    ]
