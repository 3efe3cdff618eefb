"""Files of rows: JSON lines, compressed or not, and Parquet. Written as the rows come, read back likewise."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

from antiphon.export.base import Unfit
from antiphon.export.jsonl import SUFFIXES as JSON_LINES
from antiphon.export.jsonl import compressing, decoded, encoded
from antiphon.problem.source import decompressed

if TYPE_CHECKING:
    import pyarrow

PARQUET = (".parquet",)
SUFFIXES: tuple[str, ...] = (*JSON_LINES, *PARQUET)
_GROUP = 8_000_000  # bytes of rows, as JSON, that are held until they are written as one row group
_AT_ONCE = 64  # rows of Parquet in memory while it is read


class Container(Protocol):
    """A context manager that takes rows; leaving it without an error puts them on the disk."""

    unpaired: int
    """Rows that hold a lone surrogate."""

    def add(self, fields: Mapping[str, Any]) -> None:
        """Takes a row.

        Raises:
            Unfit: such a file cannot hold it; nothing of it was written.
            OSError: it cannot be written.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def container(part: Path, name: str, schema: pyarrow.Schema) -> Container:
    """The container of the kind that a file's name says, in the file `part`."""
    return Parquet(part, schema) if name.endswith(PARQUET) else JsonLines(part, name)


def rows(part: Path, name: str) -> Iterator[dict[str, Any]]:
    """Reads rows as anybody would.

    Raises:
        ValueError, OSError, EOFError, zlib.error: the file is damaged.
    """
    if not name.endswith(PARQUET):
        with part.open("rb") as file, decompressed(file) as stream:
            yield from map(decoded, stream)
        return
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(part) as table:
        for batch in table.iter_batches(_AT_ONCE):
            yield from batch.to_pylist()


class JsonLines:
    """One row a line. A lone surrogate is written as an escape, which some readers refuse."""

    def __init__(self, part: Path, name: str):
        self.unpaired = 0
        self._part, self._name = part, name
        self._file: BinaryIO
        self._stream: BinaryIO
        self._compressing = ExitStack()

    def add(self, fields: Mapping[str, Any]) -> None:
        """See `Container.add`."""
        line, unpaired = encoded(fields)
        self._stream.write(line)
        self.unpaired += unpaired

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        self._stream = self._compressing.enter_context(compressing(self._file, self._name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is not None:
                with suppress(OSError):  # what is left in buffers cannot be written either; the first error counts
                    self._compressing.close()
                return
            self._compressing.close()
            self._file.flush()
            os.fsync(self._file.fileno())


class Parquet:
    """Row groups of some megabytes, compressed by zstd. It cannot hold a lone surrogate."""

    def __init__(self, part: Path, schema: pyarrow.Schema):
        self.unpaired = 0
        self._part, self._schema = part, schema
        self._file: BinaryIO
        self._writer: Any
        self._held: list[Mapping[str, Any]] = []
        self._size = 0

    def add(self, fields: Mapping[str, Any]) -> None:
        """See `Container.add`."""
        line, unpaired = encoded(fields)
        if unpaired:
            raise Unfit("lone surrogate")
        self._held.append(fields)
        self._size += len(line)
        if self._size >= _GROUP:
            self._write()

    def _write(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(self._held, self._schema))
        self._held.clear()
        self._size = 0

    def __enter__(self) -> Self:
        import pyarrow.parquet

        self._file = self._part.open("wb")
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is not None:
                with suppress(OSError):
                    self._writer.close()
                return
            if self._held:
                self._write()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
