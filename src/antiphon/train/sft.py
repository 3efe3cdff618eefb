"""Supervised fine-tuning of a student on an export: prepared, counted, trained, kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import MissingDependency, ModelError, SettingsError, UsageError
from antiphon.train.curve import draw
from antiphon.train.folder import Folder, refuse_other
from antiphon.train.plan import Plan, Reading
from antiphon.train.recipe import Recipe
from antiphon.train.rows import data_files
from antiphon.train.tell import Progress, Trained

if TYPE_CHECKING:
    from antiphon.train.fitting import Fitting

_LIBRARIES = ("torch", "transformers", "trl", "datasets", "accelerate", "matplotlib")


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
        AntiphonError: the loss is no number, or the device's memory is full.
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
        reading = Reading(data, student, files, recipe, room)
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
    return Reading(data, student, files, recipe, room).through().plan()


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
    """Returns where the extra is installed. Nothing of it is loaded, which takes many seconds: what is wrong with the
    data is said before.

    Raises:
        MissingDependency: it is not.
    """
    for library in (*_LIBRARIES, *(("peft",) if recipe.lora else ())):
        if find_spec(library) is None:
            raise MissingDependency(library, "train", "training a student")


def is_main_process() -> bool:
    """Whether this is the only process of a training, or the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


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


def _prepare(folder: Folder, reading: Reading, recipe: Recipe, asked: Mapping[str, Any]) -> None:
    """Writes the rows as they are trained on, then what training they are for."""
    with folder.writing(folder.rows) as part:
        reading.write(part, weighted=recipe.loss == "style_down")
        plan = reading.plan()
        if plan.short:
            raise UsageError(plan.short)
        steps = plan.steps
        beyond = [step for step in asked["save_at"] if not 1 <= step <= steps]
        if beyond:
            raise SettingsError(f"save_at {beyond[0]}: the training has {steps} steps; name some up to that")
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

    from antiphon.train.fitting import Collator, Fitting, Following, within_memory
    from antiphon.train.libraries import configuration, load_student, lora_configuration, quiet

    with quiet(), within_memory(folder, recipe):
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
