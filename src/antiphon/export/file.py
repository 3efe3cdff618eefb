"""From a run's record to a file: streamed, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.errors import AntiphonError, UsageError
from antiphon.export.base import Exporter, Filter, Pair, Row, Source, Unfit
from antiphon.export.container import container, rows
from antiphon.export.messages import Messages
from antiphon.export.place import Place
from antiphon.export.tessy import Tessy
from antiphon.problem.source import DAMAGE
from antiphon.trace import Label, Status

if TYPE_CHECKING:
    from antiphon.store import Reader

FORMATS: Mapping[str, Callable[[Source], Exporter]] = {
    "messages": lambda source: Messages(),
    "tessy": lambda source: Tessy(),
}
"""The export formats by name."""

DATA = "data/train.parquet"
"""Where the rows are in a folder."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file or folder.
        rows: how many rows it holds, each compared with the record after writing.
        left_out: traces that are not in it, by what kept them out (`antiphon.store.Outcome.left_out`, the reason of a
            filter, or why the format cannot hold them).
        unpaired: rows that hold a lone surrogate, which some readers refuse.
        change: the highest change number looked at; a later export `since` it has what came after.
    """

    path: Path
    rows: int
    left_out: Mapping[str, int]
    unpaired: int
    change: int


def write(
    reader: Reader,
    format: str,
    path: str | Path,
    *,
    variant: str | None = None,
    statuses: Collection[Status] = (Status.COMPLETE,),
    since: int = 0,
    labels: Collection[Label] | None = None,
    per_problem: int | None = None,
    select: Sequence[Filter] = (),
    overwrite: bool = False,
) -> Exported:
    """Writes a run's traces as training data.

    The rows go beside `path`, are read back and compared with the record (how many, and each response character by
    character), and are put in their place in one step; an export that fails leaves what was there.

    Args:
        reader: the run.
        format: one of `FORMATS`.
        path: ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet, or is a folder.
        variant: only this one of the run's variants.
        statuses: which traces are wanted.
        since: only traces changed after this change number.
        labels: only traces whose newest verdict has one of these labels.
        per_problem: only so many of each problem, the first by sample of those that are wanted otherwise.
        select: what else leaves traces out, one after the other.
        overwrite: whether an earlier export of this name is replaced.

    Raises:
        UsageError: an unknown format, a path that cannot be written or is there already, or labels where nothing was
            judged.
        AntiphonError: writing failed midway, or the file reads back otherwise than it was written.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no export format {format!r}; there are {', '.join(FORMATS)}")
    exporter = FORMATS[format](Source(reader))
    place = Place(Path(path), exporter.suffixes, overwrite=overwrite)
    if labels is not None and not any(label for _, label in reader.standing_counts(variant)):
        raise UsageError(f"nothing in {reader.directory} was judged; first: antiphon verify {reader.directory}")

    def outcomes() -> Iterator[Pair]:
        return reader.outcomes(
            frozenset(statuses), variant=variant, since=since, labels=labels, per_problem=per_problem
        )

    account = _Account(since)
    try:
        for number, one in enumerate(select):
            one.prepare(_kept(outcomes(), select[:number]))
        with place.part() as part:
            data, name = (part / DATA, DATA) if place.is_folder else (part, place.target.name)
            data.parent.mkdir(exist_ok=True)
            with container(data, name, exporter.schema()) as file:
                for problem, outcome in account.watching(outcomes(), select):
                    try:
                        row = exporter.row(problem, outcome)
                        file.add(row.fields)
                    except Unfit as unfit:
                        account.left_out[str(unfit)] += 1
                    else:
                        account.add(row)
            _check(exporter, data, name, account.written)
    except AntiphonError:
        raise
    except OSError as error:
        raise AntiphonError(
            f"{path}: cannot be written: {error.strerror or error}; what was there is untouched"
        ) from None
    return Exported(place.target, len(account.written), dict(account.left_out), file.unpaired, account.change)


def _kept(pairs: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
    """The answers that are wanted and that these filters keep."""
    for problem, outcome in pairs:
        if outcome.response is not None and _reason(filters, problem, outcome) is None:
            yield problem, outcome


def _reason(filters: Sequence[Filter], *pair: *Pair) -> str | None:
    return next((reason for one in filters if (reason := one.reason(*pair)) is not None), None)


class _Account:
    """What becomes of the answers."""

    def __init__(self, since: int):
        self.written = array("Q")
        """A digest of each response, by row."""
        self.left_out: Counter[str] = Counter()
        self.change = since

    def watching(self, outcomes: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
        """The answers that are wanted; counts the others."""
        for problem, outcome in outcomes:
            self.change = max(self.change, outcome.change)
            reason = outcome.left_out if outcome.response is None else _reason(filters, problem, outcome)
            if reason is None:
                yield problem, outcome
            else:
                self.left_out[reason] += 1

    def add(self, row: Row) -> None:
        """Counts a row that was written."""
        self.written.append(_digest(row.response))


def _check(exporter: Exporter, part: Path, name: str, written: Sequence[int]) -> None:
    """Reads a file back as anybody would, and compares it with the record."""
    number, which = 0, ""
    try:
        for number, fields in enumerate(rows(part, name), 1):
            which = f" (trace {fields['id']})" if isinstance(fields, dict) and "id" in fields else ""
            if number > len(written) or _digest(exporter.response(fields)) != written[number - 1]:
                raise ValueError("the response is not the stored one")
        if number != len(written):
            raise ValueError(f"{number} rows read back, {len(written)} written")
    except (ValueError, LookupError, TypeError, Unfit, *DAMAGE) as error:
        raise AntiphonError(
            f"the check of the export failed at row {number}{which}: {error}; nothing was put in place"
        ) from None


def _digest(text: str) -> int:
    """Equal for texts that are equal in JSON, where two surrogates side by side are one character."""
    try:
        spelled = text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        spelled = paired.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest())
