"""From what a user calls a model to an engine that serves it."""

from __future__ import annotations

from antiphon.engine.base import Engine
from antiphon.settings import Connection


def open_engine(
    reference: str, *, device: str = "auto", context: int | None = None, server: Connection | None = None
) -> Engine:
    """An engine for a model: the URL of a server (or of several, with commas between them), a local directory, a GGUF
    file, `lab:teacher` or `lab:student`.

    Raises:
        ModelError: there is no such model, or it cannot be served so.
        MissingDependency: models in process need the extra `local`.
    """
    if "://" in reference:
        from antiphon.engine.http import HttpEngine

        return HttpEngine([url.strip() for url in reference.split(",")], server, context=context)
    from antiphon.engine.local import LocalEngine

    return LocalEngine.load(reference, device=device, context=context)
