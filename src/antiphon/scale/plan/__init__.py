"""What a run will take, before it is begun: hours, tokens, money and disk, from pilots (docs/scale.md)."""

from __future__ import annotations

from antiphon.scale.plan.forecast import Choice, Estimate, Forecast, Question, RoleForecast, StationForecast, forecast
from antiphon.scale.plan.pilot import Pilot, read
from antiphon.scale.plan.pool import Pool, pool

__all__ = [
    "Choice",
    "Estimate",
    "Forecast",
    "Pilot",
    "Pool",
    "Question",
    "RoleForecast",
    "StationForecast",
    "forecast",
    "pool",
    "read",
]
