"""Small predictors with random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.boundary.default.features import BUCKETS, MOST, PLACES
from antiphon.boundary.default.folder import Stored
from antiphon.boundary.default.network import BACK, LOOKS, TOP
from antiphon.boundary.default.predictor import SmallPredictor

WIDTH, HIDDEN, LAST = 8, 12, 6


def arrays(lookahead: int, seed: int = 0) -> dict[str, Any]:
    """Weights whose verdicts are mixed."""
    chance = np.random.default_rng(seed)

    def bytes_of(*shape: int) -> Any:
        return chance.integers(-127, 128, shape, dtype=np.int8)

    reach = (MOST + 1) * 127
    found: dict[str, Any] = {
        "embedding": bytes_of(BUCKETS, WIDTH),
        "places": bytes_of(PLACES, WIDTH),
        "squash": np.rint(TOP * np.tanh(np.arange(-reach, reach + 1) / 100)).astype(np.int8),
        "before": bytes_of(WIDTH),
        "behind": bytes_of(WIDTH),
    }
    for name, inputs, outputs in (
        ("window", WIDTH * (BACK + 1 + lookahead), HIDDEN),
        ("look", HIDDEN * len(LOOKS), LAST),
        ("out", LAST, 1),
    ):
        found[name] = bytes_of(inputs, outputs)
        spread = 2 if name == "out" else TOP / 2  # of what comes out
        found[f"{name}_scale"] = np.full(outputs, spread / (75 * 60 * inputs**0.5), np.float32)
        found[f"{name}_bias"] = chance.normal(scale=spread / 4, size=outputs).astype(np.float32)
    return found


def predictor(lookahead: int, seed: int = 0, **settings: Any) -> SmallPredictor:
    return SmallPredictor(Stored(f"random{seed}", arrays(lookahead, seed), "0" * 64, frozenset()), **settings)


def write(folder: Path, *, says: dict[str, Any] | None = None, weights: dict[str, Any] | None = None) -> Path:
    """Writes a predictor's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    np.savez(packed, **(arrays(2) if weights is None else weights))
    (folder / "weights.npz").write_bytes(packed.getvalue())
    own = {"kind": "default", "version": 1, "name": "mine"} | (says or {})
    (folder / "config.json").write_text(json.dumps({"antiphon": own}))
    return folder
