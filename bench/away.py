"""Puts a pair of servers behind TLS and some way off: a relay between them and whoever asks.

python -m bench.away CERTIFICATE SECONDS LISTEN:SERVER ...      what `away` starts, a process of its own

What passes is held for so many seconds in each direction, and so is the news of a connection that is closed.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import uvloop

from bench.simulator import Pair, SimulatedServer, free_ports


@contextmanager
def away(pair: Pair, folder: Path, seconds: float) -> Iterator[Pair]:
    """The pair as it is seen from afar, for as long as the context lasts."""
    certificate = folder / "certificate.pem"
    key = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    name = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ("-keyout", certificate, "-out", folder / "public.pem")
    subprocess.run(["openssl", "req", *key.split(), *name.split(), *files], check=True, capture_output=True)
    public = (folder / "public.pem").read_text("ascii")
    certificate.write_text(certificate.read_text("ascii") + public, "ascii")
    (free,) = free_ports(1)
    fronts = dict(zip((server.port for server in pair.servers), free, strict=True))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.away", certificate, str(seconds)]
        + [f"{front}:{port}" for port, front in fronts.items()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()

    def seen(server: SimulatedServer) -> SimulatedServer:
        return replace(server, front=fronts[server.port], authority=folder / "public.pem")

    try:
        yield replace(pair, teacher=seen(pair.teacher), student=seen(pair.student))
    finally:
        process.terminate()
        process.communicate()


class _End(asyncio.Protocol):
    """One end of a connection that is relayed; what it hears the other one says later."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._early: list[bytes] = []
        self._lost = False
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        for data in self._early:
            self.transport.write(data)
        if self._lost:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self._loop.call_later(self._seconds, self.other.say, data)

    def connection_lost(self, error: Exception | None) -> None:
        assert self.other is not None
        self._loop.call_later(self._seconds, self.other.end)

    def say(self, data: bytes) -> None:
        """Says what the other end heard."""
        if self.transport is None:
            self._early.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """The other end is gone."""
        self._lost = True
        if self.transport is not None:
            self.transport.abort()


async def _relay(certificate: str, seconds: float, ports: list[tuple[int, int]]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    opening: set[asyncio.Task[object]] = set()

    def accept(port: int) -> _End:
        one, other = _End(seconds), _End(seconds)
        one.other, other.other = other, one
        task: asyncio.Task[object] = loop.create_task(loop.create_connection(lambda: other, "127.0.0.1", port))
        opening.add(task)
        task.add_done_callback(opening.discard)
        return one

    for front, port in ports:
        await loop.create_server(lambda port=port: accept(port), "127.0.0.1", front, ssl=context, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(
        _relay(
            sys.argv[1],
            float(sys.argv[2]),
            [(int(front), int(port)) for front, port in (word.split(":") for word in sys.argv[3:])],
        )
    )
