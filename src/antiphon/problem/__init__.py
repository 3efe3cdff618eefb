"""Problems in: what is asked, and the readers of every common file shape."""

from __future__ import annotations

from antiphon.problem.base import Problem, content_id
from antiphon.problem.read import Loaded, iterate, load

__all__ = ["Loaded", "Problem", "content_id", "iterate", "load"]
