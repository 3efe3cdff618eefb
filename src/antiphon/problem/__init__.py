"""Problems in: what is asked, and the readers of every common file shape."""

from __future__ import annotations

from antiphon.problem.base import Problem

__all__ = ["Problem"]
