"""A large predictor that labels what nobody marked: a language model of some 100 million parameters, let to look ahead.

It first reads the unmarked thinking with a quarter of the tokens hidden, by which a model that was made to look back
only learns to use what stands behind, then learns from the marks. It cannot be used in a run, which asks for a verdict
before the text has ended; the small predictor learns from its labels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.words import words
from antiphon.engine.device import usable_device

STEP = 1 / 8
"""What one step of a label, a whole number, stands for: of the logit of style."""
_HIDDEN, _READING_RATE, _READING_BATCH, _LONGEST = 0.25, 1e-4, 32, 600  # a share; tokens
_MOST = 1200  # tokens
_EPOCHS, _RATE, _HEAD_RATE, _BATCH = 3, 1.2e-4, 5e-4, 24
_WARM_UP, _LOWEST, _DROPOUT, _WIDTH = 0.1, 0.02, 0.1, 256
_TOLD = 100  # steps

T = TypeVar("T")
Told = Callable[[str], None]
Labels = NDArray[np.int8]


class Encoded(NamedTuple):
    """A text: its tokens, and the first and last token of each word."""

    ids: list[int]
    first: list[int]
    last: list[int]


class Labeller(nn.Module):
    """A causal model that sees the whole text, with a head that reads each word.

    Args:
        base: a causal model's folder in the form of Hugging Face, with a fast tokenizer.
    """

    def __init__(self, base: Path):
        super().__init__()
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        self.model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
        self.head = nn.Sequential(
            nn.Dropout(_DROPOUT),
            nn.Linear(2 * self.model.config.hidden_size, _WIDTH),
            nn.GELU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, 1),
        )

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @property
    def hidden_id(self) -> int:
        """The token that stands for a hidden one."""
        id: int = self._tokenizer.eos_token_id
        return id

    def encode(self, text: str) -> Encoded:
        edge = self._tokenizer.bos_token_id
        taken = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = taken["offset_mapping"]
        first, last, token = [], [], 0
        for start, end in words(text):
            while places[token][1] <= start:
                token += 1
            first.append(token + 1)
            until = token
            while until + 1 < len(places) and places[until + 1][0] < end:
                until += 1
            last.append(until + 1)
        return Encoded([edge, *taken["input_ids"], edge], first, last)

    def seen(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden states of tokens (texts, tokens) that all see each other."""
        texts, longest = ids.shape
        inside = torch.arange(longest, device=self.device)[None] < lengths[:, None]
        mask = inside[:, None, None, :].expand(texts, 1, longest, longest)
        states: Tensor = self.model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        return states

    def forward(self, texts: Sequence[Encoded]) -> Tensor:
        """The logits of style, (texts, words)."""
        ids, first, last = (_padded([text[field] for text in texts], self.device) for field in range(3))
        lengths = torch.tensor([len(text.ids) for text in texts], device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            states = self.seen(ids, lengths)
            row = torch.arange(len(texts), device=self.device)[:, None]
            logits: Tensor = self.head(torch.cat([states[row, first], states[row, last]], -1))[..., 0]
        return logits.float()


def fit(base: Path, unmarked: Sequence[str], marked: Sequence[MarkedText], seed: int, told: Told) -> Labeller:
    """A labeller that has read unmarked texts and learnt from marked ones, on the first GPU where there is one."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    labeller = Labeller(base).to(usable_device("auto"))
    _read(labeller, [labeller.encode(text) for text in unmarked], chance, told)
    labeller.model.get_input_embeddings().requires_grad_(False)
    _learn(labeller, marked, chance, told)
    return labeller.eval()


@torch.no_grad()
def labels(labeller: Labeller, texts: Sequence[str]) -> list[Labels]:
    """The logits of style of the texts' words, in whole `STEP`s; none of a text that is too long to be seen whole."""
    encoded = [(number, text) for number, text in enumerate(map(labeller.encode, texts)) if len(text.ids) <= _MOST]
    encoded.sort(key=lambda item: -len(item[1].ids))
    found = {number: np.empty(0, np.int8) for number in range(len(texts))}
    for begin in range(0, len(encoded), 2 * _READING_BATCH):
        batch = encoded[begin : begin + 2 * _READING_BATCH]
        rows = labeller([text for _, text in batch]).cpu().numpy()
        for (number, text), row in zip(batch, rows, strict=True):
            found[number] = np.clip(np.rint(row[: len(text.first)] / STEP), -127, 127).astype(np.int8)
    return [found[number] for number in range(len(texts))]


def _read(labeller: Labeller, texts: Sequence[Encoded], chance: random.Random, told: Told) -> None:
    """Learns to tell hidden tokens, each from the state before it, as the model was made to."""
    texts = [text for text in texts if len(text.ids) <= _LONGEST]
    model = labeller.model
    step = _steps([{"params": list(model.parameters()), "rate": _READING_RATE}], len(texts), _READING_BATCH)
    labeller.train()
    for number, batch in enumerate(_batches(texts, _READING_BATCH, chance, key=lambda text: len(text.ids)), 1):
        ids = _padded([text.ids for text in batch], labeller.device)
        lengths = torch.tensor([len(text.ids) for text in batch], device=labeller.device)
        inside = torch.arange(ids.shape[1], device=labeller.device)[None] < lengths[:, None]
        hidden = (torch.rand(ids.shape, device=labeller.device) < _HIDDEN) & inside
        hidden[:, 0] = False
        with torch.autocast(labeller.device.type, torch.bfloat16):
            states = labeller.seen(ids.masked_fill(hidden, labeller.hidden_id), lengths)
            loss = functional.cross_entropy(
                model.lm_head(states[:, :-1][hidden[:, 1:]]).float(), ids[:, 1:][hidden[:, 1:]]
            )
        step(loss)
        if number % _TOLD == 0:
            told(f"labeller: read {number * _READING_BATCH} of {len(texts)} texts, loss {loss.item():.3f}")


def _learn(labeller: Labeller, marked: Sequence[MarkedText], chance: random.Random, told: Told) -> None:
    texts = [(labeller.encode(item.text), item.classes) for item in marked]
    body = [parameter for parameter in labeller.model.parameters() if parameter.requires_grad]
    groups = [{"params": body, "rate": _RATE}, {"params": list(labeller.head.parameters()), "rate": _HEAD_RATE}]
    step = _steps(groups, len(texts), _BATCH, _EPOCHS)
    labeller.train()
    for epoch in range(_EPOCHS):
        for batch in _batches(texts, _BATCH, chance, key=lambda text: len(text[0].ids)):
            style = _padded([classes for _, classes in batch], labeller.device).float()
            inside = _padded([[1] * len(classes) for _, classes in batch], labeller.device)
            logits = labeller([text for text, _ in batch])
            each = functional.binary_cross_entropy_with_logits(logits, style, reduction="none")
            loss = (each * inside).sum() / inside.sum()
            step(loss)
        told(f"labeller: epoch {epoch + 1} of {_EPOCHS}, loss {loss.item():.4f}")


def _steps(groups: list[dict[str, Any]], texts: int, size: int, epochs: int = 1) -> Callable[[Tensor], None]:
    """What learns from a loss: AdamW, its rate rising and then falling over all the steps to come."""
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps, done = math.ceil(texts / size) * epochs, 0
    parameters = [parameter for group in groups for parameter in group["params"]]

    def step(loss: Tensor) -> None:
        nonlocal done
        share = min(1.0, (done + 1) / (_WARM_UP * steps)) * max(_LOWEST, 1 - done / steps)
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * share
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        done += 1

    return step


def _batches(texts: Sequence[T], size: int, chance: random.Random, key: Callable[[T], int]) -> Iterator[list[T]]:
    """Batches of texts of about the same length, in random order."""
    order = chance.sample(texts, len(texts))
    for begin in range(0, len(order), 16 * size):
        some = sorted(order[begin : begin + 16 * size], key=key)
        batches = [some[first : first + size] for first in range(0, len(some), size)]
        yield from chance.sample(batches, len(batches))


def _padded(rows: Sequence[Sequence[int | bool]], device: torch.device) -> Tensor:
    longest = max(map(len, rows))
    padded = np.zeros((len(rows), longest), np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(padded).to(device)
