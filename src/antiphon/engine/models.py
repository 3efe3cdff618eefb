"""From what a user calls a model to an engine that serves it."""

from __future__ import annotations

from antiphon.engine.base import Engine
from antiphon.errors import ModelError


def open_engine(reference: str, *, device: str = "auto", context: int | None = None) -> Engine:
    """An engine for a model: a local directory, a GGUF file, `lab:teacher` or `lab:student`.

    Raises:
        ModelError: there is no such model, or it cannot be served so.
        MissingDependency: models in process need the extra `local`.
    """
    if "://" in reference:
        raise ModelError(
            f"{reference.split('://')[0]}://...: servers are not served by this version; "
            "name a model directory, a GGUF file, lab:teacher or lab:student"
        )
    from antiphon.engine.local import LocalEngine

    return LocalEngine.load(reference, device=device, context=context)
