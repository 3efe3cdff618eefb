"""Supervised fine-tuning of a student on an export: prepared, counted, trained, kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import MissingDependency, ModelError, SettingsError, UsageError
from antiphon.export.student import Student, read_student
from antiphon.train.curve import draw
from antiphon.train.folder import Folder, refuse_other
from antiphon.train.memory import Memory, estimate, room_here, shortfall
from antiphon.train.recipe import Recipe
from antiphon.train.rows import IGNORED, Count, TrainingRow, data_files, training_rows
from antiphon.train.tell import Progress, Trained

if TYPE_CHECKING:
    from antiphon.train.fitting import Fitting

_LIBRARIES = ("torch", "transformers", "trl", "datasets", "accelerate", "matplotlib")
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


def train(
    data: Path,
    student: str,
    to: Path,
    recipe: Recipe,
    *,
    save_at: Sequence[int] = (),
    watch: Callable[[Progress], None] = lambda progress: None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    trainer: Mapping[str, Any] | None = None,
    room: int | None = None,
) -> Trained:
    """Trains a student; goes on after the last state where an interrupted call with the same arguments has left one,
    and returns at once where one has finished.

    Args:
        data: a file or folder of `antiphon export`, in the format tokens, prompt_completion or messages.
        student: a Hugging Face folder (one that a training wrote, too), `lab:student` or `lab:teacher`.
        to: the folder of the training, made if need be.
        save_at: steps after which the model is kept; none: at each epoch's end.
        watch: told after each step.
        on_plan: told before the first.
        asked_to_stop: asked after each step; True ends the training there, with its state kept.
        trainer: other fields of TRL's `SFTConfig`.
        room: bytes that it may take of a device; None: what is free.

    Raises:
        UsageError: the data, the student, a setting or the folder cannot be used; nothing was spent.
        StoreFull: a checkpoint could not be written.
        AntiphonError: the loss is no number.
        KeyboardInterrupt: it was asked to stop.
    """
    folder, files, given = Folder(to), require_student(student), dict(trainer or {})
    if not is_main_process():
        require_libraries(recipe)
        return _fit(folder, files, recipe, save_at, watch, asked_to_stop, given)
    asked = _identity(data, files, recipe, save_at, given)
    begun = folder.read_about()
    if begun is not None and folder.holds_work:
        refuse_other(to, begun["training"], asked)
        if folder.model.is_dir():
            return _trained(folder)
    require_libraries(recipe)
    with folder.locked():
        state = folder.last_state()
        reading = _Reading(data, student, files, recipe, room)
        if state is None or not folder.rows.is_file():
            _prepare(folder, reading, recipe, asked)
        else:
            reading.through()
        on_plan(replace(reading.plan(), done=0 if state is None else int(state.name)))
        return _fit(folder, files, recipe, save_at, watch, asked_to_stop, given)


def plan(data: Path, student: str, recipe: Recipe, *, room: int | None = None) -> Plan:
    """What a training would do, also one that does not go into the device. See `train`.

    Raises:
        UsageError: it could not be done for another reason.
    """
    files = require_student(student)
    require_libraries(recipe)
    return _Reading(data, student, files, recipe, room).through().plan()


def require_student(student: str) -> ModelFiles:
    """The student's files.

    Raises:
        ModelError: it is no model that can be trained.
    """
    if "://" in student:
        raise ModelError(f"{student}: a server cannot be trained; give the folder of its model")
    files = ModelFiles.read(student)
    if files.is_gguf:
        raise ModelError(f"{student}: a GGUF file cannot be trained; give the Hugging Face folder that it was made of")
    return files


def require_libraries(recipe: Recipe) -> None:
    """Returns where the extra is installed.

    Raises:
        MissingDependency: it is not.
    """
    for library in (*_LIBRARIES, *(("peft",) if recipe.lora else ())):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependency(library, "train", "training a student") from None


def is_main_process() -> bool:
    """Whether this is the only process of a training, or the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


class _Reading(Iterable[TrainingRow]):
    """The rows of a training, read once."""

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


def _identity(
    data: Path, files: ModelFiles, recipe: Recipe, save_at: Sequence[int], trainer: Mapping[str, Any]
) -> dict[str, Any]:
    """All that decides about the weights, and which are kept."""
    weights = sorted(path for pattern in ("*.safetensors", "*.bin") for path in files.path.glob(pattern))
    about = {
        "recipe": recipe.shaping(),
        "save_at": sorted(set(save_at)),
        "trainer": dict(trainer),
        "data": _digest(data_files(data)),
        "student": {**files.identity, "weights": _digest(weights)},
    }
    shown: dict[str, Any] = json.loads(json.dumps(about, default=str))
    return shown


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _prepare(folder: Folder, reading: _Reading, recipe: Recipe, asked: Mapping[str, Any]) -> None:
    """Writes the rows as they are trained on, then what training they are for."""
    import pyarrow

    weighted = recipe.loss == "style_down"
    numbers = pyarrow.list_(pyarrow.int32())
    columns = {"row": pyarrow.int64(), "name": pyarrow.string(), "input_ids": numbers, "labels": numbers}
    schema = pyarrow.schema({**columns, **({"weights": pyarrow.list_(pyarrow.float32())} if weighted else {})})
    with folder.writing(folder.rows) as part:
        with pyarrow.ipc.new_stream(str(part), schema) as writer:
            held: list[dict[str, Any]] = []
            for number, row in enumerate(reading):
                labels = [id if weight else IGNORED for id, weight in zip(row.ids, row.weights, strict=True)]
                held.append({"row": number, "name": row.name, "input_ids": row.ids, "labels": labels})
                if weighted:
                    held[-1]["weights"] = row.weights
                if len(held) == _ROWS_AT_ONCE:
                    writer.write_batch(pyarrow.RecordBatch.from_pylist(held, schema))
                    held.clear()
            writer.write_batch(pyarrow.RecordBatch.from_pylist(held, schema))
        plan = reading.plan()
        if plan.short:
            raise UsageError(plan.short)
        steps = plan.steps
        beyond = [step for step in asked["save_at"] if not 1 <= step <= steps]
        if beyond:
            raise SettingsError(f"save_at {beyond[0]}: the training has {steps} steps")
    folder.write(folder.about, json.dumps({"training": asked, "steps": steps}, indent=1) + "\n")


def _fit(
    folder: Folder,
    files: ModelFiles,
    recipe: Recipe,
    save_at: Sequence[int],
    watch: Callable[[Progress], None],
    asked_to_stop: Callable[[], bool],
    trainer: Mapping[str, Any],
) -> Trained:
    """Trains on the prepared rows."""
    import datasets
    import transformers

    from antiphon.train.fitting import (
        Collator,
        Fitting,
        Following,
        configuration,
        load_student,
        lora_configuration,
        quiet,
    )

    with quiet():
        args = configuration(recipe, folder, trainer)
        args.distributed_state.wait_for_everyone()
        rows = datasets.Dataset.from_file(str(folder.rows))
        args.max_steps = steps = recipe.steps_for(len(rows))
        epoch = recipe.steps_per_epoch(len(rows))
        kept = set(save_at or range(epoch, steps, epoch)) - {steps}
        every = recipe.save_every or epoch

        def is_due(step: int) -> bool:
            return step in kept or step % every == 0

        transformers.set_seed(recipe.seed)
        model, dtype = load_student(files.path, recipe)
        tokenizer = transformers.AutoTokenizer.from_pretrained(files.path, local_files_only=True)
        following = Following(is_due, asked_to_stop, watch)
        try:
            fitting = Fitting(
                folder=folder,
                source=files.path,
                dtype=dtype,
                kept=kept,
                names=rows["name"],
                model=model,
                args=args,
                train_dataset=rows.remove_columns("name"),
                data_collator=Collator(pad_token_id=tokenizer.pad_token_id or 0),
                processing_class=tokenizer,
                peft_config=lora_configuration(recipe),
                callbacks=[following],
            )
        except (ValueError, ImportError, RuntimeError) as error:  # TRL's, of settings that do not go together
            raise SettingsError(f"the trainer cannot be made: {' '.join(str(error).split())}") from None
        state = folder.last_state()
        fitting.train(resume_from_checkpoint=None if state is None else str(state))
        if following.stopped:
            raise KeyboardInterrupt
        _finish(folder, fitting, recipe)
    return _trained(folder)


def _finish(folder: Folder, fitting: Fitting, recipe: Recipe) -> None:
    """Writes what is left at the end, the model last: where it stands, all is done."""
    if is_main_process():
        curve = fitting.curve()
        with folder.writing(folder.picture) as part:
            draw(curve, part)
        folder.write(folder.curve, json.dumps(curve, indent=1) + "\n")
    if recipe.lora is not None:
        fitting.write_adapter(folder.adapter)
    fitting.write_model(folder.model)
    if is_main_process():
        folder.drop_old_states(0)
        folder.rows.unlink()


def _trained(folder: Folder) -> Trained:
    about = folder.read_about()
    assert about is not None
    steps, save_at = about["steps"], about["training"]["save_at"]
    kept = folder.checkpoints_by_step()
    if steps in save_at or not save_at:
        kept[steps] = folder.model
    return Trained(folder.model, kept, folder.curve)
