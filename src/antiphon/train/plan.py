"""What a training will do, found before a weight is loaded: its rows, read and counted, and what they take."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import UsageError
from antiphon.export.student import Student, read_student
from antiphon.train.memory import Memory, estimate, room_here, shortfall
from antiphon.train.recipe import Recipe
from antiphon.train.rows import IGNORED, Count, TrainingRow, training_rows

_ROWS_AT_ONCE = 256  # rows of one batch of the file of rows


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will do.

    Attributes:
        count: what became of the rows.
        steps, steps_per_epoch: optimizer steps.
        limit: the most tokens of a row.
        shown: one row, in pieces of text with their weights, 0 where they are masked.
        memory: what it takes of each device.
        device, room: the device, and how many bytes of it are free.
        short: why it does not go into it, "" where it does.
        done: steps that an interrupted training has done already.
    """

    count: Count
    steps: int
    steps_per_epoch: int
    limit: int
    shown: Sequence[tuple[str, float]]
    memory: Memory
    device: str
    room: int
    short: str
    done: int = 0


class Reading(Iterable[TrainingRow]):
    """The rows of a training, read once: what becomes of them, and what it takes to train on them."""

    def __init__(self, data: Path, student: str, files: ModelFiles, recipe: Recipe, room: int | None):
        self._student = read_student(student)
        self._limit = _limit(files, recipe)
        self._data, self._model, self._recipe, self._room, self._count = data, files.path, recipe, room, Count()
        self._shown: TrainingRow | None = None

    def __iter__(self) -> Iterator[TrainingRow]:
        for row in training_rows(self._data, self._student, self._recipe, self._limit, self._count):
            self._shown = self._shown or row
            yield row

    def through(self) -> Self:
        """Reads all of them."""
        for _ in self:
            pass
        return self

    def write(self, to: Path, *, weighted: bool) -> None:
        """Reads all of them into a file, as the trainer takes them."""
        import pyarrow

        numbers = pyarrow.list_(pyarrow.int32())
        columns = {"row": pyarrow.int64(), "name": pyarrow.string(), "input_ids": numbers, "labels": numbers}
        schema = pyarrow.schema({**columns, **({"weights": pyarrow.list_(pyarrow.float32())} if weighted else {})})
        with pyarrow.ipc.new_stream(str(to), schema) as writer:
            held: list[dict[str, Any]] = []
            for number, row in enumerate(self):
                labels = [id if weight else IGNORED for id, weight in zip(row.ids, row.weights, strict=True)]
                held.append({"row": number, "name": row.name, "input_ids": row.ids, "labels": labels})
                if weighted:
                    held[-1]["weights"] = row.weights
                if len(held) == _ROWS_AT_ONCE:
                    writer.write_batch(pyarrow.RecordBatch.from_pylist(held, schema))
                    held.clear()
            writer.write_batch(pyarrow.RecordBatch.from_pylist(held, schema))

    def plan(self) -> Plan:
        """What was found.

        Raises:
            UsageError: nothing can be trained on.
        """
        if self._shown is None:
            why = ", ".join(f"{count} {reason}" for reason, count in self._count.left_out.items())
            raise UsageError(f"{self._data}: no row to train on ({why or 'it holds none'})")
        rows = self._count.rows
        steps, per_epoch = self._recipe.steps_for(rows), self._recipe.steps_per_epoch(rows)
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        shared = any(os.environ.get(f"ACCELERATE_USE_{name}") == "true" for name in ("FSDP", "DEEPSPEED"))
        memory = estimate(self._model, self._recipe, self._count.longest, devices=devices, shared=shared)
        device, free = room_here(self._recipe)
        room = free if self._room is None else self._room
        short = shortfall(memory, self._recipe, room, device=device)
        shown = _pieces(self._student, self._shown)
        return Plan(self._count, steps, per_epoch, self._limit, shown, memory, device, room, short)


def _limit(files: ModelFiles, recipe: Recipe) -> int:
    config = json.loads((files.path / "config.json").read_text("utf-8"))
    context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    limits = [limit for limit in (recipe.max_length, context) if limit]
    return min(limits) if limits else 1 << 31


def _pieces(student: Student, row: TrainingRow) -> list[tuple[str, float]]:
    """A row as text, in stretches of one weight."""
    pieces: list[tuple[list[int], float]] = []
    for token, weight in zip(row.ids, row.weights, strict=True):
        if not pieces or pieces[-1][1] != weight:
            pieces.append(([], weight))
        pieces[-1][0].append(token)
    return [(student.vocabulary.decode(ids), weight) for ids, weight in pieces]
