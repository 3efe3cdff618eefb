"""How a training went, epoch by epoch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from antiphon.boundary.making.scores import Figures


class Epoch(NamedTuple):
    """How an epoch ended: its mean loss, and the figures on the texts held out (None without any)."""

    epoch: int
    loss: float
    held_out: Figures | None

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold of it; null where there was nothing to find."""
        held = None if self.held_out is None else self.held_out._asdict()
        if held is not None:
            held = {name: None if math.isnan(value) else value for name, value in held.items()}
        return {**self._asdict(), "held_out": held}
