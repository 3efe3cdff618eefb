"""The small predictor's network: a window of words, a look back over what was made of the words before, one number.

    x[t]  what a word is in its place: the sum of its features' vectors and of the place's, squashed
    a[t]  from x[t - BACK] .. x[t + lookahead]: the words around it
    b[t]  from a[t], a[t - 1], a[t - 2], a[t - 4], a[t - 8]: how the sentence came here
    logit of style, from b[t]

All of it is done in whole numbers: weights and activations have 8 bits, and every sum stays below 2**24, where 32-bit
floats are exact in whatever order they are added. So a word's verdict is the same, alone or among a million.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.boundary.default.features import BUCKETS, PLACES

BACK = 5
"""Words before a word in its window."""
LOOKS = (0, 1, 2, 4, 8)
"""How many words before a word stand the windows that are looked back on."""
FURTHEST = max(LOOKS)
REACH = BACK + FURTHEST
"""Words before a word that its verdict depends on."""
TOP = 127
"""Activations are from -TOP to TOP (x) or 0 to TOP (a, b)."""

_LOOKS = FURTHEST - np.array(LOOKS)

Rows = NDArray[np.float32]


class Network:
    """The weights, ready to judge.

    Args:
        arrays: by name, as `quantised` in `antiphon.boundary.making.train_default` makes them:
            `embedding` int8 (BUCKETS, d), `places` int8 (PLACES, d), `squash` int8: TOP * tanh of each possible sum of
            the two, `before` and `behind` int8 (d): x where the trace has not begun or has ended,
            `window`, `look`, `out` int8 weights (inputs, outputs), each with `_scale` and `_bias` float32 (outputs).
    """

    def __init__(self, arrays: Mapping[str, Any]):
        self._embedding = arrays["embedding"]
        self._places = arrays["places"].astype(np.int32)
        self._squash = arrays["squash"].astype(np.float32)
        self._middle = len(self._squash) // 2
        self.width = self._embedding.shape[1]
        self.before = arrays["before"].astype(np.float32)
        self.behind = arrays["behind"].astype(np.float32)
        self._layers = {
            name: (
                arrays[name].astype(np.float32).reshape(parts, -1, arrays[name].shape[1]),
                arrays[f"{name}_scale"].astype(np.float32),
                arrays[f"{name}_bias"].astype(np.float32),
            )
            for name, parts in (("window", len(arrays["window"]) // self.width), ("look", len(LOOKS)), ("out", 1))
        }
        self.lookahead = len(self._layers["window"][0]) - BACK - 1
        self.hidden = arrays["window"].shape[1]

    def word(self, features: Sequence[int]) -> NDArray[np.int32]:
        """The sum of its features' vectors, (d)."""
        total: NDArray[np.int32] = self._embedding[list(features)].sum(axis=0, dtype=np.int32)
        return total

    def placed(self, words: NDArray[np.int32], places: Sequence[int]) -> Rows:
        """x of words (n, d) in their places (n)."""
        sums = words + self._places[list(places)]
        squashed: Rows = self._squash[sums + self._middle]
        return squashed

    def windows(self, x: Rows) -> Rows:
        """a of the words (n) that have all their window in x (n + BACK + lookahead, d)."""
        span = BACK + 1 + self.lookahead
        if len(x) == span:
            return _activated(self._summed("window", x.reshape(1, 1, -1)))
        shape, row = (span, len(x) - span + 1, self.width), x.strides[0]
        parts = np.lib.stride_tricks.as_strided(x, shape, (row, row, x.strides[1]), writeable=False)
        return _activated(self._summed("window", parts))

    def logits(self, a: Rows) -> NDArray[np.float32]:
        """The logits of style of the words (n) that have what they look back on in a (n + FURTHEST, hidden)."""
        count = len(a) - FURTHEST
        if count == 1:
            parts = a[_LOOKS].reshape(1, 1, -1)
        else:
            parts = np.stack([a[FURTHEST - back : FURTHEST - back + count] for back in LOOKS])
        return self._summed("out", _activated(self._summed("look", parts))[None])[:, 0]

    def _summed(self, layer: str, parts: Rows) -> Rows:
        """What a layer makes of its inputs (parts, n, inputs): one part of all inputs, or as many as it looks at."""
        weights, scale, bias = self._layers[layer]
        if len(parts) == 1:
            values: Rows = parts[0] @ weights.reshape(-1, len(bias))
        else:
            values = np.matmul(parts, weights).sum(axis=0)
        values *= scale
        values += bias
        return values


def _activated(values: Rows) -> Rows:
    np.rint(values, out=values)
    np.maximum(values, 0, out=values)
    np.minimum(values, TOP, out=values)
    return values


def unpacked(data: bytes) -> dict[str, Any]:
    """The arrays in a file of weights (NumPy's .npz).

    Raises:
        ValueError: it is none, or an array is missing or of another shape.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        assert arrays["embedding"].shape[0] == BUCKETS and arrays["places"].shape[0] == PLACES
        assert arrays["window"].shape[0] % arrays["embedding"].shape[1] == 0
        Network(arrays)
    except (AssertionError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"no weights of this kind ({error!r})") from None
    return arrays
