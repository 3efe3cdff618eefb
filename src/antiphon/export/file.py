"""From a run's record to a file: streamed, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon import storage
from antiphon.errors import AntiphonError, DialectError, ModelError, UsageError
from antiphon.export.base import Filter, Pair, Row, Unfit
from antiphon.export.card import card
from antiphon.export.container import PARQUET, SUFFIXES
from antiphon.export.formats import FORMATS
from antiphon.export.lengths import Lengths
from antiphon.export.making import Answer, Elsewhere, Making, Measure, made_elsewhere, made_here
from antiphon.export.place import MANIFEST, Place, written_through
from antiphon.export.remote import RemotePlace
from antiphon.export.shards import FOLDER, DataFile, Shards
from antiphon.export.student import Student, read_student, recorded_student
from antiphon.problem import Problem
from antiphon.trace import Label, Status
from antiphon.version import __version__

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome, Reader

DATA = f"{FOLDER}/train.parquet"
"""Where the rows are in a folder of this machine, if they are in one file."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file or folder, or its URL.
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
        files: those that hold the rows, `reused` how many a killed export had left at a URL.
    """

    path: str | Path
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
    files: tuple[DataFile, ...] = ()
    reused: int = 0


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
    rows_per_file: int | None = None,
    suffix: str = ".parquet",
    elsewhere: Elsewhere | None = None,
) -> Exported:
    """Writes a run's traces as training data.

    The rows go beside `path`, are read back and compared with the record (how many, and each response character by
    character; where a trainer renders it, as the student's chat template gives it), and are put in their place in one
    step; an export that fails leaves what was there. At a URL, each file is sent when it is whole and read back there,
    and the manifest last.

    Args:
        reader: the run.
        format: one of `FORMATS`.
        path: ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet, or is a folder: a data set with a card. May be a URL
            (`antiphon.storage`).
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
        rows_per_file: of a folder: so many rows a file, each with a number.
        suffix: what these files end in.
        elsewhere: has rows made in other processes; what comes of it is the same.

    Raises:
        StorageError: a store failed; says what is missing. The same call goes on.
        UsageError: an unknown format, a path that cannot be written or is there already, labels where nothing was
            judged, or a student that is missing or whose template cannot render thinking.
        AntiphonError: writing failed midway, or the file reads back otherwise than it was written.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no export format {format!r}; there are {', '.join(FORMATS)}")
    chosen = FORMATS[format]
    place = _place(path, PARQUET if chosen.parquet_only else SUFFIXES, overwrite, rows_per_file, suffix)
    if labels is not None and not any(label for _, label in reader.standing_counts(variant)):
        raise UsageError(f"nothing in {reader.directory} was judged; first: antiphon verify {reader.directory}")
    trained, unchecked = None, ""
    needed = format if chosen.needs else "lengths" if max_length is not None else ""
    if needed or chosen.looks or student is not None:
        trained, unchecked = _student(reader, variant, student, needed)
    variants = list(reader.variants())
    exporter = chosen.make(variants, trained)
    measure = Measure(always=max_length is not None, most=max_length if drop_longer else None)

    def outcomes() -> Iterator[Pair]:
        return reader.outcomes(
            frozenset(statuses), variant=variant, since=since, labels=labels, per_problem=per_problem
        )

    account = _Account(since, Lengths(max_length))
    try:
        for number, one in enumerate(select):
            one.prepare(_kept(outcomes(), select[:number]))
        with place.part() as part:
            only = place.name if not place.is_folder else None if _is_numbered(place, rows_per_file) else DATA
            shards = Shards(
                exporter,
                part,
                only=only,
                suffix=suffix,
                most=rows_per_file,
                deliver=lambda path, file: place.deliver(path, file.name, file.sha256),
            )
            with shards:
                pairs = account.watching(outcomes(), select)
                answers = (Answer(*pair, reader.trace(pair[1].key) if chosen.whole else None) for pair in pairs)
                if elsewhere is None:
                    made = made_here(Making(exporter, trained, measure), answers)
                else:
                    made = made_elsewhere(
                        elsewhere, answers, format=format, variants=variants, student=trained, measure=measure
                    )
                for pair, row in made:
                    try:
                        if isinstance(row, Unfit):
                            raise row
                        shards.add(row)
                    except Unfit as unfit:
                        account.left_out[str(unfit)] += 1
                    else:
                        account.add(row, *pair)
            done = Exported(
                place.path,
                format,
                tuple(exporter.schema().names),
                shards.rows,
                dict(account.left_out),
                shards.unpaired,
                account.change,
                "" if trained is None else trained.name,
                unchecked,
                dict(account.counts),
                account.lengths,
                tuple(shards.files),
                place.reused,
            )
            if place.is_folder:
                written = [one for one in reader.variants() if one.name in account.variants]
                names = [file.name for file in done.files]
                texts = {
                    "README.md": card(done, written, licence, account.licences, names),
                    **exporter.files(place.name, names),
                    MANIFEST: _manifest(done, exporter.schema()),
                }
                for name, text in texts.items():
                    written_through(part / name, text)
                    place.deliver(part / name, name, hashlib.sha256((part / name).read_bytes()).hexdigest())
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


def _place(
    path: str | Path, suffixes: tuple[str, ...], overwrite: bool, rows_per_file: int | None, suffix: str
) -> Place | RemotePlace:
    if suffix not in suffixes:
        raise UsageError(f"{suffix}: the files of a folder end in {', '.join(suffixes)}")
    here = storage.local(path)
    place: Place | RemotePlace
    if here is None:
        place = RemotePlace(str(path), suffixes, overwrite=overwrite)
    else:
        place = Place(here, suffixes, overwrite=overwrite)
    if not place.is_folder and rows_per_file is not None:
        raise UsageError(f"{path}: is one file; so many rows a file make a folder (a name without a dot)")
    if suffix not in PARQUET and not _is_numbered(place, rows_per_file):
        raise UsageError(f"{suffix}: the only file of a folder is Parquet; say how many rows a file has")
    return place


def _is_numbered(place: Place | RemotePlace, rows_per_file: int | None) -> bool:
    """Whether files have numbers, and in their names what is in them: where there are several, and in stores always,
    where nothing that a manifest names may be written over."""
    return place.is_folder and (rows_per_file is not None or isinstance(place, RemotePlace))


def _manifest(done: Exported, schema: pyarrow.Schema) -> str:
    said = {
        "antiphon": __version__,
        "format": done.format,
        "rows": done.rows,
        "left_out": dict(done.left_out),
        "change": done.change,
        "schema": [{"name": field.name, "type": str(field.type)} for field in schema],
        "files": [file._asdict() for file in done.files],
    }
    return json.dumps(said, indent=2) + "\n"


def _kept(pairs: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
    """The answers that are wanted and that these filters keep."""
    for problem, outcome in pairs:
        if outcome.response is not None and _reason(filters, problem, outcome) is None:
            yield problem, outcome


def _reason(filters: Sequence[Filter], *pair: *Pair) -> str | None:
    return next((reason for one in filters if (reason := one.reason(*pair)) is not None), None)


class _Account:
    """What becomes of the answers."""

    def __init__(self, since: int, lengths: Lengths):
        self.left_out: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.variants: set[str] = set()
        self.change = since
        self.lengths = lengths

    def watching(self, outcomes: Iterator[Pair], filters: Sequence[Filter]) -> Iterator[Pair]:
        """The answers that are wanted; counts the others."""
        for problem, outcome in outcomes:
            self.change = max(self.change, outcome.change)
            reason = outcome.left_out if outcome.response is None else _reason(filters, problem, outcome)
            if reason is None:
                yield problem, outcome
            else:
                self.left_out[reason] += 1

    def add(self, row: Row, problem: Problem, outcome: Outcome) -> None:
        """Counts a row that was written."""
        self.counts.update(row.counts)
        self.variants.add(outcome.key.variant)
        if (licence := problem.metadata.get("license")) is not None:
            self.licences[str(licence)[:80]] += 1
        if row.tokens is not None:
            self.lengths.add(row.tokens)
