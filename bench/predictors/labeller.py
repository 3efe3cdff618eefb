"""A large predictor that labels what nobody marked: a bidirectional encoder that sees the whole slice.

It cannot be used in a run, which asks for a verdict before the text has ended; the small one learns from its labels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.words import words

EPOCHS, RATE, HEAD_RATE, BATCH, WARM_UP, LOWEST = 2, 2e-4, 1e-3, 16, 0.1, 0.02
_LONGEST_WORD, _LONGEST = 12, 500  # tokens
_SHAPES, _BREAKS, _FEATURE = 5, 3, 32


class Encoded(NamedTuple):
    """A text: its tokens, the first and last of each word, what the encoder does not see of it (case, line breaks)."""

    ids: list[int]
    first: list[int]
    last: list[int]
    shapes: list[int]


Marks = tuple[Encoded, list[bool], float]


class Labeller(nn.Module):
    """An encoder with a head that reads each word.

    Args:
        folder: of the encoder, a BERT-like one of Hugging Face whose first unused tokens can stand for line breaks.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self.encoder.embeddings.word_embeddings.requires_grad_(False)
        width = self.encoder.config.hidden_size
        self.shape = nn.Embedding(_SHAPES * _BREAKS, _FEATURE)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Sequential(nn.Linear(2 * width + _FEATURE, 256), nn.GELU(), nn.Dropout(0.1), nn.Linear(256, 1))
        self._ids_of = lru_cache(200_000)(self._encode)

    def encode(self, text: str) -> Encoded:
        begin, end = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        encoded = Encoded([begin], [], [], [])
        before = 0
        for start, stop in words(text):
            breaks = min(2, text.count("\n", before, start))
            word, before = text[start:stop], stop
            if breaks:
                encoded.ids.append(breaks)
            encoded.first.append(len(encoded.ids))
            encoded.ids.extend(self._ids_of(word))
            encoded.last.append(len(encoded.ids) - 1)
            encoded.shapes.append(breaks * _SHAPES + _shape(word))
        encoded.ids.append(end)
        return encoded

    def forward(self, texts: Sequence[Encoded]) -> Tensor:
        """The logits of style, (texts, words)."""
        ids, first, last, shapes = (_padded([text[field] for text in texts]) for field in range(4))
        mask = _padded([[1] * len(text.ids) for text in texts])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            row = torch.arange(len(texts))[:, None]
            seen = torch.cat([hidden[row, first], hidden[row, last], self.shape(shapes)], -1)
            logits: Tensor = self.head(self.dropout(seen))[..., 0]
        return logits.float()

    def _encode(self, word: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(word, add_special_tokens=False)[:_LONGEST_WORD]
        return ids or [self._tokenizer.unk_token_id]


def fit(folder: Path, marked: Sequence[MarkedText], seed: int, told: Callable[[str], None]) -> Labeller:
    """A labeller that has learnt from marked texts."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    labeller = Labeller(folder)
    texts = [(labeller.encode(item.text), item.classes, item.fields.get("weight", 1.0)) for item in marked]
    head = [*labeller.shape.parameters(), *labeller.head.parameters()]
    encoder = [p for p in labeller.encoder.parameters() if p.requires_grad]
    rates = (RATE, HEAD_RATE)
    optimizer = torch.optim.AdamW([{"params": encoder}, {"params": head}], weight_decay=0.01)
    steps, step = EPOCHS * math.ceil(len(texts) / BATCH), 0
    for epoch in range(EPOCHS):
        labeller.train()
        for batch in _batches(texts, chance):
            scale = min(1.0, (step + 1) / (WARM_UP * steps)) * max(LOWEST, 1 - step / steps)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            style = _padded([classes for _, classes, _ in batch]).float()
            weights = _padded([[1] * len(classes) for _, classes, _ in batch]).float()
            weights *= torch.tensor([weight for _, _, weight in batch])[:, None]
            logits = labeller([text for text, _, _ in batch])
            each = functional.binary_cross_entropy_with_logits(logits, style, reduction="none")
            loss = (each * weights).sum() / weights.sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(labeller.parameters(), 1.0)
            optimizer.step()
            step += 1
        told(f"labeller: epoch {epoch + 1} of {EPOCHS}, loss {loss.item():.4f}")
    return labeller.eval()


@torch.no_grad()
def labels(labeller: Labeller, texts: Sequence[str]) -> list[list[float] | None]:
    """The logit of style of each word of the texts; None for one that is too long to be seen whole."""
    found: list[list[float] | None] = [None] * len(texts)
    encoded = [(number, labeller.encode(text)) for number, text in enumerate(texts)]
    encoded = sorted((item for item in encoded if len(item[1].ids) <= _LONGEST), key=lambda item: len(item[1].ids))
    for begin in range(0, len(encoded), 2 * BATCH):
        batch = encoded[begin : begin + 2 * BATCH]
        for (number, text), row in zip(batch, labeller([text for _, text in batch]), strict=True):
            found[number] = row[: len(text.first)].tolist()
    return found


def _batches(texts: Sequence[Marks], chance: random.Random) -> Iterator[list[Marks]]:
    """Batches of texts of about the same length, in random order."""
    order = chance.sample(texts, len(texts))
    for begin in range(0, len(order), 16 * BATCH):
        some = sorted(order[begin : begin + 16 * BATCH], key=lambda text: len(text[0].ids))
        batches = [some[first : first + BATCH] for first in range(0, len(some), BATCH)]
        yield from chance.sample(batches, len(batches))


def _padded(rows: Sequence[Sequence[int | bool]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.long)


def _shape(word: str) -> int:
    if len(word) > 1 and word.isupper():
        return 4
    first = word[0]
    return 1 if first.isupper() else 2 if first.islower() else 3 if first.isdigit() else 0
