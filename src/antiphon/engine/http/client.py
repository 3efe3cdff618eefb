"""HTTP to one server: requests, and streams of server-sent events."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Self

import aiohttp

from antiphon.engine.http.address import proxy_for, trusted, without_user
from antiphon.engine.http.body import DATA, events_of, parsed, spelled
from antiphon.engine.http.diagnosis import fault_of, refusal
from antiphon.engine.models import shown
from antiphon.errors import SettingsError

_CLOSES = "llama.cpp"  # closes the connection after each stream without a word, so that the next request would fail
_IDLE = 4.0  # seconds a free connection is kept: less than the 5 after which most servers close theirs
_SECRET = 8  # characters from which a word of a header may be a secret
_AT_ONCE = 4  # requests that may begin in one pass of the event loop
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time: close() sends RST, which leaves no TIME_WAIT behind


class Client:
    """Connections to one server, as many at once as there are requests.

    Args:
        base: the server's address, without a path of an API (`http://host:8000`). A name and password in it are sent
            with every request, too, and never shown.
        headers: sent with every request; they may hold a key and are never shown.
        timeout: seconds without a byte after which a request counts as broken.
        proxy: an HTTP proxy's address; unset: what the environment says (`HTTPS_PROXY`, `NO_PROXY`).
        verify: whether the certificate must be valid, or the path of the authorities to trust.
        address: which of the addresses of the host's name; unset: any.

    Raises:
        SettingsError: these do not go together, or cannot be used.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        proxy: str | None = None,
        verify: bool | str = True,
        address: str | None = None,
    ):
        self.base, user = without_user(base.rstrip("/"))
        self.shown = shown(self.base) + (f" ({address})" if address else "")
        """The address for people and the record."""
        self.has_user = user is not None
        """Whether a name and password came with the address."""
        self._headers = dict(headers)
        if user is not None:
            if any(name.lower() == "authorization" for name in headers):
                raise SettingsError(
                    f"{self.shown}: the name and password in its URL and a key (server.key, server.headers) cannot "
                    "both be sent; leave one out"
                )
            self._headers["Authorization"] = user
        self._timeout = timeout
        self._proxy = proxy_for(self.base, proxy)
        self._address = address
        if address and self._proxy:
            raise SettingsError(f"{self.shown}: a proxy finds addresses itself; leave out dns:, or the proxy")
        self._ssl = trusted(verify)
        self._closes = False
        self._gate = _Gate()
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str) -> Any:
        """The JSON at a path.

        Raises:
            Fault: there is none.
        """
        return await self._reply("GET", path, None)

    async def text(self, path: str, body: Mapping[str, Any] | None = None) -> str:
        """What is at a path, or answers a body, as text.

        Raises:
            Fault: there is none.
        """
        async with _Attempt(self, "GET" if body is None else "POST", path, body) as response:
            return await response.text("utf-8", "replace")

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that answers a body.

        Raises:
            Fault: there is none.
        """
        return await self._reply("POST", path, body)

    async def _reply(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        async with _Attempt(self, method, path, body) as response:
            return parsed(await response.read())

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Any]:
        """As `stream`, each event by itself.

        Raises:
            Fault: the stream did not begin, or broke.
        """
        async with self.stream(path, body) as stream:
            while (burst := await stream.burst()) is not None:
                for event in burst:
                    yield event

    def stream(self, path: str, body: Mapping[str, Any]) -> Stream:
        """Posts a body, as a context: what answers it.

        Raises:
            Fault: the stream did not begin (entering the context), or broke (leaving it).
        """
        return Stream(_Attempt(self, "POST", path, body))

    def without_secrets(self, body: bytes) -> bytes:
        """A server's words, without what they repeat of the headers."""
        for value in self._headers.values():
            for word in value.encode().split():
                if len(word) >= _SECRET:
                    body = body.replace(word, b"***")
        return body

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise_file_limit()
            self._session = aiohttp.ClientSession(
                # Neither a cap on connections (aiohttp's own is 100) nor on the length of an answer.
                connector=aiohttp.TCPConnector(
                    limit=0,
                    ssl=self._ssl,
                    keepalive_timeout=_IDLE,
                    resolver=_Pinned(self._address) if self._address else None,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(30, self._timeout), sock_read=self._timeout),
                headers=self._headers,
                auto_decompress=True,
                read_bufsize=1 << 16,
            )
        return self._session


class _Pinned(aiohttp.abc.AbstractResolver):
    """Knows one address, whatever it is asked for."""

    def __init__(self, address: str):
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """See `AbstractResolver`."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [
            {
                "hostname": host,
                "host": self._address,
                "port": port,
                "family": family,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        """See `AbstractResolver`."""


class _Gate:
    """Lets few requests begin in one pass of the event loop. A loop with more to do than time reads all its streams
    once a pass; were all traces free to begin their next turn in it, passes would be long, and a server would write on
    for long behind a cut that nobody has read. So who must wait does so before it costs a token."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def passed(self) -> None:
        """Returns when it is one's turn."""
        loop = asyncio.get_running_loop()
        if not self._waiting or self._waiting[0].done():  # given up, in a loop that was closed perhaps
            loop.call_soon(self._open)
        self._waiting.append(loop.create_future())
        await self._waiting[-1]

    def _open(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._open)


class _Attempt:
    """One request, as a context: entered with a reply of status 200, left with the connection free or reset."""

    def __init__(self, client: Client, method: str, path: str, body: Mapping[str, Any] | None):
        self._client = client
        self._method = method
        self._path = path
        self._body = None if body is None else spelled(body)
        self._streamed = body is not None and bool(body.get("stream"))
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        client = self._client
        headers = {} if self._body is None else {"Content-Type": "application/json"}
        if client._closes and self._streamed:
            headers["Connection"] = "close"
        await client._gate.passed()
        try:
            response = await client._opened().request(
                self._method,
                client.base + self._path,
                data=self._body,
                headers=headers,
                proxy=client._proxy,
                allow_redirects=False,
            )
            self._response = response
            client._closes = response.headers.get("Server") == _CLOSES
            if response.status != 200:
                raise refusal(response.status, response.headers, client.without_secrets(await response.read()))
            return response
        except Exception as error:
            self._reset()
            raise self._fault(error) from None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        response = self._response
        assert response is not None
        if error is None and response.content.at_eof():
            response.release()
        else:
            self._reset()
        if isinstance(error, Exception):
            raise self._fault(error) from None

    def _fault(self, error: Exception) -> Exception:
        return fault_of(error, proxy=self._client._proxy, timeout=self._client._timeout)

    def _reset(self) -> None:
        response = self._response
        if response is None or response.connection is None:
            return
        transport = response.connection.transport
        if transport is not None:
            with suppress(OSError, AttributeError):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        response.close()


class Stream:
    """The events of the reply to one request; a plain reply counts as one event. A context: leaving it before the end
    resets the connection, by which the server knows that nobody listens."""

    def __init__(self, attempt: _Attempt):
        self._attempt = attempt
        self._rest = b""
        self._broken: Exception | None = None
        self._over = False

    async def __aenter__(self) -> Self:
        self._response = await self._attempt.__aenter__()
        self._is_stream = self._response.content_type == "text/event-stream"
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._attempt.__aexit__(*error)

    async def burst(self, least: int = 1) -> Iterable[Any] | None:
        """The JSON of the events that arrived together, and at least so many but for the last ones: a process pays for
        each burst and not for each token. None: the reply is over.

        Raises:
            Fault: an event is none (while the burst is iterated).
            Exception: the reply broke, which leaving the context makes a Fault; what came before is given first.
        """
        if not self._is_stream:
            if self._over:
                return None
            self._over = True
            return (parsed(await self._response.read()),)
        content = self._response.content
        while not self._over and self._broken is None:
            try:
                block = await content.readany()
                self._over = not block
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                block, self._broken = b"", error
            self._rest += block
            if block and self._rest.count(DATA) < least and not content.at_eof():
                continue
            *lines, self._rest = self._rest.split(b"\n")
            if self._over and self._rest:
                lines.append(self._rest)  # a server may end without a line break
            if lines:
                return events_of(lines)
        if self._broken is not None:
            raise self._broken
        return None


@cache
def raise_file_limit() -> None:
    """Lets this process have as many connections as the system allows; many systems begin at 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
