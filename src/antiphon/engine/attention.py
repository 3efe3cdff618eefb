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
    """Which tokens of a step are whose, and who sees whom."""

    def __init__(self, segments: Sequence[Segment], device: torch.device):
        """Segments of a single token come first."""
        self.segments = segments
        self.singles = sum(segment.end - segment.begin == 1 for segment in segments)
        self._device = device
        self._masks: dict[tuple[int, int, int | None], Tensor] = {}

    def causal(self, tokens: int, visible: int, window: int | None) -> Tensor:
        """Which of the last `visible` tokens of a row each of its last `tokens` sees, `[tokens, visible]`: itself and
        those before it, `window` in all."""
        key = (tokens, visible, window)
        if key not in self._masks:
            places = torch.arange(visible, device=self._device)
            own = places[visible - tokens :, None]
            mask = places <= own
            if window is not None:
                mask &= places > own - window
            self._masks[key] = mask
        return self._masks[key]

    def within(self, lengths: Sequence[int]) -> Tensor | None:
        """Which places of rows padded to the longest are real, `[rows, 1, 1, longest]`; None if all are."""
        longest = max(lengths)
        if min(lengths) == longest:
            return None
        places = torch.arange(longest, device=self._device)
        return (places < torch.tensor(lengths, device=self._device)[:, None])[:, None, None]


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
    rows = [s.row.write(layer, s.at, keys[s.begin : s.end], values[s.begin : s.end]) for s in packing.segments]
    result = query.new_empty((tokens, heads, value.shape[-1]))

    batched = _worth_batching(rows[: packing.singles], sliding_window)
    if batched:
        together = [(k[-sliding_window:], v[-sliding_window:]) if sliding_window else (k, v) for k, v in rows[:batched]]
        queries = query[0, :, :batched].transpose(0, 1).reshape(batched, shared, groups, dim)
        padded_keys = pad_sequence([k for k, _ in together], batch_first=True).transpose(1, 2)
        padded_values = pad_sequence([v for _, v in together], batch_first=True).transpose(1, 2)
        mask = packing.within([len(k) for k, _ in together])
        result[:batched] = how.attend(queries, padded_keys, padded_values, mask).reshape(batched, heads, -1)
    for segment, (row_keys, row_values) in zip(packing.segments[batched:], rows[batched:], strict=True):
        count = segment.end - segment.begin
        visible = len(row_keys) if sliding_window is None else min(len(row_keys), sliding_window + count - 1)
        mask = None if count == 1 else packing.causal(count, visible, sliding_window).repeat(groups, 1)
        queries = query[0, :, segment.begin : segment.end].reshape(1, shared, groups * count, dim)
        seen_keys = row_keys[-visible:].transpose(0, 1)[None]
        seen_values = row_values[-visible:].transpose(0, 1)[None]
        written = how.attend(queries, seen_keys, seen_values, mask)
        result[segment.begin : segment.end] = written.reshape(heads, count, -1).transpose(0, 1)
    return result[None], None


def _worth_batching(rows: Sequence[tuple[Tensor, Tensor]], window: int | None) -> int:
    """How many of the rows (all or none) to copy into one padded batch: on a GPU all, since calls cost more than bytes;
    else all while they are short."""
    if len(rows) < 2:
        return 0
    longest = max(len(keys) if window is None else min(len(keys), window) for keys, _ in rows)
    keys, values = rows[0]
    small = longest * (keys[0].nbytes + values[0].nbytes) <= _SMALL_ROW
    return len(rows) if small or keys.device.type != "cpu" else 0


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
