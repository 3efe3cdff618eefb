"""The journal of an annotation: every outcome is on the disk before anybody is told of it, one JSON object a line.

The first line says how the slices were cut. Each other line holds a slice with its marks, or with the cause why there
are none, the annotator's name and reply, and what it cost; of several lines about one slice the last counts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from antiphon.boundary.making.align import Cause
from antiphon.boundary.making.marked import MarkedText
from antiphon.errors import StoreBusy, StoreFull, StoreUnfit, UsageError
from antiphon.export.jsonl import encoded
from antiphon.store.place import synchronise_folder
from antiphon.trace import Author, Usage

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one slice.

    Attributes:
        slice: with its marks, or without any where there is a cause.
        test: whether it is kept for testing.
        annotator: the model's name.
        cause: why the reply gives no marks, None where it does; `detail` says more where there is more.
        reply: what the annotator wrote, without its thinking where that was told apart.
        usage: what it cost.
    """

    slice: MarkedText
    test: bool
    annotator: str
    cause: Cause | None = None
    detail: str = ""
    reply: str = ""
    usage: Usage = field(default_factory=Usage)


class Journal:
    """The outcomes in a file, which one process writes at a time. A context manager.

    Attributes:
        outcomes: the last one of each slice, by its id.
        spent: what all replies have cost, those that counted no more too.
        repaired: what was found torn at the end and cut off, None where nothing was.
    """

    def __init__(self, path: Path, begun: Mapping[str, Any]):
        """Opens it, or begins it.

        Args:
            begun: how the slices are cut, as it stands in the first line.

        Raises:
            UsageError: it was begun in another way.
            StoreBusy: another process writes it.
            StoreUnfit: it is no journal, or of a newer version.
            StoreFull: it cannot be written.
        """
        self.path = path
        self.outcomes: dict[str, Outcome] = {}
        self.spent = Usage()
        self.repaired: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreFull(f"{path} cannot be written: {error.strerror}") from None
        try:
            self._lock()
            self._read(begun)
        except BaseException:
            os.close(self._file)
            raise

    def add(self, outcome: Outcome) -> None:
        """Adds an outcome. When this returns, it is on the disk.

        Raises:
            StoreFull: it could not be written; all that was added before is safe.
        """
        self._take(outcome)
        marked, usage = asdict(outcome.slice), asdict(outcome.usage)
        self._write({**asdict(outcome), "slice": marked, "usage": usage})

    def close(self) -> None:
        """Lets another process write it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusy(f"{self.path} is being written by another process; wait until it ends") from None

    def _read(self, begun: Mapping[str, Any]) -> None:
        whole = 0  # bytes
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), 1):
            if number == 1 and not line.startswith(b"{"):
                raise StoreUnfit(f"{self.path} is no journal of annotations; give another folder")
            if not line.endswith(b"\n"):  # the last one
                os.ftruncate(self._file, whole)
                self.repaired = f"{self.path}: its last line was torn ({len(line)} bytes) and is cut off"
                break
            whole += len(line)
            try:
                record = json.loads(line)
                if number > 1:
                    self._take(_outcome(record))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise StoreUnfit(f"{self.path}:{number} is damaged; remove that line to go on") from None
            if number == 1:
                self._compare(record, begun)
        if not whole:
            self._write({"format": _FORMAT, **begun})
            synchronise_folder(self.path.parent)

    def _compare(self, record: Mapping[str, Any], begun: Mapping[str, Any]) -> None:
        if record.get("format") != _FORMAT:
            raise StoreUnfit(
                f"{self.path} is no journal that this version reads (format {_FORMAT}); give another folder"
            )
        differing = [
            f"{name} was {record.get(name)}, not {value}" for name, value in begun.items() if record.get(name) != value
        ]
        if differing:
            raise UsageError(
                f"{self.path.parent} was begun otherwise: {', '.join(differing)}; give the same, or another folder"
            )

    def _take(self, outcome: Outcome) -> None:
        self.outcomes[outcome.slice.id] = outcome
        self.spent += outcome.usage

    def _write(self, record: Mapping[str, Any]) -> None:
        left = memoryview(encoded(record)[0])
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            raise StoreFull(
                f"{self.path} cannot be written: {error.strerror}; all marks before are safe, make room and go on"
            ) from None


def _outcome(record: dict[str, Any]) -> Outcome:
    marked, cause = record.pop("slice"), record.pop("cause")
    style = tuple((start, end) for start, end in marked.pop("style"))
    author = marked.pop("author")
    return Outcome(
        slice=MarkedText(**marked, style=style, author=Author(author) if author else None),
        cause=Cause(cause) if cause else None,
        usage=Usage(**record.pop("usage")),
        **record,
    )
