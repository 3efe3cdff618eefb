"""The rows of an export in one file, or in one after another: each is checked before anybody else has it."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from antiphon.errors import AntiphonError
from antiphon.export.base import Exporter, Row, Unfit
from antiphon.export.container import SUFFIXES, Container, container, rows
from antiphon.plural import many
from antiphon.problem.source import DAMAGE

FOLDER = "data"
"""Where the files are in a data set."""
NUMBERED = re.compile(rf"{FOLDER}/train-\d{{5,}}-[0-9a-f]{{16}}({'|'.join(map(re.escape, SUFFIXES))})")
"""The name of one of several files. What is in it is part of its name, so that a name always stands for the same
content: what a killed export left is found again, and what it had otherwise is never taken for ours."""


class DataFile(NamedTuple):
    """A file of rows, by its path in the data set."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Shards:
    """A context manager that takes rows. Each file is read back when it is full and compared with the record (how many
    rows, and each response character by character), then handed on; so is the last when the context is left without an
    error. There is always one.

    Args:
        part: the folder in which files are written, or the only file.
        only: the only file's name; None: they are numbered.
        suffix: what numbered files end in.
        most: rows of a file, None: no limit.
        deliver: takes a file that is whole.

    Attributes:
        files: those that are whole.
        unpaired: rows that hold a lone surrogate.
    """

    def __init__(
        self,
        exporter: Exporter,
        part: Path,
        *,
        only: str | None,
        suffix: str,
        most: int | None,
        deliver: Callable[[Path, DataFile], None],
    ):
        self.files: list[DataFile] = []
        self.unpaired = 0
        self._exporter, self._part, self._only, self._suffix = exporter, part, only, suffix
        self._most, self._deliver = most, deliver
        self._written = array("Q")  # a digest of each response in the file
        self._file: Container | None = None
        self._path, self._name = part, only or ""

    @property
    def rows(self) -> int:
        """All that were taken."""
        return sum(file.rows for file in self.files) + len(self._written)

    def add(self, row: Row) -> None:
        """Takes a row.

        Raises:
            Unfit: such a file cannot hold it; nothing of it was written.
            AntiphonError: the file is full, and reads back otherwise than it was written.
        """
        self._opened().add(row.fields)
        self._written.append(_digest(row.response))
        if len(self._written) == self._most:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and (self._file is not None or not self.files):
            self._opened()
            self._end()
        elif self._file is not None:
            self._file.__exit__(kind, error, trace)

    def _opened(self) -> Container:
        if self._file is None:
            self._name = self._only or f"{FOLDER}/train-{len(self.files):05}{self._suffix}"
            self._path = self._part / self._name if self._part.is_dir() else self._part
            self._path.parent.mkdir(exist_ok=True)
            self._file = container(self._path, self._name, self._exporter.schema())
            self._file.__enter__()
        return self._file

    def _end(self) -> None:
        file, self._file = self._opened(), None
        file.__exit__(None, None, None)
        self.unpaired += file.unpaired
        _check(self._exporter, self._path, self._name, self._written)
        with self._path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name, path = self._name, self._path
        if self._only is None:
            name = f"{name.removesuffix(self._suffix)}-{digest[:16]}{self._suffix}"
            path = path.rename(self._part / name)
        done = DataFile(name, len(self._written), path.stat().st_size, digest)
        self._written = array("Q")
        self.files.append(done)
        self._deliver(path, done)


def _check(exporter: Exporter, part: Path, name: str, written: Sequence[int]) -> None:
    """Reads a file back as anybody would, and compares it with the record."""
    number, which = 0, ""
    try:
        for number, fields in enumerate(rows(part, name), 1):
            which = f" (trace {fields['id']})" if isinstance(fields, dict) and "id" in fields else ""
            if number > len(written) or _digest(exporter.response(fields)) != written[number - 1]:
                raise ValueError("the response is not the stored one")
        if number != len(written):
            raise ValueError(f"{many(number, 'row')} read back, {len(written):,} written")
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
