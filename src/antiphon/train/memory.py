"""What a training takes of a device's memory, found before a weight is loaded.

Weights are counted on torch's meta device, where tensors have shapes and no content; activations from the shapes of the
layers, as PyTorch's autograd keeps them for the backward pass when attention is computed in blocks (no matrix of all
pairs of tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.errors import ModelError
from antiphon.train.recipe import Recipe

GIB = 1 << 30
_SPARE = 1.05  # what an allocator's pieces leave unused
_GPU_OWN = GIB  # a GPU's context and the libraries' working space
_TILE = (4096, 32768)  # tokens and vocabulary of the logits that TRL holds at once


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each device. `parameters` and `trained` are counts of the whole model."""

    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    other: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.other


def estimate(model: Path, recipe: Recipe, length: int, *, devices: int = 1, shared: bool = False) -> Memory:
    """The memory of a training.

    Args:
        model: a folder; its `config.json` is enough.
        length: tokens of the longest row.
        devices: how many there are.
        shared: whether they share out weights, gradients and the optimizer's state (FSDP, DeepSpeed ZeRO 3).

    Raises:
        ModelError: transformers does not know such a model.
    """
    parameters, trained, config = _count(model, recipe)
    frozen = parameters - trained
    computed = 4 if recipe.precision == "float32" else 2  # bytes of a number that a layer gives
    own = 2 if recipe.precision == "bfloat16" else 4  # of a weight that is trained
    stream = computed if recipe.lora is not None else own  # of what goes from layer to layer
    parts = devices if shared else 1
    rows = min(recipe.rows_at_once, max(1, recipe.batch // devices))
    tokens = rows * length
    copies = trained * 2 if recipe.precision == "mixed" else 0  # which autocast keeps until the backward pass is done
    vocabulary, hidden = config.vocab_size, config.hidden_size
    tile = min(tokens, _TILE[0]) * min(vocabulary, _TILE[1])
    head = 4 * vocabulary * hidden if recipe.lora is None else 0  # its gradient is summed up in float32
    return Memory(
        parameters,
        trained,
        weights=(frozen * computed + trained * own + copies) // parts,
        gradients=trained * own // parts,
        optimizer=2 * trained * own // parts,
        activations=_activations(config, recipe, tokens, computed, stream),
        other=tile * (computed + 4) + 2 * 4 * tokens * hidden + head,
    )


def shortfall(memory: Memory, recipe: Recipe, room: int, *, device: str) -> str:
    """Why a training does not go into a device, and what to change; "" where it does.

    Args:
        room: bytes that a device has.
    """
    needed = round(memory.total * _SPARE) + (_GPU_OWN if device != "cpu" else 0)
    if needed <= room:
        return ""
    crowded = memory.activations > needed // 10
    ways = {
        "--checkpointing": crowded and not recipe.gradient_checkpointing,
        "--micro-batch 1": crowded and recipe.rows_at_once > 1,
        "--max-length": crowded,
        "--lora 16": recipe.lora is None,
        "--precision bfloat16": recipe.precision != "bfloat16",
        "more devices, with FSDP or DeepSpeed (docs/train.md)": True,
    }
    return (
        f"it takes {needed / GIB:,.1f} GiB, {device} has {room / GIB:,.1f}: weights {memory.weights / GIB:,.1f},"
        f" gradients {memory.gradients / GIB:,.1f}, optimizer {memory.optimizer / GIB:,.1f}, activations"
        f" {memory.activations / GIB:,.1f}. What helps: {', '.join(way for way, helps in ways.items() if helps)}"
    )


def room_here(recipe: Recipe) -> tuple[str, int]:
    """The device that a training would use, and its free bytes: the least of the GPUs', or the machine's."""
    import torch

    if recipe.device != "cpu" and torch.cuda.is_available():
        free = [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]
        return "cuda", min(free)
    import psutil

    return "cpu", int(psutil.virtual_memory().available)


def _count(folder: Path, recipe: Recipe) -> tuple[int, int, Any]:
    """Parameters, those that are trained, and the configuration of the part that reads text."""
    import torch
    import transformers

    from antiphon.train.libraries import lora_configuration, quiet

    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        with quiet(), torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config)
    except Exception as error:  # of many kinds; the first line says what is wrong
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{folder}: transformers cannot build it: {reason[0]}") from None
    if recipe.lora is not None:
        from peft import get_peft_model

        with quiet(), torch.device("meta"):
            model = get_peft_model(model, lora_configuration(recipe))
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, learned in sizes if learned), config.get_text_config()


def _activations(config: Any, recipe: Recipe, tokens: int, width: int, stream: int) -> int:
    """What a step keeps for its backward pass.

    A layer of today's decoders keeps, of each token: for both norms their input and the normed one in float32, and what
    they give; the same of queries and keys, and these when they are rotated; gate, up, the activated gate and the
    product. Whether its own weights are frozen changes little, since LoRA's matrices need the same inputs.
    """
    said: Mapping[str, Any] = config.to_dict()
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    hidden, layers, heads = (int(said[name]) for name in names)
    size = said.get("head_dim") or hidden // heads
    queries, keys = heads * size, (said.get("num_key_value_heads") or heads) * size
    inner = said.get("intermediate_size") or 4 * hidden
    if experts := said.get("num_experts_per_tok"):
        inner = experts * (said.get("moe_intermediate_size") or inner)
    layer: int = tokens * (2 * (8 + width) * hidden + (8 + 2 * stream) * (queries + keys) + 4 * width * inner)
    if recipe.gradient_checkpointing:
        return tokens * hidden * stream * layers + layer
    return layer * layers
