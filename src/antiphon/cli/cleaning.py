"""What `antiphon export` leaves out to keep training data clean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from antiphon.cli.options import CLEAN, option
from antiphon.cli.terminal import show, visible
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.export.base import Pair
    from antiphon.export.clean import Cleaner

WithoutFiles = Annotated[
    list[str] | None,
    option("--without", metavar="FILE", help="Leave out what is in this evaluation set (docs/clean.md).", panel=CLEAN),
]
NearDuplicates = Annotated[
    float | None,
    option(metavar="SHARE", help="Of problems so alike, as in 0.8, keep the first.", panel=CLEAN),
]
BalanceBy = Annotated[
    str | None,
    option(
        "--balance",
        metavar="FIELD[=N]",
        help="As many traces of each value of a field: N at most, else what the rarest has.",
        panel=CLEAN,
    ),
]
Removed = Annotated[
    Path | None,
    option(metavar="FILE", help="List what these leave out, and why, in a .jsonl file.", panel=CLEAN),
]


def cleaners(without: Sequence[str] | None, near_duplicates: float | None, balance: str | None) -> list[Cleaner]:
    """The filters, in the order in which they are asked.

    Raises:
        UsageError: a number out of range, or an evaluation set that cannot be read.
    """
    from antiphon.export.clean import Balance, NearDuplicates, Without

    chosen: list[Cleaner] = []
    if near_duplicates is not None:
        chosen.append(NearDuplicates(near_duplicates))
    if balance is not None:
        chosen.append(Balance(*_balance(balance)))
    if without:
        chosen.insert(0, Without(without))
    return chosen


def _balance(given: str) -> tuple[str, int | None]:
    field, equals, most = given.partition("=")
    if not equals:
        return field, None
    if not most.isdecimal() or not int(most):
        raise UsageError(f"--balance {given}: write it as FIELD=N, as in --balance source=1000")
    return field, int(most)


class Listing:
    """A file of what filters left out.

    Raises:
        UsageError: nothing can or may be written there.
    """

    def __init__(self, path: Path, *, overwrite: bool):
        from antiphon.export.jsonl import SUFFIXES
        from antiphon.export.place import Place

        self._place = Place(path, SUFFIXES, overwrite=overwrite)

    def write(self, pairs: Iterable[Pair], chosen: Sequence[Cleaner]) -> None:
        """Writes a row for each answer that one of the filters left out.

        Args:
            pairs: as the export saw them.
            chosen: the filters, after the export.
        """
        from antiphon.export.clean import listed
        from antiphon.export.jsonl import compressing, encoded

        name = self._place.path.name
        with self._place.part() as part, part.open("r+b") as file, compressing(file, name) as stream:
            for row in listed(pairs, chosen):
                stream.write(encoded(row)[0])


def tell(reports: Iterable[Mapping[str, Any]]) -> None:
    """What the filters looked at, for people."""
    for report in reports:
        if "without" in report:
            for file, facts in report["without"].items():
                items = many(facts["items"], "item")
                show(f"{visible(file)}: {facts['found']:,} of {items} found in the traces left out")
            if report["too_short"]:
                show(f"too short to be looked for: {many(report['too_short'], 'item')}")
        elif "near_duplicates" in report:
            show(f"near-duplicates: {report['removed']:,} of {many(report['problems'], 'problem')}")
        else:
            values = ", ".join(f"{visible(value)} {count:,}" for value, count in report["values"].items())
            show(f"{visible(report['balance'])}, at most {report['most']:,} of each: {values}")
