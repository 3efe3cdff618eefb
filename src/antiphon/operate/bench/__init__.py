"""How fast a pair writes on its servers, what limits it, and what to change: measured for a minute."""

from __future__ import annotations

from antiphon.operate.bench.advice import Advice, advise, notes, waiting
from antiphon.operate.bench.figures import Figures, RoleFigures, ServerFigures
from antiphon.operate.bench.work import Bench

__all__ = ["Advice", "Bench", "Figures", "RoleFigures", "ServerFigures", "advise", "notes", "waiting"]
