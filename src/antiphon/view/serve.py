"""The server: on the loopback, for as long as the command runs."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from antiphon.errors import AntiphonError, MissingDependency, UsageError
from antiphon.view import indexing
from antiphon.view.chosen import Chosen
from antiphon.view.comparing import Comparisons
from antiphon.view.index import place_of
from antiphon.view.runs import Run

_HOST = "127.0.0.1"


def serve(
    directories: Sequence[Path],
    chosen: Chosen,
    comparisons: Comparisons,
    *,
    port: int,
    announce: Callable[[str], None],
) -> None:
    """Shows run directories until it is interrupted.

    Args:
        chosen: what the announced address shows first.
        comparisons: makes those that are asked for; closed at the end.
        port: 0 for any that is free.
        announce: is told the address, with its token, once it can be opened.

    Raises:
        MissingDependency: the extra `view` is not installed.
        UsageError: the port is taken.
        StoreError: no directory can be read; one among several that cannot be is explained on its page.
    """
    try:
        import anyio.to_thread
        import uvicorn

        from antiphon.view.app import app
        from antiphon.view.pages import Links, prepare
    except ImportError as error:
        raise MissingDependency(error.name or "starlette", "view", "antiphon view") from None
    runs = _open(directories)
    token = secrets.token_urlsafe(24)
    with contextlib.closing(comparisons), _listening(port) as listener, _indexed(runs):
        bound = listener.getsockname()[1]
        pages = app(runs, token=token, port=bound, comparisons=comparisons)
        links = Links(f"http://{_HOST}:{bound}/{token}")
        config = uvicorn.Config(
            pages, log_level="error", access_log=False, server_header=False, lifespan="off", ws="none"
        )
        config.load()
        anyio.run(anyio.to_thread.run_sync, prepare)  # in such a thread as answers, so that all it needs is loaded
        narrowed = chosen.query()
        announce(links.listing(0, narrowed) if narrowed else f"{links.root}/")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _open(directories: Sequence[Path]) -> list[Run]:
    runs, errors = [], []
    for number, directory in enumerate(directories):
        try:
            place = place_of(directory)
        except OSError:
            place = Path()  # no run directory: its reader says so
        run = Run(number, directory, place)
        try:
            run.reader.change()  # opens it
        except AntiphonError as error:
            errors.append(error)
        runs.append(run)
    if len(errors) == len(runs):
        raise errors[0]
    return runs


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used: {error.strerror}; choose another, or leave --port out"
            ) from None
        listener.listen(128)  # before the address is told: who opens it at once is not refused
        yield listener


@contextlib.contextmanager
def _indexed(runs: Sequence[Run]) -> Iterator[None]:
    processes = [
        indexing.start(run.directory, run.place) for run in runs if isinstance(run.place, Path) and run.place.name
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
