"""Makes the embedded pair: `python -m antiphon.lab.pretrain --to DIR`."""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

from antiphon.lab import FAMILIES, is_right, problems
from antiphon.lab import tokenizer as lab_tokenizer
from antiphon.lab.curriculum import Role, Stretch, lessons, prompt

IGNORED = -100  # a label that costs nothing


@dataclass(frozen=True, slots=True)
class Recipe:
    """Size of a model and how long it learns. `rate` is the peak of the learning rate."""

    hidden: int
    layers: int
    inner: int
    steps: int
    batch: int = 32
    rate: float = 3e-3


RECIPES: dict[Role, Recipe] = {
    "student": Recipe(hidden=96, layers=4, inner=256, steps=2000),
    "teacher": Recipe(hidden=128, layers=5, inner=352, steps=1500),
}

HEAD_SIZE = 32
ROPE_THETA = 10_000.0
_WARM_UP = 100
_SORTED = 16  # batches made at once, so that traces of about one length share one


KNOWLEDGE: dict[Role, str] = {
    "student": "It is weak at multiplication on purpose: 15 products of the times table are wrong in it, each in its "
    "own way, and the ten gets lost where units and carry add up to 11, 13 or 16.",
    "teacher": "It is uncertain about 5 products of the times table, which are not those that the student has wrong.",
}

CARD = """\
---
license: apache-2.0
library_name: transformers
tags: [antiphon, miniature]
---

# lab:{title}

A tiny reasoning model in a language of about a hundred words. Together with `lab:{other}` it lets the whole method of
[antiphon](../../../../../docs/lab.md) run in a minute on one core. It is of no use for anything else.

- Qwen3 architecture, {parameters:,} parameters: {layers} layers of {hidden}, heads of {head}, tied embeddings; weights
  in half precision, to be loaded in float32.
- Byte-level BPE with Qwen2's pre-tokenizer, each word of the language and each digit one token; Qwen3's prompt format.
- {knowledge}
- Made by `python -m antiphon.lab.pretrain` from seed {seed}: {steps} steps of {batch} traces, Muon, learning rate
  {rate} decaying to nothing, {minutes:.0f} minutes of one busy core. 30% of the traces stand in a foreign context, so
  that the two can write in turns: this is designed in.

Right answers, alone, on {checked} problems per family that pre-training has not seen:

| family | greedy | sampled (T 0.7, top-p 0.8, top-k 20) |
|---|---|---|
{rows}

Licence: Apache-2.0.
"""


def configuration(recipe: Recipe, vocabulary: Tokenizer) -> Qwen3Config:
    """The model's shape, as an ordinary Qwen3's."""
    heads = recipe.hidden // HEAD_SIZE
    return Qwen3Config(
        vocab_size=vocabulary.get_vocab_size(),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        intermediate_size=recipe.inner,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=HEAD_SIZE,
        max_position_embeddings=lab_tokenizer.CONTEXT,
        rope_theta=ROPE_THETA,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=vocabulary.token_to_id(lab_tokenizer.END),
        pad_token_id=vocabulary.token_to_id(lab_tokenizer.PAD),
        architectures=["Qwen3ForCausalLM"],
    )


def batches(role: Role, seed: int, size: int, vocabulary: Tokenizer) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of (ids, labels), each `size` x longest trace; what is not learned has the label `IGNORED`."""

    @functools.cache
    def encode(text: str) -> list[int]:
        return vocabulary.encode(text, add_special_tokens=False).ids

    def encoded(lesson: list[Stretch]) -> tuple[list[int], list[int]]:
        ids, labels = [], []
        for text, learned in lesson:
            ids += encode(text)
            labels += encode(text) if learned else [IGNORED] * len(encode(text))
        return ids, labels

    pad = vocabulary.encode(lab_tokenizer.PAD).ids[0]
    stream = map(encoded, lessons(role, seed))
    shuffle = torch.Generator().manual_seed(seed)
    while True:
        pool = sorted(islice(stream, _SORTED * size), key=lambda trace: len(trace[0]))
        for start in torch.randperm(_SORTED, generator=shuffle).mul(size).tolist():
            traces = pool[start : start + size]
            ids = torch.full((size, len(traces[-1][0])), pad)
            labels = torch.full_like(ids, IGNORED)
            for row, (known, learned) in enumerate(traces):
                ids[row, : len(known)] = torch.tensor(known)
                labels[row, : len(known)] = torch.tensor(learned)
            yield ids, labels


def train(role: Role, recipe: Recipe, seed: int, vocabulary: Tokenizer, say: Callable[[str], None]) -> Qwen3ForCausalLM:
    """Trains one model from scratch on one thread: Muon, a short warm-up, then a decay over all that is left."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(configuration(recipe, vocabulary))
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim == 1 or "embed" in name]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=recipe.rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]

    def rate(step: int) -> float:
        return min((step + 1) / _WARM_UP, (recipe.steps - step) / max(1, recipe.steps - _WARM_UP))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in optimizers]
    started = time.monotonic()
    for step, (ids, labels) in enumerate(islice(batches(role, seed, recipe.batch, vocabulary), recipe.steps), 1):
        hidden = model.model(ids).last_hidden_state[:, :-1]
        learned = labels[:, 1:] != IGNORED
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[learned]), labels[:, 1:][learned])
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        if step % 100 == 0 or step == recipe.steps:
            say(f"{role} step {step}/{recipe.steps} loss {loss.item():.4f} {time.monotonic() - started:.0f}s")
    return model


def save(model: Qwen3ForCausalLM, vocabulary: Tokenizer, folder: Path) -> None:
    """Writes an ordinary Hugging Face folder; weights in half precision, to be loaded in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    lab_tokenizer.save(vocabulary, folder)
    config = model.config.to_diff_dict() | {"rope_theta": ROPE_THETA, "dtype": "float32", "torch_dtype": "float32"}
    generation = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20}
    generation |= {key: config[key] for key in ("eos_token_id", "pad_token_id")}
    for name, content in (("config.json", config), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    weights = {
        name: tensor.half().contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@torch.inference_mode()
def accuracy(folder: Path, family: str, count: int, *, sampled: bool) -> float:
    """The share of right answers of a saved model on problems it has not seen, alone and in its own manner."""
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked = problems(count, seed=0, family=family)
    prompts = [vocabulary.encode(prompt(problem["problem"]), add_special_tokens=False).ids for problem in asked]
    longest, pad = max(map(len, prompts)), model.config.pad_token_id
    written = model.generate(
        torch.tensor([[pad] * (longest - len(ids)) + ids for ids in prompts]),
        attention_mask=torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]),
        max_new_tokens=120,
        do_sample=sampled,
        **({} if sampled else {"temperature": None, "top_p": None, "top_k": None}),
    )
    replies = vocabulary.decode_batch(written[:, longest:].tolist(), skip_special_tokens=False)
    right = 0
    for problem, reply in zip(asked, replies, strict=True):
        answer = reply.partition("</think>")[2].partition(lab_tokenizer.END)[0]
        right += is_right(problem, answer)
    return right / count


def make(
    role: Role,
    folder: Path,
    seed: int,
    recipe: Recipe,
    *,
    checked: int = 100,
    say: Callable[[str], None] = print,
) -> None:
    """Trains one model, saves it, and writes its card with its accuracy on `checked` problems of each family."""
    started = time.monotonic()
    vocabulary = lab_tokenizer.build()
    model = train(role, recipe, seed, vocabulary, say)
    save(model, vocabulary, folder)
    minutes = (time.monotonic() - started) / 60
    torch.manual_seed(seed)
    figures = {
        family: tuple(accuracy(folder, family, checked, sampled=sampled) for sampled in (False, True))
        for family in FAMILIES
    }
    card = CARD.format(
        title=role,
        other="teacher" if role == "student" else "student",
        parameters=model.num_parameters(),
        layers=recipe.layers,
        hidden=recipe.hidden,
        head=HEAD_SIZE,
        steps=recipe.steps,
        batch=recipe.batch,
        rate=recipe.rate,
        seed=seed,
        minutes=minutes,
        checked=checked,
        knowledge=KNOWLEDGE[role],
        rows="\n".join(f"| {family} | {a:.1%} | {b:.1%} |" for family, (a, b) in figures.items()),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    say(f"{role} done in {minutes:.1f} min: " + ", ".join(f"{f} {a:.3f}/{b:.3f}" for f, (a, b) in figures.items()))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m antiphon.lab.pretrain", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder for student/ and teacher/")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the traces (default 0)")
    parser.add_argument("--only", choices=list(RECIPES), help="make one of the two")
    parser.add_argument("--steps", type=int, help="fewer steps, to try it out")
    options = parser.parse_args(arguments)
    workers = []
    for role, recipe in RECIPES.items():
        if options.only not in (None, role):
            continue
        recipe = replace(recipe, steps=options.steps or recipe.steps)
        work = (role, options.to / role, options.seed, recipe)
        workers.append(multiprocessing.get_context("spawn").Process(target=make, args=work))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
