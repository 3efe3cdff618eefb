"""Attention over packed tokens: each sequence's new tokens see its own row, where it lies.

The model is called once per step with the new tokens of all sequences one after another, `[1, tokens]`; only attention
looks at which token belongs to whom. Transformers lets a model's attention be replaced by name, so `attend` serves
every architecture that asks that registry (Llama, Qwen, Gemma, gpt-oss ...). Nothing is padded and no mask reaches the
model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

from antiphon.engine.rows import Row

NAME = "antiphon"
"""The name under which `attend` is registered with transformers."""

_SMALL_ROW = 100_000  # bytes of keys and values below which copying a row is cheaper than a call for it alone


class Segment(NamedTuple):
    """A sequence's share of a packing: tokens `begin` to `end` of it go to `row` from position `at` on."""

    row: Row
    at: int
    begin: int
    end: int


class Packing:
    """Which tokens of a step are whose, and who sees whom. Masks are made once for all layers."""

    def __init__(self, segments: Sequence[Segment], device: torch.device):
        """Segments of a single token come first."""
        self.segments = segments
        self.singles = sum(segment.end - segment.begin == 1 for segment in segments)
        self._device = device
        self._masks: dict[tuple[int, ...], Tensor] = {}

    def causal(self, tokens: int, visible: int, window: int | None) -> Tensor:
        """Which of the last `visible` tokens of a row each of its last `tokens` sees, `[tokens, visible]`: itself and
        those before it, `window` in all."""
        key = (tokens, visible, window or 0)
        if key not in self._masks:
            places = torch.arange(visible, device=self._device)
            own = places[visible - tokens :, None]
            mask = places <= own
            if window is not None:
                mask &= places > own - window
            self._masks[key] = mask
        return self._masks[key]

    def visible(self, window: int | None) -> list[int]:
        """How many tokens each single token sees."""
        seen = [segment.at + 1 for segment in self.segments[: self.singles]]
        return seen if window is None else [min(length, window) for length in seen]

    def within(self, window: int | None) -> Tensor | None:
        """Which places of the singles' rows, padded to the longest, are real: `[rows, 1, 1, longest]`; None if all."""
        lengths = self.visible(window)
        longest = max(lengths)
        if min(lengths) == longest:
            return None
        key = (window or 0,)
        if key not in self._masks:
            places = torch.arange(longest, device=self._device)
            real = places < torch.tensor(lengths, device=self._device)[:, None]
            self._masks[key] = real[:, None, None]
        return self._masks[key]


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention of one layer. Called by transformers.

    Args:
        query, key, value: `[1, heads, tokens, dim]`, rotated; fewer key heads than query heads are shared in groups.
        attention_mask: unused: who sees whom follows from `packing`.
        sliding_window: how many tokens one sees, itself among them; None: all.
        softcap: Gemma 2's bound on scores. s_aux: gpt-oss's sinks, one score for each query head.

    Returns:
        `[1, tokens, heads, dim]`, and None for the weights.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    heads, tokens, dim = query.shape[1:]
    shared = key.shape[1]
    groups = heads // shared
    how = _How(dim**-0.5 if scaling is None else scaling, softcap, s_aux)
    keys, values = key[0].transpose(0, 1), value[0].transpose(0, 1)
    rows = [
        row.write(layer, at, at + end - begin, keys[begin:end], values[begin:end])
        for row, at, begin, end in packing.segments
    ]
    result = query.new_empty((tokens, heads, value.shape[-1]))

    batched = packing.singles if _worth_batching(packing, sliding_window, keys, values) else 0
    if batched:
        queries = query[0, :, :batched].transpose(0, 1).reshape(batched, shared, groups, dim)
        together = rows[:batched]
        if sliding_window is not None:
            together = [(k[-sliding_window:], v[-sliding_window:]) for k, v in together]
        padded_keys = pad_sequence([k for k, _ in together], batch_first=True).transpose(1, 2)
        padded_values = pad_sequence([v for _, v in together], batch_first=True).transpose(1, 2)
        written = how.attend(queries, padded_keys, padded_values, packing.within(sliding_window))
        result[:batched] = written.reshape(batched, heads, -1)
    for (_row, at, begin, end), pair in zip(packing.segments[batched:], rows[batched:], strict=True):
        count = end - begin
        visible = at + count if sliding_window is None else min(at + count, sliding_window + count - 1)
        mask = None if count == 1 else packing.causal(count, visible, sliding_window).repeat(groups, 1)
        queries = query[0, :, begin:end].reshape(1, shared, groups * count, dim)
        seen_keys, seen_values = (tensor[-visible:].transpose(0, 1)[None] for tensor in pair)
        written = how.attend(queries, seen_keys, seen_values, mask)
        result[begin:end] = written.reshape(heads, count, -1).transpose(0, 1)
    return result[None], None


def _worth_batching(packing: Packing, window: int | None, keys: Tensor, values: Tensor) -> bool:
    """Whether to copy the rows of single tokens into one padded batch: on a GPU, since calls cost more than bytes; else
    while they are short."""
    if packing.singles < 2:
        return False
    if keys.device.type != "cpu":
        return True
    return max(packing.visible(window)) * (keys[0].nbytes + values[0].nbytes) <= _SMALL_ROW


class _How(NamedTuple):
    scale: float
    softcap: float | None
    sinks: Tensor | None

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """`[batch, shared heads, groups x tokens, dim]` queries on `[batch, shared heads, visible, dim]`; the mask
        is true where a token is seen."""
        if self.softcap is None and self.sinks is None:
            return scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=self.scale)
        scores = query @ keys.transpose(2, 3) * self.scale
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        if self.sinks is not None:
            # A sink is a place that takes its share and gives nothing.
            batch, shared, queries, _ = scores.shape
            groups = self.sinks.numel() // shared
            column = self.sinks.view(shared, groups, 1).expand(-1, -1, queries // groups)
            column = column.reshape(1, shared, queries, 1).expand(batch, -1, -1, -1)
            scores = torch.cat([scores, column.to(scores.dtype)], dim=-1)
            values = pad(values, (0, 0, 0, 1))
        return torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype) @ values
