"""Tiny models, each made and loaded once for a module of tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.engine import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes a model folder once for each kind."""

    @cache
    def make(architecture: str, **options: Any) -> Path:
        return tiny.save(tmp_path_factory.mktemp(architecture) / f"tiny-{architecture}", architecture, **options)

    return make


@pytest.fixture(scope="module")
def engine(folder: Any) -> Any:
    """Loads a model once for each kind."""
    from antiphon.engine.local import LocalEngine

    @cache
    def load(architecture: str = "qwen3", **options: Any) -> LocalEngine:
        return LocalEngine.load(str(folder(architecture, **options)), device="cpu")

    return load


@pytest.fixture(scope="module")
def reference(folder: Any, engine: Any) -> Any:
    """The same model in plain transformers."""
    from tests.engine.local import Reference

    @cache
    def load(architecture: str = "qwen3", **options: Any) -> Reference:
        return Reference(folder(architecture, **options), engine(architecture, **options))

    return load
