"""A token classifier learns: its steps over marked windows, and how it does on others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from antiphon.boundary.checkpoint import WINDOW
from antiphon.boundary.making.scores import Figures, compare, figures, total
from antiphon.engine.device import FULL, full, placed, usable_device
from antiphon.errors import SettingsError


@dataclass(frozen=True, slots=True)
class TaggerTraining:
    """How a tagger is trained.

    Attributes:
        epochs, rate, batch: how often all texts are read, the highest learning rate, texts to a step.
        lookahead: whole words after a word that its label waits for; -1: the label stands before the word.
        window: tokens that it is shown at a time.
        held_out: share of the texts that is not trained on but judged after each epoch, split by problem; 0: none.
        seed: of the head, the order of texts and dropout.
        warmup: share of the steps in which the rate rises.
        decay: AdamW's weight decay.
        bfloat16: whether the model computes in bfloat16 (its weights stay float32); faster where the machine can.
        device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...
        tokens: most tokens, padding included, that go through the model at once; a step may take several goes.
        save_every: steps after which the state is written, besides each epoch's end.
    """

    epochs: int = 3
    rate: float = 1e-5
    batch: int = 32
    lookahead: int = 2
    window: int = WINDOW
    held_out: float = 0.1
    seed: int = 0
    warmup: float = 0.1
    decay: float = 0.01
    bfloat16: bool = False
    device: str = "auto"
    tokens: int = 2048
    save_every: int = 50

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; give at least 1")
        if not -1 <= self.lookahead <= 8:
            raise SettingsError(f"lookahead is {self.lookahead}; give -1 to 8 words")
        if not (self.rate > 0 and 0 <= self.held_out <= 0.5 and 0 <= self.warmup < 1 and self.decay >= 0):
            raise SettingsError("rate is above 0, held_out from 0 to 0.5, warmup from 0 to below 1, decay 0 or more")


@dataclass(slots=True)
class Example:
    """One window of a text: its ids, the places of its labels, and these labels."""

    ids: Sequence[int]
    places: Sequence[int]
    style: Sequence[bool]


Text = list[Example]  # all its windows


class Fitting:
    """The model, what it learns from, and its steps, each of which depends on its number and the seed alone."""

    def __init__(self, model: Any, texts: Sequence[Text], how: TaggerTraining, style: int):
        self.model = placed(model, usable_device(how.device))
        self.per_epoch = -(-len(texts) // how.batch)
        self.steps = self.per_epoch * how.epochs
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=how.rate, weight_decay=how.decay)
        self._texts = texts
        self._how = how
        self._style = style

    def step(self, number: int) -> float:
        """Learns from one batch; gives its loss per word.

        Raises:
            SettingsError: that is no number, or the device's memory is full.
        """
        try:
            return self._step(number)
        except FULL as error:
            raise SettingsError(
                f"step {number + 1}: {full(error)}; the same training goes on with the device cpu, or give bfloat16 and"
                " another folder"
            ) from None

    def _step(self, number: int) -> float:
        how = self._how
        epoch, place = divmod(number, self.per_epoch)
        order = torch.randperm(len(self._texts), generator=torch.Generator().manual_seed(how.seed * 1000 + epoch))
        chosen = order[place * how.batch : (place + 1) * how.batch].tolist()
        examples = [example for text in chosen for example in self._texts[text]]
        torch.manual_seed(how.seed * 1_000_003 + number)  # dropout
        self.model.train()
        words = sum(len(example.places) for example in examples)
        loss = 0.0
        for some in _goes(examples, how.tokens):
            logits = self._labels(some)
            labels = torch.tensor([self._label(style) for example in some for style in example.style])
            part = cross_entropy(logits, labels.to(logits.device), reduction="sum") / words
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        if not math.isfinite(loss):
            raise SettingsError(f"the loss is no number at step {number + 1}: give a lower rate than {how.rate:g}")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = how.rate * self._share(number)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    @torch.inference_mode()
    def judged(self, texts: Sequence[Text]) -> Figures:
        """The figures of texts, whole, at the threshold 0.5."""
        self.model.eval()
        given: dict[int, list[bool]] = {}
        examples = [example for text in texts for example in text]
        for some in _goes(examples, self._how.tokens):
            logits = self._labels(some)
            chosen = iter((logits[:, self._style] > logits[:, 1 - self._style]).tolist())
            given |= {id(example): list(islice(chosen, len(example.places))) for example in some}
        return figures(
            total(
                compare(
                    [style for example in text for style in given[id(example)]],
                    [style for example in text for style in example.style],
                )
                for text in texts
            )
        )

    def _labels(self, examples: Sequence[Example]) -> torch.Tensor:
        """The logits at the places of some windows, one after the other: `[words, 2]`, float32."""
        longest, device = max(len(example.ids) for example in examples), self.model.device
        ids = [[*example.ids, *[0] * (longest - len(example.ids))] for example in examples]
        mask = [[1] * len(example.ids) + [0] * (longest - len(example.ids)) for example in examples]
        places = [row * longest + place for row, example in enumerate(examples) for place in example.places]
        faster = torch.autocast(device.type, dtype=torch.bfloat16) if self._how.bfloat16 else nullcontext()
        with faster:
            logits = self.model(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                use_cache=False,
            ).logits
        found: torch.Tensor = logits.float().flatten(0, 1)[torch.tensor(places, device=device)]
        return found

    def _label(self, style: bool) -> int:
        return self._style if style else 1 - self._style

    def _share(self, number: int) -> float:
        """Of the highest learning rate."""
        rising = max(1, round(self._how.warmup * self.steps))
        if number < rising:
            return (number + 1) / rising
        return (self.steps - number) / max(1, self.steps - rising)


def _goes(examples: Sequence[Example], tokens: int) -> Iterator[list[Example]]:
    """Windows of like length together, as many as may go through the model at once."""
    some: list[Example] = []
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        if some and (len(some) + 1) * len(some[0].ids) > tokens:
            yield some
            some = []
        some.append(example)
    if some:
        yield some
