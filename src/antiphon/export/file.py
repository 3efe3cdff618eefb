"""From a run's record to a file: streamed, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.errors import AntiphonError, UsageError
from antiphon.export.base import Exporter
from antiphon.export.jsonl import SUFFIXES, compressing, decoded, encoded
from antiphon.export.messages import Messages
from antiphon.export.tessy import Tessy
from antiphon.problem import Problem
from antiphon.problem.source import DAMAGE, decompressed
from antiphon.trace import Key, Label, Status

if TYPE_CHECKING:
    from antiphon.store import Outcome, Reader

FORMATS: dict[str, Exporter] = {exporter.name: exporter for exporter in (Messages(), Tessy())}
"""The export formats by name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        rows: how many rows it holds, each compared with the record after writing.
        left_out: traces that were not asked for, by what kept them out (`antiphon.store.Outcome.left_out`).
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
) -> Exported:
    """Writes a run's traces as training data.

    The rows go to a file beside `path`, are read back and compared with the record (how many, and each response
    character by character), and take the place of `path` in one step; an export that fails leaves what was there.

    Args:
        reader: the run.
        format: one of `FORMATS`.
        path: ends in .jsonl, .jsonl.gz or .jsonl.zst; a file of this name is replaced.
        variant: only this one of the run's variants.
        statuses: which traces are wanted.
        since: only traces changed after this change number.
        labels: only traces whose newest verdict has one of these labels.
        per_problem: only so many of each problem, the first by sample of those that are wanted otherwise.

    Raises:
        UsageError: an unknown format, a path that cannot be written, or labels where nothing was judged.
        AntiphonError: writing failed midway, or the file reads back otherwise than it was written.
    """
    exporter = FORMATS.get(format)
    if exporter is None:
        raise UsageError(f"there is no export format {format!r}; there are {', '.join(FORMATS)}")
    target = _target(Path(path))
    if labels is not None and not any(label for _, label in reader.standing_counts(variant)):
        raise UsageError(f"nothing in {reader.directory} was judged; first: antiphon verify {reader.directory}")
    chosen = _Chosen(
        reader.outcomes(frozenset(statuses), variant=variant, since=since, labels=labels, per_problem=per_problem),
        since,
    )
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        unpaired = _write_rows(exporter.rows(chosen), part, target.name)
        _check(exporter, part, chosen.written)
        part.replace(target)
        _sync_folder(target.parent)
    except AntiphonError:
        raise
    except OSError as error:
        raise AntiphonError(f"{path}: cannot be written: {error.strerror}; what was there is untouched") from None
    finally:
        part.unlink(missing_ok=True)
    return Exported(target, len(chosen.written), dict(chosen.left_out), unpaired, chosen.change)


class _Chosen:
    """The traces asked for, each with its problem; keeps account of what it gives and passes over."""

    def __init__(self, outcomes: Iterable[tuple[Problem, Outcome]], since: int):
        self._outcomes = outcomes
        self.written: list[tuple[Key, bytes]] = []
        self.left_out: Counter[str] = Counter()
        self.change = since

    def __iter__(self) -> Iterator[tuple[Problem, Outcome]]:
        for problem, outcome in self._outcomes:
            self.change = max(self.change, outcome.change)
            if outcome.response is None:
                self.left_out[outcome.left_out] += 1
            else:
                self.written.append((outcome.key, _digest(outcome.response)))
                yield problem, outcome


def _target(path: Path) -> Path:
    """Where to write, links followed."""
    if not path.name.endswith(SUFFIXES):
        raise UsageError(f"{path}: an export ends in {', '.join(SUFFIXES)}")
    target = path.resolve()
    if not target.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise UsageError(f"{path}: is there already, and no ordinary file")
    return target


def _write_rows(rows: Iterable[Mapping[str, Any]], part: Path, name: str) -> int:
    """Writes a file to the disk; how many rows hold a lone surrogate."""
    unpaired = 0
    with part.open("xb") as file:
        with compressing(file, name) as stream:
            for row in rows:
                line, has_unpaired = encoded(row)
                stream.write(line)
                unpaired += has_unpaired
        file.flush()
        os.fsync(file.fileno())
    return unpaired


def _check(exporter: Exporter, part: Path, written: list[tuple[Key, bytes]]) -> None:
    """Reads a file back as anybody would, and compares it with the record."""
    number = 0
    try:
        with part.open("rb") as file, decompressed(file) as stream:
            for number, line in enumerate(stream, 1):
                if number > len(written) or _digest(exporter.response(decoded(line))) != written[number - 1][1]:
                    raise ValueError("the response is not the stored one")
        if number != len(written):
            raise ValueError(f"{number} rows read back, {len(written)} written")
    except (ValueError, LookupError, TypeError, *DAMAGE) as error:
        trace = f" (trace {written[number - 1][0]})" if 0 < number <= len(written) else ""
        raise AntiphonError(
            f"the check of the export failed at row {number}{trace}: {error}; nothing was put in place"
        ) from None


def _digest(text: str) -> bytes:
    """Equal for texts that are equal in JSON, where two surrogates side by side are one character."""
    try:
        spelled = text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        spelled = paired.encode("utf-8", "surrogatepass")
    return hashlib.sha256(spelled).digest()


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable, where the system lets folders be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
