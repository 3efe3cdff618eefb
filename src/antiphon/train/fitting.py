"""TRL's trainer and what it lacks: weights of tokens, states whole or not there, an end where the loss is no number."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from antiphon.errors import AntiphonError, ModelError, SettingsError
from antiphon.train.folder import Folder, removed
from antiphon.train.recipe import Recipe
from antiphon.train.tell import Progress

_BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "chat_template*",
    "*.jinja",
    "*.py",
)
_FREE = {"lr_scheduler_type", "lr_scheduler_kwargs", "report_to", "logging_steps", "dataloader_pin_memory", "log_level"}
_ROWS_TOLD = 8  # rows of a batch that an error names


@dataclass
class Collator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """TRL's batches, and which rows are in them; their weights where rows have some."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        batch["rows"] = torch.tensor([example["row"] for example in examples])
        if "weights" in examples[0]:
            batch["weights"] = torch.zeros(batch["labels"].shape)
            for at, example in enumerate(examples):
                batch["weights"][at, : len(example["weights"])] = torch.tensor(example["weights"])
        return batch


class Fitting(SFTTrainer):  # type: ignore[misc]
    """See the module. `names` gives the names of rows by their numbers, for errors."""

    def __init__(
        self,
        *,
        folder: Folder,
        source: Path,
        dtype: torch.dtype,
        kept: Collection[int],
        names: Sequence[str],
        **given: Any,
    ):
        super().__init__(**given)
        self.remove_callback(PrinterCallback)
        self._folder, self._source, self._dtype, self._kept, self._names = folder, source, dtype, kept, names

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's own loss; with weights, the mean of the tokens' losses by their weights."""
        weights = inputs.pop("weights", None)
        if weights is not None:
            model = _Weighted(model, weights[:, 1:])
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
        """What a step's loss is divided by: its learned tokens, or the sum of their weights."""
        if not batch_samples or "weights" not in batch_samples[0]:
            return super()._get_num_items_in_batch(batch_samples, device)
        total = torch.stack([batch["weights"][:, 1:].sum() for batch in batch_samples]).sum().to(device)
        return self.accelerator.gather(total).sum() if self.args.world_size > 1 else total

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """As `Trainer.training_step`.

        Raises:
            AntiphonError: the loss is no number.
        """
        rows = inputs.pop("rows").tolist()
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            names = ", ".join(self._names[row] for row in rows[:_ROWS_TOLD])
            more = f" and {len(rows) - _ROWS_TOLD} more" if len(rows) > _ROWS_TOLD else ""
            raise AntiphonError(
                f"the loss is no number at step {self.state.global_step + 1}, rows {names}{more}; {self._last_good()}"
            )
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Keeps the model where that was asked for, then what an interrupted training goes on from: in this order,
        since one that goes on does not come by here again."""
        step = self.state.global_step
        if not all(torch.isfinite(weight).all() for weight in self.model.parameters() if weight.requires_grad):
            raise AntiphonError(f"the weights are no numbers after step {step}; {self._last_good()}")
        if step in self._kept:
            self.write_model(self._folder.checkpoints / str(step))
        work = Path(self.args.output_dir)
        try:
            with self._written(self._folder.states / str(step)) as part:
                super(SFTTrainer, self)._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each process has written a part
                if self.args.should_save:
                    (work / f"checkpoint-{step}").rename(part)
        except BaseException:
            if self.args.should_save:
                removed(work)  # or what is half-written would go on filling the disk
            raise
        if self.args.should_save:
            self._folder.drop_old_states()

    def write_model(self, target: Path) -> None:
        """The model as a Hugging Face folder, LoRA's matrices added, in the student's own type of number; what stands
        beside its weights is the student's own."""
        state = self.accelerator.get_state_dict(self.model)
        unwrapped = self.accelerator.unwrap_model(self.model)
        if isinstance(unwrapped, transformers.PreTrainedModel):
            base = unwrapped
        else:
            base, state = unwrapped.get_base_model(), _merged(unwrapped, state)
        state = {name: value.to(self._dtype) if value.is_floating_point() else value for name, value in state.items()}
        with self._written(target) as part:
            if self.args.should_save:
                base.save_pretrained(part, state_dict=state)
                for pattern in _BESIDE_WEIGHTS:
                    for file in self._source.glob(pattern):
                        shutil.copyfile(file, part / file.name)

    def write_adapter(self, target: Path) -> None:
        """What LoRA has trained."""
        with self._written(target) as part:
            if self.args.should_save:
                self.accelerator.unwrap_model(self.model).save_pretrained(part)

    @contextmanager
    def _written(self, target: Path) -> Iterator[Path]:
        """A part that becomes the target, written by one process while the others wait."""
        if self.args.should_save:
            with self._folder.writing(target) as part:
                yield part
        else:
            yield target
        self.accelerator.wait_for_everyone()

    def _last_good(self) -> str:
        states = self._folder.states_by_step()
        kept = f"the state of step {max(states)} is kept" if states else "no state was written before"
        return f"{kept}. A lower rate helps most often; look at these rows, too"

    def curve(self) -> list[dict[str, float]]:
        """Loss, rate and the gradients' norm by step."""
        names = {"step": "step", "epoch": "epoch", "loss": "loss", "rate": "learning_rate", "gradient": "grad_norm"}
        return [
            {name: entry[theirs] for name, theirs in names.items() if theirs in entry}
            for entry in self.state.log_history
            if "loss" in entry
        ]

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None of TRL's own."""

    def _send_telemetry(self) -> None:
        """Nobody is told."""


class _Weighted:
    """A model whose tokens' log-probabilities are weighted. TRL sums and divides them."""

    def __init__(self, model: Any, weights: torch.Tensor):
        self._model, self._weights = model, weights

    def __call__(self, **inputs: Any) -> Any:
        outputs = self._model(**inputs)
        outputs.log_probs = outputs.log_probs * self._weights
        return outputs


class Following(TrainerCallback):  # type: ignore[misc]
    """Says when to save and when to stop, and tells how it goes."""

    def __init__(self, due: Callable[[int], bool], asked: Callable[[], bool], watch: Callable[[Progress], None]):
        self._due, self._asked, self._watch = due, asked, watch
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            return
        self.stopped = self._asked()
        if self.stopped:
            control.should_training_stop = True
        if self.stopped or self._due(state.global_step):
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs and state.is_world_process_zero:
            self._watch(
                Progress(state.global_step, state.max_steps, state.epoch or 0.0, logs["loss"], logs["learning_rate"])
            )


def configuration(recipe: Recipe, folder: Folder, given: Mapping[str, Any]) -> SFTConfig:
    """A recipe as TRL has it.

    Args:
        given: other fields of `SFTConfig` by their names.

    Raises:
        SettingsError: there is no such field, it is the recipe's, or it cannot have such a value.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    at_once = min(recipe.rows_at_once, max(1, recipe.batch // processes))
    if recipe.batch % (at_once * processes):
        raise SettingsError(f"a batch of {recipe.batch} rows does not go into {processes} processes of {at_once} rows")
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
        "use_cpu": recipe.device == "cpu",
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
            raise SettingsError(f"trainer: {name} follows from the recipe, or must be as it is")
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


def _merged(model: Any, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The base model's weights with LoRA's matrices added, the model itself left as it is: to add them and take them
    away again would change its last bits."""
    added = {
        name: module.get_delta_weight(adapter)
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
        for adapter in module.active_adapters
    }
    merged = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        layer = name.removesuffix(".base_layer.weight")
        if layer != name and layer in added:
            value = (value.float() + added[layer].float()).to(value.dtype)
        merged[name.removeprefix("base_model.model.").replace(".base_layer.", ".")] = value
    return merged
