"""Which servers a role has, where that changes while a run works: the lines of a file, the addresses of a name."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from antiphon import events
from antiphon.engine.http.faults import Fault
from antiphon.engine.http.find import base_of
from antiphon.engine.http.server import Server
from antiphon.engine.http.servers import Servers
from antiphon.engine.models import shown
from antiphon.errors import EngineUnavailable, ModelError
from antiphon.tasks import end

_EVERY = 5.0  # seconds between two looks


class Member(NamedTuple):
    """Where a server is: its URL, and which of the addresses that its name has (None: any)."""

    url: str
    address: str | None = None


class Members(ABC):
    """What tells the servers of a role."""

    changes = True
    """Whether it may tell others later."""

    name: str
    """For people."""

    @abstractmethod
    async def now(self) -> list[Member]:
        """Those that there are now, each once.

        Raises:
            ModelError: it can tell none, and says why.
            EngineUnavailable: it cannot tell now.
        """


class Fixed(Members):
    """URLs, once and for all."""

    changes = False

    def __init__(self, urls: Sequence[str]):
        self._urls = urls
        self.name = ", ".join(shown(base_of(url)) for url in urls)

    async def now(self) -> list[Member]:
        """See `Members.now`."""
        return [Member(url) for url in self._urls]


class Listed(Members):
    """The URLs in a file, one a line; empty lines and what follows a `#` at a line's beginning are passed over."""

    def __init__(self, path: Path):
        self._path = path
        self.name = f"servers:{path}"

    async def now(self) -> list[Member]:
        """See `Members.now`. A file without a URL is one that is being written: it tells nothing."""
        try:
            lines = (await asyncio.to_thread(self._path.read_text, "utf-8")).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ModelError(f"{self._path}: the list of servers cannot be read: {why}") from None
        urls = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not urls:
            raise ModelError(f"{self._path}: there is no server in the list; write an address a line")
        return [Member(url) for url in dict.fromkeys(urls)]


class Resolved(Members):
    """All addresses that the name in a URL has."""

    def __init__(self, url: str):
        self._url = url
        self.name = f"dns:{shown(base_of(url))}"

    async def now(self) -> list[Member]:
        """See `Members.now`. A machine mostly has an address of each kind: IPv4 is taken where there is any."""
        try:
            host = urlsplit(self._url).hostname or ""
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise EngineUnavailable(f"{self.name}: the name has no address ({why})") from None
        by_family: dict[int, list[str]] = {}
        for family, _, _, _, place in found:
            by_family.setdefault(family, []).append(str(place[0]))
        addresses = by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6) or []
        return [Member(self._url, address) for address in sorted(set(addresses))]


def members_of(reference: str) -> Members:
    """What a role's reference names: `servers:FILE`, `dns:URL`, or URLs with commas between them.

    Raises:
        ModelError: what should be a URL is none.
    """
    kind, _, rest = reference.partition(":")
    if kind == "servers":
        return Listed(Path(rest))
    if kind == "dns":
        return Resolved(rest)
    return Fixed([url.strip() for url in reference.split(",")])


class Following:
    """Keeps the servers of a role those that their list tells, while a run works.

    New ones are asked what they are before they get a sequence, again and again until they answer. Those that are no
    longer told keep the sequences that live there and get no more. A list that cannot be read changes nothing.

    Args:
        here: those that are connected.
        join: connects another; raises Fault, ModelError or EngineUnavailable where it does not serve the same.
    """

    def __init__(
        self,
        members: Members,
        servers: Servers,
        here: dict[Member, Server],
        join: Callable[[Member], Awaitable[Server]],
    ):
        self._members, self._servers, self._join = members, servers, join
        self._here = here
        self._joining: dict[Member, asyncio.Task[None]] = {}
        self._said: dict[object, str] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Looks from now on, every few seconds."""
        if self._members.changes:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Looks no more."""
        tasks = [*self._joining.values(), *([self._task] if self._task else [])]
        await end(tasks)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Looks once."""
        try:
            told = await self._members.now()
        except (EngineUnavailable, ModelError) as error:
            self._say(None, str(error))
            return
        self._said.pop(None, None)
        for member in told:
            if member not in self._here and member not in self._joining:
                self._joining[member] = asyncio.create_task(self._add(member))
        for member in [one for one in self._joining if one not in told]:
            self._joining.pop(member).cancel()
        for member, server in list(self._here.items()):
            leaves = member not in told
            if leaves and not server.leaving:
                events.happened("server_leaving", server=server.client.shown)
            server.leaving = leaves
            if leaves and not server.sequences:
                await self._servers.remove(server)
                del self._here[member]
                events.happened("server_removed", server=server.client.shown)
            elif not leaves and not server.up:
                self._servers.watch(server)

    async def _add(self, member: Member) -> None:
        try:
            server = await self._join(member)
        except (Fault, EngineUnavailable, ModelError) as error:
            self._say(member, str(error))
        else:
            self._said.pop(member, None)
            self._here[member] = server
            self._servers.add(server)
            events.happened("server_added", server=server.client.shown)
        finally:
            if self._joining.get(member) is asyncio.current_task():
                del self._joining[member]

    def _say(self, of: object, what: str) -> None:
        """Says it once, until it is something else."""
        if self._said.get(of) != what:
            self._said[of] = what
            events.warned("server_not_added" if of else "servers_unknown", cause=what)
