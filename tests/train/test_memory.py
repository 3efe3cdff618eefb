"""What a training takes: an 8B model by published rules of thumb, small models by what autograd keeps."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from antiphon.errors import ModelError
from antiphon.train.memory import GIB, Memory, estimate, shortfall
from antiphon.train.recipe import PRESETS, Recipe, recipe
from antiphon.train.sft import train
from tests.train.data import rows, write

QWEN3_8B = {  # its config.json, of which these fields are needed
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
}
PARAMETERS = 8_190_735_360  # "8.2B" by its model card


@pytest.fixture(scope="module")
def qwen3_8b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen3-8b")
    (folder / "config.json").write_text(json.dumps(QWEN3_8B))
    return folder


def _states(memory: Memory) -> int:
    return memory.weights + memory.gradients + memory.optimizer


@pytest.mark.parametrize(("precision", "bytes_each"), [("mixed", 18), ("float32", 16), ("bfloat16", 8)])
def test_full_training_of_8b_takes_so_many_bytes_a_parameter(qwen3_8b: Path, precision: str, bytes_each: int) -> None:
    """Mixed precision: 6 for weights in both types, 4 for gradients, 8 for AdamW's two moments."""
    memory = estimate(qwen3_8b, recipe("paper", {"precision": precision}), 2048)
    assert memory.parameters == memory.trained == PARAMETERS
    assert _states(memory) == bytes_each * PARAMETERS


def test_lora_of_8b_takes_its_frozen_weights_in_bfloat16_and_16_bytes_for_each_that_is_trained(qwen3_8b: Path) -> None:
    memory = estimate(qwen3_8b, recipe("gpu24", {"lora": {"rank": 16}}), 2048)
    in_and_out = 4096 + 4096, 4096 + 1024, 4096 + 1024, 4096 + 4096, *(3 * (4096 + 12288,))
    assert memory.trained == 16 * sum(in_and_out) * 36
    assert memory.parameters == PARAMETERS + memory.trained
    assert _states(memory) == 2 * PARAMETERS + (4 + 2 + 4 + 8) * memory.trained


def test_the_presets_fit_where_they_say(qwen3_8b: Path) -> None:
    one = estimate(qwen3_8b, PRESETS["gpu24"], 4096)
    assert not shortfall(one, PRESETS["gpu24"], 24 * 10**9, device="cuda")
    alone = shortfall(estimate(qwen3_8b, PRESETS["paper"], 4096), PRESETS["paper"], 80 * 10**9, device="cuda")
    assert "What helps: --lora 16, --precision bfloat16, more devices" in alone
    eight = estimate(qwen3_8b, PRESETS["paper"], 16384, devices=8, shared=True)
    assert not shortfall(eight, PRESETS["paper"], 80 * 10**9, device="cuda")


def test_checkpointing_keeps_one_layer_and_what_goes_into_each(qwen3_8b: Path) -> None:
    whole, some = (
        estimate(qwen3_8b, recipe("paper", {"gradient_checkpointing": on}), 4096).activations for on in (False, True)
    )
    assert some == whole // 36 + 36 * 4096 * 4096 * 4
    long = recipe("gpu24", {"gradient_checkpointing": False})
    assert "--checkpointing" in shortfall(estimate(qwen3_8b, long, 16384), long, 24 * 10**9, device="cuda")


SHAPES = {
    "wide": {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 8, "num_key_value_heads": 2},
    "narrow": {"hidden_size": 128, "intermediate_size": 352, "num_attention_heads": 4, "num_key_value_heads": 4},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_activations_are_what_autograd_keeps(tmp_path: Path, shape: str, precision: str) -> None:
    config = {**QWEN3_8B, "num_hidden_layers": 3, "head_dim": 32, "vocab_size": 500, **SHAPES[shape]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours = estimate(tmp_path, recipe("lab", {"batch": 2, "precision": precision}), 96)
    assert ours.activations == pytest.approx(_kept(tmp_path, mixed=precision == "mixed"), rel=0.1)


def _kept(folder: Path, *, mixed: bool) -> int:
    """Bytes that one forward pass saves, without the weights and autocast's copies of them."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder)).train()
    shapes = {tuple(weight.shape) for weight in model.parameters() if weight.dim() == 2}
    shapes |= {shape[::-1] for shape in shapes}
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}
    held: list[Any] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own and not (mixed and tuple(tensor.shape) in shapes):
            sizes[place] = tensor.untyped_storage().nbytes()
        held.append(tensor)  # or its place would be given to another
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        model.model(torch.zeros(2, 96, dtype=torch.long))
    return sum(sizes.values())


def test_loras_matrices_are_added_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, as large as the model in float32, would not go into a device that has trained."""
    from peft.tuners.lora.layer import Linear

    alive: list[int] = []
    products: list[weakref.ref[torch.Tensor]] = []
    product = Linear.get_delta_weight

    def counted(self: Any, adapter: str) -> torch.Tensor:
        alive.append(sum(made() is not None for made in products))
        made: torch.Tensor = product(self, adapter)
        products.append(weakref.ref(made))
        return made

    monkeypatch.setattr(Linear, "get_delta_weight", counted)
    data = write(tmp_path / "data.jsonl", rows(2))
    train(data, "lab:student", tmp_path / "to", recipe("lab", {"steps": 1, "batch": 2, "lora": {"rank": 2}}))
    assert len(alive) > 7
    assert not any(alive)


def test_a_model_that_cannot_be_built(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(ModelError, match="transformers cannot build it"):
        estimate(tmp_path, _small(), 10)


def _small() -> Recipe:
    return recipe("lab", {})


def test_a_gpus_own_gigabyte_counts() -> None:
    memory = Memory(1, 1, GIB, 0, 0, 0, 0)
    assert not shortfall(memory, _small(), round(1.1 * GIB), device="cpu")
    assert shortfall(memory, _small(), round(1.1 * GIB), device="cuda").startswith("it takes 2.0 GiB, cuda has 1.1")
