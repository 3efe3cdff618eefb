"""The small predictor's network while it is trained: the sums of `antiphon.boundary.default.network`, in floats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from antiphon.boundary.default.features import BUCKETS, MOST, PLACES, WHOLE, features, place
from antiphon.boundary.default.network import BACK, LOOKS, TOP
from antiphon.boundary.reading import Reading, Sight
from antiphon.boundary.region import has_delimiter

WIDTH, HIDDEN, LAST = 64, 128, 64
_BYTE = 127
_SPREAD = 0.15
_NO_FEATURE = BUCKETS
_COVERED = 0.9999
"""Of activations: larger ones are cut off where they become whole numbers."""


class Words(NamedTuple):
    """A text as the network takes it. `features` (n, MOST) padded with BUCKETS, `places` (n), `style` (n): what is to
    be said of each word, from 0 to 1. `weight`: how much the text counts."""

    features: np.ndarray[Any, np.dtype[np.int32]]
    places: np.ndarray[Any, np.dtype[np.uint8]]
    style: np.ndarray[Any, np.dtype[np.float32]]
    weight: float = 1.0


class _Seen(NamedTuple):
    text: str
    features: tuple[int, ...]
    delimiter: bool


_see = Sight(lambda word: _Seen(word, features(word), has_delimiter(word)))


def words_of(text: str, style: Sequence[float] | np.ndarray[Any, Any], weight: float = 1.0) -> Words:
    """A text's words (`antiphon.boundary.words`) with what is to be said of each."""
    reading = Reading(_see)
    reading.read_apart(text)
    found = np.full((len(reading), MOST), _NO_FEATURE, np.int32)
    places = np.zeros(len(reading), np.uint8)
    region = ""
    for index, (seen, gap) in enumerate(zip(reading.seen, reading.gaps, strict=True)):
        found[index, : len(seen.features)] = seen.features
        places[index], region = place(gap, region, seen.text, seen.delimiter)
    return Words(found, places, np.asarray(style, np.float32), weight)


class Batch(NamedTuple):
    """Texts side by side: tensors of (texts, words ...), `weights` 0 where a text has ended."""

    features: Tensor
    places: Tensor
    lengths: Tensor
    style: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(tensor.to(device) for tensor in self))


def batch_of(texts: Sequence[Words]) -> Batch:
    longest = max(len(text.places) for text in texts)
    found = np.full((len(texts), longest, MOST), _NO_FEATURE, np.int32)
    places = np.zeros((len(texts), longest), np.int64)
    style, weights = np.zeros((2, len(texts), longest), np.float32)
    for row, text in enumerate(texts):
        length = len(text.places)
        found[row, :length], places[row, :length] = text.features, text.places
        style[row, :length], weights[row, :length] = text.style, text.weight
    return Batch(
        torch.from_numpy(found),
        torch.from_numpy(places),
        torch.tensor([len(text.places) for text in texts]),
        torch.from_numpy(style),
        torch.from_numpy(weights),
    )


class SmallNet(nn.Module):
    """See `antiphon.boundary.default.network` for what it computes.

    Args:
        lookahead: whole words that a verdict waits for.
        dropout: of activations, in training.
        strangers: the share of words of which, in training, only their parts are shown, as of a word never met.
    """

    def __init__(self, lookahead: int, *, dropout: float = 0.1, strangers: float = 0.1):
        super().__init__()
        self.lookahead, self._dropout, self._strangers = lookahead, dropout, strangers
        self.embedding = nn.EmbeddingBag(BUCKETS + 1, WIDTH, mode="sum", padding_idx=_NO_FEATURE)
        self.places = nn.Embedding(PLACES, WIDTH)
        for table in (self.embedding, self.places):
            nn.init.normal_(table.weight, std=_SPREAD)
        self.embedding.weight.data[_NO_FEATURE] = 0
        self.before, self.behind = nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(torch.zeros(WIDTH))
        self.window = nn.Linear(WIDTH * (BACK + 1 + lookahead), HIDDEN)
        self.look = nn.Linear(HIDDEN * len(LOOKS), LAST)
        self.out = nn.Linear(LAST, 1)

    def forward(self, batch: Batch) -> Tensor:
        """The logits of style, (texts, words)."""
        texts, longest, most = batch.features.shape
        found = batch.features
        if self.training:
            hidden = torch.rand(texts, longest, 1, device=found.device) < self._strangers
            hidden = hidden & (torch.arange(most, device=found.device) < WHOLE)
            found = found.masked_fill(hidden, _NO_FEATURE)
        bags = self.embedding(found.view(texts * longest, most)).view(texts, longest, -1)
        x = torch.tanh(bags + self.places(batch.places))
        inside = (torch.arange(longest, device=found.device)[None] < batch.lengths[:, None])[..., None]
        x = torch.where(inside, x, torch.tanh(self.behind))
        before = torch.tanh(self.before).expand(texts, BACK, -1)
        behind = torch.tanh(self.behind).expand(texts, self.lookahead, -1)
        x = torch.cat([before, x, behind], 1)
        windows = x.unfold(1, BACK + 1 + self.lookahead, 1).transpose(2, 3).reshape(texts, longest, -1)
        a = functional.dropout(functional.relu(self.window(windows)), self._dropout, self.training)
        earlier = functional.pad(a, (0, 0, max(LOOKS), 0))
        looks = [earlier[:, max(LOOKS) - back : max(LOOKS) - back + longest] for back in LOOKS]
        b = functional.dropout(functional.relu(self.look(torch.cat(looks, -1))), self._dropout, self.training)
        logits: Tensor = self.out(b)[..., 0]
        return logits

    @torch.no_grad()
    def activations(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """All a and b of the words of a batch."""
        kept: list[Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _, __, out: kept.append(functional.relu(out)))
            for layer in (self.window, self.look)
        ]
        self.eval()
        self(batch)
        for hook in hooks:
            hook.remove()
        inside = torch.arange(batch.features.shape[1])[None] < batch.lengths[:, None]
        return kept[0][inside], kept[1][inside]


def forget_unmet(net: SmallNet, texts: Iterable[Words]) -> None:
    """Features that none of the texts has say nothing."""
    met = torch.zeros(BUCKETS + 1, dtype=torch.bool)
    for text in texts:
        met[torch.from_numpy(text.features).flatten().long()] = True
    net.embedding.weight.data[~met] = 0


def quantised(net: SmallNet, sample: Batch) -> dict[str, Any]:
    """The arrays of `antiphon.boundary.default.network.Network`.

    Args:
        sample: texts by whose activations their range is chosen.

    Also given is `units`: what one step of the embedding, of a and of b stands for, so that training can go on.
    """
    a, b = (float(torch.quantile(found.flatten()[:4_000_000], _COVERED)) / TOP for found in net.activations(sample))
    tables = torch.cat([net.embedding.weight.data[:BUCKETS], net.places.weight.data])
    unit = float(tables.abs().max()) / _BYTE
    arrays: dict[str, Any] = {
        "embedding": _bytes(net.embedding.weight.data[:BUCKETS] / unit),
        "places": _bytes(net.places.weight.data / unit),
        "squash": np.rint(TOP * np.tanh(np.arange(-(MOST + 1) * _BYTE, (MOST + 1) * _BYTE + 1) * unit)).astype(np.int8),
        "before": _bytes(TOP * torch.tanh(net.before.data)),
        "behind": _bytes(TOP * torch.tanh(net.behind.data)),
        "units": np.array([unit, a, b]),
    }
    for name, taken, given in (("window", 1 / TOP, a), ("look", a, b), ("out", b, 1.0)):
        layer: nn.Linear = getattr(net, name)
        weights = layer.weight.data.T
        step = weights.abs().amax(0).clamp_min(1e-8) / _BYTE
        arrays[name] = _bytes(weights / step)
        arrays[f"{name}_scale"] = (step * taken / given).numpy().astype(np.float32)
        arrays[f"{name}_bias"] = (layer.bias.data / given).numpy().astype(np.float32)
    return arrays


def _bytes(values: Tensor) -> np.ndarray[Any, np.dtype[np.int8]]:
    return values.round().clamp(-_BYTE, _BYTE).numpy().astype(np.int8)


def restored(arrays: Mapping[str, Any], **dropouts: float) -> SmallNet:
    """A network to be trained further, from its quantised arrays."""
    unit, a, b = arrays["units"].tolist()
    net = SmallNet(arrays["window"].shape[0] // WIDTH - BACK - 1, **dropouts)

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32))

    with torch.no_grad():
        net.embedding.weight[:BUCKETS] = tensor(arrays["embedding"]) * unit
        net.places.weight.copy_(tensor(arrays["places"]) * unit)
        for name in ("before", "behind"):
            getattr(net, name).copy_(torch.atanh(tensor(arrays[name]) / (TOP + 1)))
        for name, taken, given in (("window", 1 / TOP, a), ("look", a, b), ("out", b, 1.0)):
            layer: nn.Linear = getattr(net, name)
            step = tensor(arrays[f"{name}_scale"]) * given / taken
            layer.weight.copy_((tensor(arrays[name]) * step).T)
            layer.bias.copy_(tensor(arrays[f"{name}_bias"]) * given)
    return net
