"""Drawing the next token: penalty, temperature, top-k, top-p, min-p, in that order (transformers' own)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from antiphon.settings import Sampling


def draw(logits: Tensor, sampling: Sampling, histories: Sequence[Collection[int]], chances: Sequence[float]) -> Tensor:
    """One token for each row.

    The token is where `chance` falls in the cumulative distribution, likeliest token first: a row's draw depends on its
    own numbers only, not on who else is in the batch.

    Args:
        logits: `[rows, vocabulary]`; changed in place.
        histories: the ids of each row so far; read only where there is a repetition penalty.
        chances: uniform in [0, 1), one for each row; not read at temperature 0.

    Returns:
        `[rows]` ids.
    """
    if sampling.repetition_penalty != 1.0:
        for row, history in zip(logits, histories, strict=True):
            seen = torch.tensor(sorted(set(history)), device=row.device)
            scores = row[seen]
            row[seen] = torch.where(
                scores < 0, scores * sampling.repetition_penalty, scores / sampling.repetition_penalty
            )
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    scores = (logits - logits.amax(dim=-1, keepdim=True)).float() / sampling.temperature
    kept = min(sampling.top_k, scores.shape[1]) or scores.shape[1]
    scores, tokens = scores.topk(kept) if kept < scores.shape[1] else scores.sort(descending=True)
    shares = torch.softmax(scores.double(), dim=-1)
    if sampling.top_p < 1.0:
        shares = shares * (shares.cumsum(dim=-1) - shares < sampling.top_p)
    if sampling.min_p > 0.0:
        shares = shares * (shares >= sampling.min_p * shares[:, :1])
    reached = shares.cumsum(dim=-1)
    chance = torch.tensor(chances, dtype=torch.float64, device=logits.device)[:, None]
    place = torch.searchsorted(reached, chance * reached[:, -1:], right=True)
    # Rounding may put the last chance at the very end: the last token with a share is meant.
    last = (shares > 0).sum(dim=-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(place, last))[:, 0]
