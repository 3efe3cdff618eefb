"""The servers that serve one model: a trace stays with the one that holds its prefix; one that dies is drained."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from antiphon import events
from antiphon.engine.base import ServerState
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Denied, Down, Fault, Refused, Transient
from antiphon.engine.http.server import Server
from antiphon.errors import EngineUnavailable, RequestRefused
from antiphon.tasks import end

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 8.0  # seconds between two tries of a request
_LONGEST_ASKED = 60.0  # seconds that a server may ask to wait
_BETWEEN_PROBES = (1.0, 15.0)


class Servers:
    """All servers of one model.

    Args:
        same: asks a server whether it serves the model; raises a Fault.
        serves: asks it for one token; raises a Fault.
        retries: how often a request is tried again before its trace fails.
    """

    def __init__(
        self,
        servers: list[Server],
        *,
        same: Callable[[Server], Awaitable[None]],
        serves: Callable[[Server], Awaitable[None]],
        retries: int,
    ):
        self._servers = servers
        self._same = same
        self._serves = serves
        self._retries = retries
        self._background: set[asyncio.Task[None]] = set()

    def choose(self) -> Server:
        """For a new sequence: of those that answer the one with the fewest.

        Raises:
            EngineUnavailable: none answers.
        """
        alive = [server for server in self._servers if server.is_open]
        if not alive:
            raise EngineUnavailable(f"{self.names} does not answer")
        return min(alive, key=lambda server: server.sequences)

    def add(self, server: Server) -> None:
        """From now on it gets sequences, too."""
        self._servers.append(server)

    async def remove(self, server: Server) -> None:
        """Lets go of one where no sequence lives."""
        await server.close()
        self._servers.remove(server)

    @property
    def states(self) -> list[ServerState]:
        """How each is doing."""
        return [ServerState(one.client.shown, one.up, one.sequences, one.retries) for one in self._servers]

    @property
    def names(self) -> str:
        """All addresses, for people."""
        return ", ".join(server.client.shown for server in self._servers)

    @property
    def connections(self) -> list[Client]:
        """One per server."""
        return [server.client for server in self._servers]

    async def assured(self, server: Server) -> Client:
        """Its connections, which a request may use; where it may have been gone, it is asked for its model first.

        Raises:
            Fault: it does not serve the model, or does not answer.
        """
        if server.doubtful:
            if server.asking is None:
                server.asking = self._start(self._assure(server))
            await asyncio.shield(server.asking)  # which is asked for all who wait for it
        return server.client

    async def again(self, server: Server, fault: Fault, attempt: int) -> Server:
        """After the `attempt`th failure in a row of a request: waits as long as is right and gives the server for the
        next try.

        Raises:
            RequestRefused: this request fails while the server serves others.
            EngineUnavailable: no server serves.
        """
        shown = server.client.shown
        server.doubt(fault)
        server.retries += 1
        events.happened("retry", server=shown, attempt=attempt, cause=str(fault))
        if isinstance(fault, Refused) and fault.status != 404:
            raise RequestRefused(f"{shown}: {fault}")
        if isinstance(fault, Down | Denied) or (isinstance(fault, Refused) and fault.status == 404):
            return self._leave(server, fault)
        if attempt <= self._retries:
            asked = fault.wait if isinstance(fault, Transient) else None
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
            await asyncio.sleep(max(wait, min(asked or 0.0, _LONGEST_ASKED)))
            return server
        try:
            await self._serves_model(server)
        except Fault as now:
            return self._leave(server, now)
        raise RequestRefused(f"{shown}: {fault}, {attempt} times in a row, while it serves others")

    async def probe(self) -> None:
        """Returns if a server serves; those that do are taken back.

        Raises:
            EngineUnavailable: none does; says why of the first.
        """
        asked = [server for server in self._servers if not server.leaving]
        if not asked:
            raise EngineUnavailable("no server is left: all were taken from the list")
        faults = await asyncio.gather(*map(self._revive, asked))
        if all(fault is not None for fault in faults):
            raise EngineUnavailable(f"{asked[0].client.shown}: {faults[0]}")

    async def close(self) -> None:
        """Lets go of all connections."""
        await end(self._background)
        await asyncio.gather(*(server.close() for server in self._servers))

    def _leave(self, server: Server, fault: Fault) -> Server:
        """The server is out for now."""
        if server.up:
            self._mark_down(server, fault)
            if len(self._servers) > 1:
                self.watch(server)
        if not any(other.is_open for other in self._servers):
            raise EngineUnavailable(f"{server.client.shown}: {fault}")
        return self.choose()

    def _mark_down(self, server: Server, fault: Fault) -> None:
        if server.up:
            events.warned("server_lost", server=server.client.shown, cause=str(fault))
        server.up, server.doubtful = False, True

    def watch(self, server: Server) -> None:
        """Asks one that is down until it answers."""
        if not server.recovering:
            server.recovering = True
            self._start(self._recover(server))

    async def _recover(self, server: Server) -> None:
        """Asks until it answers again, or is to leave."""
        wait, longest = _BETWEEN_PROBES
        try:
            while not server.up and not server.leaving:
                await asyncio.sleep(wait * random.uniform(0.75, 1.25))
                await self._revive(server)
                wait = min(longest, wait * 2)
        finally:
            server.recovering = False

    async def _revive(self, server: Server) -> Fault | None:
        try:
            await self._serves_model(server)
        except Fault as fault:
            self._mark_down(server, fault)
            return fault
        if not server.up:
            with events.concerning(None):
                events.happened("server_back", server=server.client.shown)
        server.up = True
        return None

    async def _serves_model(self, server: Server) -> None:
        await self.assured(server)
        await self._serves(server)

    async def _assure(self, server: Server) -> None:
        try:
            await self._same(server)
            server.doubtful = False
        finally:
            server.asking = None

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Does something in the background, for as long as there are connections."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Fault):  # a Fault is heard by those who wait for it, if any
            raise error
