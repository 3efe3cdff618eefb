"""TRL's trainer and what it lacks: weights of tokens, states whole or not there, an end where the loss is no number."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from antiphon.engine.device import FULL, full
from antiphon.errors import AntiphonError
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
        beside its weights is the student's own. It is put together in the machine's memory, weight by weight: a device
        that trains has no room for another one."""
        state = self.accelerator.get_state_dict(self.model)
        unwrapped = self.accelerator.unwrap_model(self.model)
        if isinstance(unwrapped, transformers.PreTrainedModel):
            base, weights = unwrapped, iter(state.items())
        else:
            base, weights = unwrapped.get_base_model(), _merged(unwrapped, state)
        with self._written(target) as part:
            if self.args.should_save:
                own = {
                    name: (value.to(self._dtype) if value.is_floating_point() else value).cpu()
                    for name, value in weights
                    if name not in base.all_tied_weights_keys  # in another type they would not be seen to be the same
                }
                base.save_pretrained(part, state_dict=own)
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
        return f"{_kept(self._folder)}. A lower rate helps most often; look at these rows, too"

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


@contextmanager
def within_memory(folder: Folder, recipe: Recipe) -> Iterator[None]:
    """Says what to change where a device has less room than was worked out.

    Raises:
        AntiphonError: its memory is full.
    """
    try:
        yield
    except FULL as error:
        helps = "--micro-batch 1, --lora or a smaller --max-length take less, with another --to"
        if not recipe.gradient_checkpointing:
            helps = f"the same command with --checkpointing takes less and goes on; {helps}"
        raise AntiphonError(
            f"{full(error)}; {_kept(folder)}. See by nvidia-smi what else is in this memory; {helps}"
        ) from None


def _kept(folder: Folder) -> str:
    states = folder.states_by_step()
    return f"the state of step {max(states)} is kept" if states else "no state was written before"


def _merged(model: Any, state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """The base model's weights by name with LoRA's matrices added, one after the other; the model itself is left as it
    is: to add them and take them away again would change its last bits."""
    layers = {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        layer = layers.get(name.removesuffix(".base_layer.weight"))
        if layer is not None:
            for adapter in layer.active_adapters:
                value = (value.float() + layer.get_delta_weight(adapter).float()).to(value.dtype)
        yield name.removeprefix("base_model.model.").replace(".base_layer.", "."), value
