"""A Ray cluster: where it is, whether it answers, and a connection to it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from antiphon.errors import ClusterError, MissingDependency, SettingsError

_PATIENCE = 15.0  # seconds of a silent head (Ray itself ends this process after 60), and for Ray to take its leave
_PROBE = 2.0  # seconds in which a head that is there answers
_FAREWELL = 0.5  # seconds for Ray to take its leave of a head that is gone
_CLIENT = "ray://"
_OBJECTS = 128 << 20  # bytes of shared memory, where the cluster is begun here
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what its core is worried about it tells on standard error
    "RAY_ENABLE_AUTO_CONNECT": "0",  # what is still under way when we leave would come back
}

BY_RAY = ("auto", "local")
"""Addresses of which Ray itself knows where the head is."""


def named(address: str) -> str:
    """The address of a cluster; for `auto` that which `RAY_ADDRESS` says, as for Ray itself.

    Raises:
        SettingsError: it is none.
    """
    address = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if address not in BY_RAY:
        place(address)
    return address


def place(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        SettingsError: it has not both.
    """
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or "/" in host or not re.fullmatch("[0-9]{1,5}", port):
        raise SettingsError(
            f"--ray {address}: give host:port of the cluster's head (6379 is the port unless another was chosen),"
            f" {_CLIENT}host:port, auto, or local"
        )
    return host.strip("[]"), int(port)


def known(ray: Any) -> str:
    """Where the cluster is, or was, that Ray knows of on this machine; `auto` if it does not tell.

    Raises:
        ClusterError: it knows of none.
    """
    try:
        return str(ray._private.services.get_ray_address_from_environment("auto", None))
    except ConnectionError as error:
        raise _absent("auto", line(error)) from None
    except (AttributeError, TypeError):  # it promises this to nobody
        return "auto"


def reached(address: str) -> tuple[Any, str]:
    """Ray, and where the cluster is that is `named` so; somebody listens there.

    Raises:
        MissingDependency: Ray is not installed.
        ClusterError: nothing listens there.
    """
    ray = library(address)
    found = known(ray) if address == "auto" else address
    if found not in BY_RAY:
        require_answer(found)
    return ray, found


def require_answer(address: str) -> None:
    """Ray would try for minutes, and write of it on the screen.

    Raises:
        ClusterError: nothing listens there.
    """
    try:
        socket.create_connection(place(address), timeout=_PATIENCE).close()
    except (OSError, OverflowError, UnicodeError) as error:  # the latter: no port, no name
        raise _absent(address, getattr(error, "strerror", None) or str(error)) from None


def _absent(address: str, cause: str) -> ClusterError:
    return ClusterError(
        f"there is no Ray cluster at {address} ({cause}); begin one (ray start --head), or give --ray local"
    )


def library(address: str) -> Any:
    """Ray, which tells nobody of itself."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise MissingDependency("ray", "ray", "--ray") from None
    if address.startswith(_CLIENT) and importlib.util.find_spec("grpc") is None:
        raise MissingDependency("'ray[client]'", None, f"--ray {address}")
    return ray


def require_data() -> None:
    """Ray Data is there, which tells nobody of itself either.

    Raises:
        MissingDependency: something that it needs is not installed.
    """
    try:
        import ray.data
    except ImportError as error:
        raise MissingDependency(error.name or "ray.data", "ray", "--ray") from None
    logging.getLogger(ray.data.__name__).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def connected(ray: Any, address: str) -> Iterator[tuple[str, int]]:
    """A connection for the time of the context; where the head listens."""
    here = {"include_dashboard": False, "object_store_memory": _OBJECTS} if address == "local" else {}
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        with _unheard():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
        _keep_quiet(ray)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_term)  # Ray has put an end of its own there
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address == "auto":
            raise _absent(address, line(error)) from None
        if address == "local":
            raise ClusterError(f"Ray cannot begin a cluster on this machine: {line(error)}") from None
        raise ClusterError(
            f"the Ray cluster at {address} cannot be used ({line(error)}); it has to have the version of Ray that is"
            " here, and one that asks for a token wants RAY_AUTH_MODE=token"
        ) from None
    head = place(ray.get_runtime_context().gcs_address if address in BY_RAY else address)
    try:
        yield head
    finally:
        # Of a cluster that is gone Ray takes its leave for a minute.
        leaving = threading.Thread(target=ray.shutdown, name="antiphon-ray-shutdown", daemon=True)
        leaving.start()
        leaving.join(_PATIENCE if answers(head) else _FAREWELL)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Nothing of this process reaches standard error: Ray's core says there that it has been told to be quiet."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _keep_quiet(ray: Any) -> None:
    """Ray prints what machines tell of workers that died, whatever `log_to_driver` says, and on standard output, which
    is the command's."""
    with contextlib.suppress(AttributeError):  # it promises this to nobody
        if callable(ray._private.worker.print_to_stdstream):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None


class Pulse:
    """Whether a cluster's head still answers.

    Args:
        head: where it listens.
    """

    def __init__(self, head: tuple[str, int]):
        self._head = head
        self._heard = time.monotonic()

    async def lost(self) -> str | None:
        """Looks; once the head has been silent for long, what to say of it."""
        if await asyncio.to_thread(answers, self._head):
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _PATIENCE:
            return f"the head of the Ray cluster, {self._head[0]}:{self._head[1]}, does not answer any more"
        return None


def answers(head: tuple[str, int]) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(head, timeout=_PROBE).close()
    except OSError:
        return False
    return True


def line(error: BaseException) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if len(lines) < 2 or "Traceback" not in str(error) else lines[-1])[:300] if lines else repr(error)
