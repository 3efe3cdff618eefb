"""Tiny token classifiers with random weights, as folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers

from antiphon.boundary.classifier import quiet
from antiphon.lab import tokenizer as lab_tokenizer

SHAPES: dict[str, dict[str, Any]] = {
    "Qwen3": {"hidden_size": 16, "intermediate_size": 24, "head_dim": 8},
    "Llama": {"hidden_size": 16, "intermediate_size": 24},
    "Gemma2": {"hidden_size": 16, "intermediate_size": 24, "head_dim": 8, "sliding_window": 24},
}
LABELS = {0: "LABEL_0", 1: "LABEL_1"}


def make(
    folder: Path,
    *,
    shape: str = "Qwen3",
    says: dict[str, Any] | None = None,
    labels: dict[int, str] = LABELS,
    tokenizer: Path | None = None,
    head: bool = True,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Writes a classifier.

    Args:
        says: what its config.json has under `antiphon`.
        tokenizer: a folder with a real one; None: the lab's.
        head: False makes a model that writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is None:
        vocabulary = lab_tokenizer.build()
        lab_tokenizer.save(vocabulary, folder)
        size = vocabulary.get_vocab_size()
    else:
        for file in tokenizer.glob("*tokenizer*"):
            shutil.copy(file, folder)
        written = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        tokens = [*written["model"]["vocab"].values(), *(token["id"] for token in written["added_tokens"])]
        size = max(tokens) + 1
    settings = {
        "vocab_size": size,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **SHAPES.get(shape, {}),
        **config,
    }
    if head:
        settings |= {"id2label": labels, "label2id": {label: number for number, label in labels.items()}}
    kind = f"{shape}For{'TokenClassification' if head else 'CausalLM'}"
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(getattr(transformers, f"{shape}Config")(**settings))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:  # else all its verdicts are alike
                weights.mul_(8)
    with quiet():
        model.save_pretrained(folder)
    if says is not None:
        rewrite(folder, antiphon=says)
    return folder


def rewrite(folder: Path, **changes: Any) -> Path:
    """Changes what a folder's config.json says; None takes a key out."""
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}), "utf-8")
    return folder
