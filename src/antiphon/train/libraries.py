"""A recipe as TRL, transformers and peft have it, and the student's weights as they are trained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from trl.trainer.sft_config import SFTConfig

from antiphon.errors import ModelError, SettingsError
from antiphon.train.folder import Folder
from antiphon.train.recipe import Recipe

_FREE = {"lr_scheduler_type", "lr_scheduler_kwargs", "report_to", "logging_steps", "dataloader_pin_memory", "log_level"}


def configuration(recipe: Recipe, folder: Folder, given: Mapping[str, Any]) -> SFTConfig:
    """A recipe as TRL has it.

    Args:
        given: other fields of `SFTConfig` by their names.

    Raises:
        SettingsError: there is no such field, it is the recipe's, or it cannot have such a value; or a single process
            sees several GPUs.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    at_once = min(recipe.rows_at_once, max(1, recipe.batch // processes))
    if recipe.batch % (at_once * processes):
        raise SettingsError(
            f"a batch of {recipe.batch} rows does not go into {processes} processes of {at_once} rows; give a multiple"
        )
    on_cpu = recipe.device == "cpu" or not torch.accelerator.is_available()
    if not on_cpu and processes == 1 and (seen := torch.cuda.device_count()) > 1:  # which TRL refuses after loading
        raise SettingsError(
            f"one process sees {seen} GPUs: to train on all of them, accelerate launch -m antiphon train ...; on one,"
            " CUDA_VISIBLE_DEVICES=0 antiphon train ..."
        )
    mixed = recipe.precision == "mixed"
    values: dict[str, Any] = {
        "output_dir": str(folder.states / "work.part"),
        "max_steps": 1,  # until the rows are counted
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": recipe.batch // (at_once * processes),
        "learning_rate": recipe.rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": recipe.floor},
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.clip,
        "max_length": None,
        "seed": recipe.seed,
        "bf16": mixed,
        "activation_checkpointing": recipe.gradient_checkpointing,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": recipe.device != "cpu" and torch.cuda.is_available(),
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "log_level": "error",
    }
    for name in given:
        if name not in SFTConfig.__dataclass_fields__:
            raise SettingsError(f"trainer: SFTConfig has no field {name!r}")
        if name in values.keys() - _FREE:
            raise SettingsError(f"trainer: {name} follows from the recipe, or must be as it is; leave it out")
    if "lr_scheduler_type" in given:
        values.pop("lr_scheduler_kwargs")
    try:
        return SFTConfig(**{**values, **given})
    except (TypeError, ValueError, ImportError) as error:
        raise SettingsError(f"trainer: {' '.join(str(error).split())}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers shows no bars and says nothing below an error. Of its own attributes that others still look at by
    their former names (peft asks a model for `is_gradient_checkpointing`) nobody here needs to be warned."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_student(source: Path, recipe: Recipe) -> tuple[Any, torch.dtype]:
    """A student's weights as they are trained, and the type of number that it has on the disk.

    Raises:
        ModelError: transformers cannot load it.
    """
    frozen = recipe.lora is not None
    narrow = recipe.precision == "bfloat16" or (recipe.precision == "mixed" and frozen)
    try:
        own = transformers.AutoConfig.from_pretrained(source, local_files_only=True).get_text_config().dtype
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.bfloat16 if narrow else torch.float32, local_files_only=True
        )
    except Exception as error:  # of many kinds; the first line says what is wrong
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{source}: transformers cannot load it: {reason[0]}") from error
    return model, own or model.dtype


def lora_configuration(recipe: Recipe) -> Any:
    """LoRA as peft has it, None for a full training."""
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    lora = recipe.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
