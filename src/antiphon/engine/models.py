"""From what a user calls a model to an engine that serves it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from antiphon.engine.base import Engine
from antiphon.settings import Connection


def open_engine(
    reference: str,
    *,
    device: str = "auto",
    context: int | None = None,
    runs: Literal["auto", "in-process", "llama-server", "vllm"] = "auto",
    server: Connection | None = None,
) -> Engine:
    """An engine for a model; nothing is started or asked yet.

    Args:
        reference: the URL of a server (or of several, with commas between them), `dns:URL`, `servers:FILE` (see
            docs/servers.md), a local directory, a GGUF file, `lab:teacher` or `lab:student`.
        runs: what runs a model of this machine; auto: a server for it where one is installed, else this process.

    Raises:
        ModelError: there is no such model, or it cannot be served so.
        MissingDependency: models in process need the extra `local`.
    """
    if is_served(reference):
        from antiphon.engine.http import HttpEngine
        from antiphon.engine.http.members import members_of

        return HttpEngine(members_of(reference), server, context=context)
    if runs != "in-process":
        from antiphon.engine.launch import Launch

        launch = Launch.for_model(reference, kind=runs, device=device, context=context)
        if launch is not None:
            from antiphon.engine.http import HttpEngine

            return HttpEngine([], server, context=context, launched=launch)
    from antiphon.engine.local import LocalEngine

    return LocalEngine.load(reference, device=device, context=context)


def is_served(reference: str) -> bool:
    """Whether servers that run already are named, by URLs or by what tells them."""
    return "://" in reference or reference.startswith("servers:")


def shown(reference: str) -> str:
    """A model's reference without the name and password that a URL in it may hold."""
    return re.sub(r"://[^\s,]*@", "://", reference)


async def start(engines: Iterable[Engine]) -> None:
    """Starts the servers of engines that bring one, one after the other: together they must fit into memory.

    Raises:
        ModelError: they do not, or one ended before it was ready.
        EngineUnavailable: one was not ready in time.
    """
    launches = [engine.launched for engine in engines if engine.launched is not None]
    if launches:
        from antiphon.engine.launch import arrange

        for launch in arrange(launches):
            await launch.start()
