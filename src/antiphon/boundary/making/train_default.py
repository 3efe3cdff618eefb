"""Trains a predictor of the small kind, from nothing or on from one that there is, such as the shipped one.

Some texts are cut off anywhere, since a run asks for the verdicts on the last words of what was written so far. Soft
labels (how sure a larger predictor was of each word of unmarked texts) are learnt from beside the marks.
"""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from antiphon.boundary.checkpoint import KEY, TRAINING
from antiphon.boundary.default.folder import KIND, VERSION, WEIGHTS, Stored, read_folder
from antiphon.boundary.making.epochs import Epoch
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import Figures, compare, figures, total
from antiphon.boundary.making.small_net import (
    Batch,
    SmallNet,
    Words,
    batch_of,
    forget_unmet,
    quantised,
    restored,
    words_of,
)
from antiphon.boundary.making.split import held_out, problem_digests, require_trainable
from antiphon.engine.device import placed, usable_device
from antiphon.errors import SettingsError

_LOOKAHEAD = 2
_CUT_OFF, _LEAST = 0.3, 4  # of the texts; words that stay of one
_WARM_UP, _WARM_UP_SHARE = 50, 0.1  # steps at most, and of all steps
_LOWEST = 0.02  # of the rate, at the end
_SAMPLE = 512  # texts by which the range of activations is chosen


@dataclass(frozen=True, slots=True)
class DefaultTraining:
    """How a small predictor is trained.

    Attributes:
        epochs, rate, batch: how often all marked texts are read, the highest learning rate, texts to a step.
        lookahead: whole words after a word that its verdict waits for; None: as many as the base, or two.
        held_out: share of the marked texts that is not trained on but judged after each epoch, split by problem.
        seed: of weights, order and cuts.
        decay: AdamW's weight decay.
        soft: texts with soft labels to a marked one in each step.
        trust: how much their loss counts beside that of the marked ones.
        shift: added to every logit of style in the end, for marks and labels that are known to say style too often.
        device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...
    """

    epochs: int = 12
    rate: float = 3e-3
    batch: int = 64
    lookahead: int | None = None
    held_out: float = 0.1
    seed: int = 0
    decay: float = 1e-4
    soft: float = 1.5
    trust: float = 3.0
    shift: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.lookahead is not None and not 0 <= self.lookahead <= 8:
            raise SettingsError(f"lookahead is {self.lookahead}; give 0 to 8 words")
        if not (self.rate > 0 and 0 <= self.held_out <= 0.5 and self.decay >= 0 and self.soft > 0 and self.trust > 0):
            raise SettingsError("rate, soft and trust are above 0, held_out from 0 to 0.5, decay 0 or more")


FURTHER = DefaultTraining(epochs=20, rate=1e-3, batch=8)
"""How one that there is is trained further."""


def train_default(
    marked: Sequence[MarkedText],
    to: str | Path,
    training: DefaultTraining | None = None,
    *,
    base: str | Path | None = None,
    soft: Sequence[Words] = (),
    card: str = "",
    where: str = "the data",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Trains a small predictor and writes it as a folder that `--boundary` takes; gives its curve.

    Args:
        marked: what it learns from; some of it is held out. A field `weight` says how much a text counts (1).
        to: a folder, made if need be; written when the training is done.
        base: a predictor of the small kind to go on from.
        soft: unmarked texts with soft labels.
        card: text for its README.md.
        where: what the data are called in errors.
        on_epoch: told how it goes.

    Raises:
        UsageError: the data cannot be trained on.
        ModelError: the base cannot be used.
        SettingsError: the folder holds a model already, or cannot be written.
    """
    training, to = training or DefaultTraining(), Path(to)
    require_trainable(marked, where)
    if (to / "config.json").exists():
        raise SettingsError(f"{to}: a model stands there already; name another folder")
    kept, held = held_out(marked, training.held_out, training.seed) if training.held_out else (list(marked), [])
    require_trainable(kept, f"{where}, less what is held out")
    texts, shown = [_words(item) for item in kept], [_words(item) for item in held]
    torch.manual_seed(training.seed)
    stored = None if base is None else read_folder(base)
    net = placed(_begun(stored, training.lookahead), usable_device(training.device))
    known = frozenset() if stored is None else stored.trained_on
    curve = []
    for epoch, loss in enumerate(_epochs(net, texts, soft, training), 1):
        curve.append(Epoch(epoch, loss, judged(net, shown) if shown else None))
        on_epoch(curve[-1])
    net = net.cpu()
    net.out.bias.data += training.shift
    if base is None:
        forget_unmet(net, [*texts, *soft])
    about = {
        "settings": asdict(training),
        "base": None if base is None else str(base),
        "texts": {"trained_on": len(kept), "held_out": len(held), "soft": len(soft)},
        "epochs": [epoch.as_json() for epoch in curve],
        "trained_on": sorted(problem_digests(kept) | known),
    }
    _write(to, quantised(net, batch_of(texts[:_SAMPLE])), about, card)
    return curve


def judged(net: SmallNet, texts: Sequence[Words]) -> Figures:
    """How near a network comes to marked texts, whole ones."""
    net.eval()
    device = net.out.weight.device
    counts = []
    for batch in _batches(texts, _SAMPLE):
        with torch.no_grad():
            logits = net(batch.to(device)).cpu()
        for given, true, length in zip(logits > 0, batch.style > 0.5, batch.lengths.tolist(), strict=True):
            counts.append(compare(given[:length].tolist(), true[:length].tolist()))
    return figures(total(counts))


def _begun(base: Stored | None, lookahead: int | None) -> SmallNet:
    if base is None:
        return SmallNet(_LOOKAHEAD if lookahead is None else lookahead)
    net = restored(base.arrays)
    if lookahead not in (None, net.lookahead):
        raise SettingsError(
            f"{base.name} looks {net.lookahead} words ahead, which training does not change; "
            "leave --lookahead out, or give --base none"
        )
    return net


def _words(item: MarkedText) -> Words:
    weight = item.fields.get("weight")
    return words_of(item.text, item.classes, float(weight) if isinstance(weight, int | float) else 1.0)


def _batches(texts: Sequence[Words], size: int) -> Iterator[Batch]:
    for begin in range(0, len(texts), size):
        yield batch_of(texts[begin : begin + size])


def _epochs(
    net: SmallNet, marked: Sequence[Words], soft: Sequence[Words], training: DefaultTraining
) -> Iterator[float]:
    """Trains, and gives the mean loss on the marked texts after each epoch."""
    chance = random.Random(training.seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=training.rate, weight_decay=training.decay)
    steps = math.ceil(len(marked) / training.batch) * training.epochs
    warm_up = min(_WARM_UP, _WARM_UP_SHARE * steps)
    drawn = _endless(soft, max(1, round(training.batch * training.soft)), chance) if soft else None
    step = 0
    for _ in range(training.epochs):
        net.train()
        losses = []
        for texts in _shuffled(marked, training.batch, chance):
            rate = training.rate * min(1.0, (step + 1) / warm_up) * max(_LOWEST, 1 - step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _loss(net, texts, chance)
            losses.append(loss.item())
            if drawn is not None:
                loss = loss + training.trust * _loss(net, next(drawn), chance)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
        yield math.fsum(losses) / len(losses)


def _shuffled(texts: Sequence[Words], size: int, chance: random.Random) -> Iterator[list[Words]]:
    order = chance.sample(texts, len(texts))
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def _endless(texts: Sequence[Words], size: int, chance: random.Random) -> Iterator[list[Words]]:
    while True:
        yield from _shuffled(texts, size, chance)


def _loss(net: SmallNet, texts: Sequence[Words], chance: random.Random) -> torch.Tensor:
    batch = batch_of([_cut_off(text, chance) for text in texts]).to(net.out.weight.device)
    each = functional.binary_cross_entropy_with_logits(net(batch), batch.style, reduction="none")
    return (each * batch.weights).sum() / batch.weights.sum()


def _cut_off(text: Words, chance: random.Random) -> Words:
    """The text, or now and then its beginning."""
    length = len(text.places)
    if length <= _LEAST or chance.random() >= _CUT_OFF:
        return text
    stop = chance.randint(_LEAST, length)
    return Words(text.features[:stop], text.places[:stop], text.style[:stop], text.weight)


def _write(to: Path, arrays: dict[str, Any], about: dict[str, Any], card: str) -> None:
    """Writes the folder; its config.json, by which it is known as a predictor, last."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    config = {KEY: {"kind": KIND, "version": VERSION, "name": to.name}}
    with _writing(to):
        to.mkdir(parents=True, exist_ok=True)
        (to / WEIGHTS).write_bytes(packed.getvalue())
        (to / TRAINING).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        if card:
            (to / "README.md").write_text(card, "utf-8")
        (to / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{to}: cannot be written: {error.strerror}") from None
