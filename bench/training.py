"""What a training takes of a GPU: its memory beside what was worked out before, and the time of a step.

python -m bench.training make --shape qwen3-8b --tokenizer DIR --to MODEL     a model of random weights
python -m bench.training measure --model MODEL --preset gpu24 --length 6000   one training of a few steps

Neither memory nor time depends on what the weights are. Each measurement is a process of its own; the first step, in
which kernels are chosen, is not in the time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import transformers

from antiphon.engine.device import usable_device
from antiphon.engine.model_files import ModelFiles
from antiphon.train.memory import GIB
from antiphon.train.plan import Plan
from antiphon.train.recipe import PRESETS, recipe
from antiphon.train.sft import train
from antiphon.train.tell import Progress

# hidden size, of the MLP, layers, heads, of keys, one matrix for input and output: as their config.json have them
_SHAPES = {
    "qwen3-0.6b": (1024, 3072, 28, 16, 8, True),
    "qwen3-1.7b": (2048, 6144, 28, 16, 8, True),
    "qwen3-4b": (2560, 9728, 36, 32, 8, True),
    "qwen3-8b": (4096, 12288, 36, 32, 8, False),
}
_NO_BOUND = 1 << 50


def make(shape: str, tokenizer: Path, to: Path) -> None:
    """A folder with random weights in bfloat16."""
    hidden, inner, layers, heads, keys, tied = _SHAPES[shape]
    config = transformers.Qwen3Config(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        head_dim=128,
        vocab_size=151936,
        max_position_embeddings=40960,
        tie_word_embeddings=tied,
        eos_token_id=151645,
        dtype="bfloat16",
    )
    with usable_device("auto"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(to)
    for file in tokenizer.iterdir():
        shutil.copyfile(file, to / file.name)


def measure(model: str, preset: str, length: int, rows: int, steps: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Trains so many steps of so many rows of that length, and tells memory in GiB and seconds a step."""
    chosen = recipe(preset, {"steps": steps, "batch": rows, "save_every": steps + 1, **changes})
    begun: list[Plan] = []
    ends: list[float] = []
    taken: list[float] = []

    def step_ended(_: Progress) -> None:
        ends.append(time.perf_counter())
        taken.append(_most_taken())

    vocabulary = ModelFiles.read(model).vocabulary
    ids = (list(vocabulary.encode("Okay, so the bees go home before dark. ")) * length)[:length]
    with tempfile.TemporaryDirectory() as work:
        data = Path(work) / "rows.jsonl"
        row = {"input_ids": ids, "labels": ids, "attention_mask": [1] * length}
        data.write_text("".join(json.dumps({"id": f"r{n}", **row}) + "\n" for n in range(rows)))
        train(
            data,
            model,
            Path(work) / "trained",
            chosen,
            save_at=[steps],
            room=_NO_BOUND,
            on_plan=begun.append,
            watch=step_ended,
        )
    memory = begun[0].memory
    step = statistics.median(after - before for before, after in pairwise(ends))
    states = memory.weights + memory.gradients + memory.optimizer
    return {
        "model": Path(model).name,
        "preset": preset,
        **changes,
        "length": length,
        "worked out": round(memory.total / GIB, 2),
        "of it activations and other": round((memory.total - states) / GIB, 2),
        "taken by steps": taken[-1],
        "and to write it": _most_taken(),
        "reserved": round(torch.cuda.max_memory_reserved() / GIB, 2),
        "seconds a step": round(step, 3),
        "tokens a second": round(rows * length / step),
    }


def _most_taken() -> float:
    return round(torch.cuda.max_memory_allocated() / GIB, 2)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("--shape", choices=_SHAPES, required=True)
    making.add_argument("--tokenizer", type=Path, required=True)
    making.add_argument("--to", type=Path, required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--model", required=True)
    measuring.add_argument("--preset", choices=PRESETS, required=True)
    measuring.add_argument("--length", type=int, default=4096)
    measuring.add_argument("--rows", type=int, default=4)
    measuring.add_argument("--steps", type=int, default=4)
    measuring.add_argument("--set", type=json.loads, default={}, help="other values of the recipe, as JSON")
    given = parser.parse_args()
    if given.command == "make":
        make(given.shape, given.tokenizer, given.to)
    else:
        print(json.dumps(measure(given.model, given.preset, given.length, given.rows, given.steps, given.set)))


if __name__ == "__main__":
    main()
