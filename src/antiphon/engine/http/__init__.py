"""Completion servers: vLLM, SGLang, llama.cpp, and any other with OpenAI's route."""

from __future__ import annotations

from antiphon.engine.http.engine import HttpEngine

__all__ = ["HttpEngine"]
