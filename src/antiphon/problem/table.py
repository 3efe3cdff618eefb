"""Readers of tables: Parquet, Arrow, and the folders that `datasets.Dataset.save_to_disk` writes. Rows count from 1."""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from antiphon.errors import ProblemError
from antiphon.problem.base import Row

_BATCH = 256


def parquet(stream: BinaryIO) -> Iterator[Row]:
    """The rows of a Parquet file, a few hundred in memory at a time."""
    import pyarrow.parquet as pq

    yield from _rows(lambda: pq.ParquetFile(stream).iter_batches(batch_size=_BATCH))


def arrow(stream: BinaryIO) -> Iterator[Row]:
    """The rows of an Arrow file, in the stream format (which `datasets` writes) or the file format."""
    yield from _rows(lambda: _batches(stream))


def saved(folder: Path) -> Iterator[Row]:
    """The rows of a saved dataset, shard after shard, as its `state.json` lists them."""
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        shards = [folder / entry["filename"] for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Row(1, None, f"state.json cannot be read: {_first_line(error)}")
        return
    if state.get("_indices_data_files"):
        yield Row(1, None, "the dataset was saved with an index beside it; save it anew after flatten_indices()")
        return
    yield from _rows(lambda: (batch for shard in shards for batch in _shard(shard)))


def jsonable(value: Any) -> Any:
    """A table's value as JSON has it, nothing lost.

    Bytes become `{"base64": ...}`; NaN and the infinities, which JSON lacks, the texts "NaN", "Infinity" and
    "-Infinity"; map entries and tuples lists. (Times and decimals are text before they come here.)

    Raises:
        ProblemError: a type that has no such form.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {name: jsonable(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(inner) for inner in value]
    if isinstance(value, uuid.UUID):
        return str(value)
    raise ProblemError(f"a value of type {type(value).__name__} has no form in JSON")


def _shard(path: Path) -> Iterator[Any]:
    with path.open("rb") as stream:
        yield from _batches(stream)


def _batches(stream: BinaryIO) -> Iterator[Any]:
    import pyarrow as pa

    magic = stream.read(6)
    stream.seek(0)
    if magic == b"ARROW1":
        file = pa.ipc.open_file(stream)
        yield from (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        yield from pa.ipc.open_stream(stream)


def _rows(batches: Callable[[], Iterable[Any]]) -> Iterator[Row]:
    """The rows of record batches; where reading breaks off, its reason as the last row."""
    import pyarrow as pa

    number = 0
    try:
        for batch in batches():
            names = batch.schema.names
            if len(set(names)) != len(names):
                yield Row(number + 1, None, f"two columns are called {next(n for n in names if names.count(n) > 1)!r}")
                return
            for start in range(0, batch.num_rows, _BATCH):
                for fields in _records(batch.slice(start, _BATCH)):
                    number += 1
                    yield Row(number, None, fields) if isinstance(fields, str) else Row(number, fields)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Row(number + 1, None, f"cannot be read further: {_first_line(error)}")


def _records(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The records of a batch. One that cannot be converted is a message, and spoils no other."""
    import pyarrow as pa

    try:
        columns = [column.cast(_spelled(column.type)) for column in batch.columns]
        records = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        fields = [jsonable(record) for record in records]
    except UnicodeDecodeError as error:
        fault = f"not valid UTF-8 (byte 0x{error.object[error.start]:02x})"
    except (pa.ArrowException, ValueError) as error:
        fault = _first_line(error)
    else:
        yield from fields
        return
    if batch.num_rows == 1:
        yield fault
    else:
        for row in range(batch.num_rows):
            yield from _records(batch.slice(row, 1))


def _spelled(kind: Any) -> Any:
    """An Arrow type with times, dates, durations and decimals inside it as text, which keeps every digit."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_list(kind):
        return pa.list_(_spelled(kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_spelled(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_spelled(kind.value_type), kind.list_size)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_spelled(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_spelled(kind.key_type), _spelled(kind.item_type))
    if types.is_dictionary(kind):
        return _spelled(kind.value_type)
    if types.is_decimal(kind) or (types.is_temporal(kind) and not types.is_interval(kind)):
        return pa.string()
    return kind


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
