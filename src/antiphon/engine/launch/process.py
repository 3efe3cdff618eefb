"""One server process: started on a port, ready or explained, ended with all its children."""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic

from antiphon.engine.launch import watch
from antiphon.errors import EngineUnavailable, ModelError

GRACE = 10.0
"""Seconds a server has to end by itself before it is killed."""

_TAIL = 15  # lines of a log that an error shows
_PREFIX = re.compile(r"(\(\w+ pid=\d+\) )?([A-Z]+ \S+ \S+ \[\S+\] )?")  # of vLLM's lines; it fits every line
_WHY = {
    "SIGKILL": "it may have run out of memory",
    "SIGILL": "it was built for another processor; build it anew, with GGML_NATIVE=OFF if it is llama.cpp's",
}
_PORTS = range(20_000, 32_000)  # below those that systems give to outgoing connections, which would take one meanwhile


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EngineUnavailable(f"no free port from {_PORTS.start} to {_PORTS.stop - 1} for a server; end others first")


class Process:
    """A server that has been started. `log` holds all that it writes; the file stays where it did not end well."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], port: int):
        self.log, self._name, self._port = _log_file(name), name, port
        self._ready = False
        watcher = [sys.executable, "-I", "-S", watch.__file__, str(GRACE), *command]
        with self.log.open("wb") as log:
            self._watcher = subprocess.Popen(
                watcher, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
            )  # in a session of its own: Ctrl-C in the terminal is for us, and the turns in flight are still wanted

    @property
    def ended(self) -> str | None:
        """How it ended, with what the end of its log tells; None while it runs."""
        status = self._watcher.poll()
        if status is None:
            return None
        return f"{self._name} ended ({_meaning(status)}){self._tail()}"

    async def ready(self, patience: float) -> None:
        """Returns when it answers `GET /health` with 200.

        Raises:
            ModelError: it ended before.
            EngineUnavailable: it was not ready within `patience` seconds.
        """
        until = monotonic() + patience
        while not await asyncio.to_thread(_healthy, self._port):
            if (how := self.ended) is not None:
                raise ModelError(how)
            if monotonic() > until:
                raise EngineUnavailable(f"{self._name} was not ready after {patience:g} s{self._tail()}")
            await asyncio.sleep(0.1)
        if (how := self.ended) is not None:  # somebody else answers at its port
            raise ModelError(how)
        self._ready = True

    async def stop(self) -> None:
        """Ends it and waits until it has ended. Safe to call twice."""
        well = self._ready and self._watcher.poll() is None
        await asyncio.to_thread(self._end)
        if well:
            self.log.unlink(missing_ok=True)

    def _end(self) -> None:
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        try:
            self._watcher.wait(GRACE + 5)
        except subprocess.TimeoutExpired:  # stuck in the kernel; nobody can end it now
            self._watcher.kill()
            self._watcher.wait()

    def _tail(self) -> str:
        try:
            lines = list(_telling(self.log.read_text("utf-8", "replace").splitlines()))
        except OSError as error:
            return f"; its log {self.log} cannot be read ({error.strerror})"
        if not lines:
            return f"; its log {self.log} is empty"
        return "\n  ".join([f"; the end of {self.log}:", *lines[-_TAIL:]])


def _telling(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are not blank, and of Python's tracebacks what was raised: vLLM's are longer than any tail, and what
    went wrong stands before several others that followed from it."""
    in_frame = False
    for line in lines:
        text = line[_PREFIX.match(line).end() :]  # type: ignore[union-attr]
        frame = text.startswith('  File "')
        if not (frame or in_frame or text.startswith("Traceback (") or not text.strip(" ^~")):
            yield line
        in_frame = frame  # the next line shows its source


def _log_file(name: str) -> Path:
    plain = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    number, path = tempfile.mkstemp(prefix=f"antiphon-{plain}-", suffix=".log")
    os.close(number)
    return Path(path)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # unlike urllib, it asks no proxy
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _meaning(status: int) -> str:
    if status <= 128:
        return f"exit status {status}"
    try:
        name = signal.Signals(status - 128).name
    except ValueError:
        return f"exit status {status}"
    return f"{name}: {_WHY[name]}" if name in _WHY else name
