"""From a run's record to a file: streamed, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.dialect import text_of
from antiphon.errors import AntiphonError, DialectError, ModelError, UsageError
from antiphon.export.base import Exporter, Filter, Pair, Row, Unfit
from antiphon.export.card import card
from antiphon.export.container import PARQUET, SUFFIXES, container, rows
from antiphon.export.formats import FORMATS
from antiphon.export.lengths import Lengths
from antiphon.export.place import ABOUT, Place, written_through
from antiphon.export.student import Student, read_student, recorded_student
from antiphon.problem import Problem
from antiphon.problem.source import DAMAGE
from antiphon.trace import Label, Status
from antiphon.version import __version__

if TYPE_CHECKING:
    from antiphon.store import Outcome, Reader

DATA = "data/train.parquet"
"""Where the rows are in a folder."""

LONGER = "longer than --max-length"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file or folder.
        format: one of `FORMATS`.
        columns: those of a row.
        rows: how many there are, each compared with the record after writing.
        left_out: traces that are not in it, by what kept them out (`antiphon.store.Outcome.left_out`, the reason of a
            filter, or why the format cannot hold them).
        unpaired: rows that hold a lone surrogate, which some readers refuse.
        change: the highest change number looked at; a later export `since` it has what came after.
        student: the model whose tokenizer and template were used, "" without one; `unchecked` then says why what was
            to be rendered was not.
        counts: what the format counts, by a few words that say it.
        lengths: of the rows in the student's tokens, where they were counted.
    """

    path: Path
    format: str
    columns: tuple[str, ...]
    rows: int
    left_out: Mapping[str, int]
    unpaired: int
    change: int
    student: str = ""
    unchecked: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    lengths: Lengths = field(default_factory=Lengths)


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
    student: str | None = None,
    max_length: int | None = None,
    drop_longer: bool = False,
    licence: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Writes a run's traces as training data.

    The rows go beside `path`, are read back and compared with the record (how many, and each response character by
    character; where a trainer renders it, as the student's chat template gives it), and are put in their place in one
    step; an export that fails leaves what was there.

    Args:
        reader: the run.
        format: one of `FORMATS`.
        path: ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet, or is a folder: a data set with a card.
        variant: only this one of the run's variants.
        statuses: which traces are wanted.
        since: only traces changed after this change number.
        labels: only traces whose newest verdict has one of these labels.
        per_problem: only so many of each problem, the first by sample of those that are wanted otherwise.
        select: what else leaves traces out, one after the other.
        student: the model that is to be trained: a folder with its tokenizer, a GGUF file or an embedded model; None:
            the run's own, where it is on this machine.
        max_length: how many tokens of a row the trainer takes; lengths are then counted.
        drop_longer: whether rows of more are left out.
        licence: of a folder's card.
        overwrite: whether an earlier export of this name is replaced.

    Raises:
        UsageError: an unknown format, a path that cannot be written or is there already, labels where nothing was
            judged, or a student that is missing or whose template cannot render thinking.
        AntiphonError: writing failed midway, or the file reads back otherwise than it was written.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no export format {format!r}; there are {', '.join(FORMATS)}")
    chosen = FORMATS[format]
    place = Place(Path(path), PARQUET if chosen.parquet_only else SUFFIXES, overwrite=overwrite)
    if labels is not None and not any(label for _, label in reader.standing_counts(variant)):
        raise UsageError(f"nothing in {reader.directory} was judged; first: antiphon verify {reader.directory}")
    trained, unchecked = None, ""
    needed = format if chosen.needs else "lengths" if max_length is not None else ""
    if needed or chosen.looks or student is not None:
        trained, unchecked = _student(reader, variant, student, needed)
    exporter = chosen.make(reader, trained)

    def outcomes() -> Iterator[Pair]:
        return reader.outcomes(
            frozenset(statuses), variant=variant, since=since, labels=labels, per_problem=per_problem
        )

    account = _Account(since, Lengths(max_length), drop_longer, None if max_length is None else trained)
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
                        length = account.measured(row, problem, outcome)
                        file.add(row.fields)
                    except Unfit as unfit:
                        account.left_out[str(unfit)] += 1
                    else:
                        account.add(row, problem, outcome, length)
            _check(exporter, data, name, account.written)
            done = Exported(
                place.target,
                format,
                tuple(exporter.schema().names),
                len(account.written),
                dict(account.left_out),
                file.unpaired,
                account.change,
                "" if trained is None else trained.name,
                unchecked,
                dict(account.counts),
                account.lengths,
            )
            if place.is_folder:
                variants = [one for one in reader.variants() if one.name in account.variants]
                text = card(done, variants, licence, account.licences, DATA)
                files = {"README.md": text, ABOUT: _about(done), **exporter.files(place.target.name, DATA)}
                for file_name, content in files.items():
                    written_through(part / file_name, content)
    except AntiphonError:
        raise
    except OSError as error:
        raise AntiphonError(
            f"{path}: cannot be written: {error.strerror or error}; what was there is untouched"
        ) from None
    return done


def _student(reader: Reader, variant: str | None, given: str | None, needed: str) -> tuple[Student | None, str]:
    """The student, or why there is none.

    Raises:
        UsageError: there is none, and it was named or is needed; says for what.
    """
    try:
        return (recorded_student(reader, variant) if given is None else read_student(given)), ""
    except (ModelError, DialectError) as error:
        if given is not None:
            raise
        if needed:
            raise UsageError(
                f"{needed}: the student's tokenizer is needed, and {error}; give --student MODEL"
            ) from None
        return None, str(error)


def _about(done: Exported) -> str:
    counts = {"rows": done.rows, "left_out": dict(done.left_out), "change": done.change}
    return json.dumps({"antiphon": __version__, "format": done.format, **counts}, indent=2) + "\n"


def _kept(pairs: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
    """The answers that are wanted and that these filters keep."""
    for problem, outcome in pairs:
        if outcome.response is not None and _reason(filters, problem, outcome) is None:
            yield problem, outcome


def _reason(filters: Sequence[Filter], *pair: *Pair) -> str | None:
    return next((reason for one in filters if (reason := one.reason(*pair)) is not None), None)


class _Account:
    """What becomes of the answers."""

    def __init__(self, since: int, lengths: Lengths, drop_longer: bool, measuring: Student | None):
        self.written = array("Q")
        """A digest of each response, by row."""
        self.left_out: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.variants: set[str] = set()
        self.change = since
        self.lengths = lengths
        self._drop_longer, self._measuring = drop_longer, measuring

    def watching(self, outcomes: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
        """The answers that are wanted; counts the others."""
        for problem, outcome in outcomes:
            self.change = max(self.change, outcome.change)
            reason = outcome.left_out if outcome.response is None else _reason(filters, problem, outcome)
            if reason is None:
                yield problem, outcome
            else:
                self.left_out[reason] += 1

    def measured(self, row: Row, problem: Problem, outcome: Outcome) -> int | None:
        """A row's length in tokens, where it is told or asked for.

        Raises:
            Unfit: it is too long, and such rows are not wanted.
        """
        length = row.tokens
        if length is None and self._measuring is not None:
            text = row.text
            if not text:
                parts, rest = self._measuring.prompt(problem.messages, row.response)
                text = text_of(parts) + rest + self._measuring.end
            length = self._measuring.count(text)
        limit = self.lengths.limit
        if self._drop_longer and length is not None and limit is not None and length > limit:
            raise Unfit(LONGER)
        return length

    def add(self, row: Row, problem: Problem, outcome: Outcome, length: int | None) -> None:
        """Counts a row that was written."""
        self.written.append(_digest(row.response))
        self.counts.update(row.counts)
        self.variants.add(outcome.key.variant)
        if (licence := problem.metadata.get("license")) is not None:
            self.licences[str(licence)[:80]] += 1
        if length is not None:
            self.lengths.add(length)


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
