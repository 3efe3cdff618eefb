"""HTTP to one server: requests, streams of server-sent events, and what their failures mean."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cache
from time import time
from typing import Any, Self

import aiohttp
import orjson

from antiphon.engine.http.address import proxy_for, trusted, without_user
from antiphon.engine.http.faults import Broken, Denied, Down, Fault, Refused, Transient
from antiphon.engine.models import shown
from antiphon.errors import SettingsError

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_PROXIES = {
    413: "a proxy takes no request of this length (nginx: client_max_body_size)",
    502: "a proxy reaches no server behind it",
    504: "a proxy gave up waiting for the server; let it wait longer (nginx: proxy_read_timeout)",
}
"""What a proxy means by a status, for a server itself hardly ever says so."""
_SHOWN = 200  # characters of a server's own words in an error
_CLOSES = "llama.cpp"  # closes the connection after each stream without a word, so that the next request would fail
_IDLE = 4.0  # seconds a free connection is kept: less than the 5 after which most servers close theirs
_SECRET = 8  # characters from which a word of a header may be a secret
_AT_ONCE = 4  # requests that may begin in one pass of the event loop
_DATA = b"data:"
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
        self._body = None if body is None else _spelled(body)
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
                raise _refusal(response, client.without_secrets(await response.read()))
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

    def _fault(self, error: Exception) -> Exception:
        """What an exception of the library means."""
        client = self._client
        match error:
            case Fault():
                return error
            case aiohttp.ClientConnectorCertificateError():
                return Refused(
                    f"its certificate is not trusted ({_reason(error)}); name the authority to trust"
                    " (server.verify = PATH), or set server.verify = false",
                    495,
                )
            case aiohttp.ClientConnectorSSLError():
                return Refused(f"no TLS connection comes about ({_reason(error)}); is it an http:// address?", 495)
            case aiohttp.ClientProxyConnectionError():
                return Down(f"the proxy {shown(client._proxy or '')} does not answer ({_reason(error)})")
            case aiohttp.ClientHttpProxyError():  # its own text would show the proxy's password
                return Transient(f"the proxy {shown(client._proxy or '')} answers HTTP {error.status}: {error.message}")
            case aiohttp.ClientConnectorError():
                return Down(f"nothing answers there ({_reason(error)})")
            case aiohttp.ClientPayloadError():
                return Broken("the connection broke in the middle of a reply")
            case aiohttp.InvalidURL():
                return Refused("this is no address of a server", 400)
            case TimeoutError():
                return Transient(f"it sent nothing for {client._timeout:g} s")
            case aiohttp.ClientError() | ConnectionError():
                return Broken(f"the connection broke ({_reason(error)})")
            case _:
                return error


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
            if block and self._rest.count(_DATA) < least and not content.at_eof():
                continue
            *lines, self._rest = self._rest.split(b"\n")
            if self._over and self._rest:
                lines.append(self._rest)  # a server may end without a line break
            if lines:
                return _events(lines)
        if self._broken is not None:
            raise self._broken
        return None


def _events(lines: Iterable[bytes]) -> Iterator[Any]:
    """The JSON of each event.

    Raises:
        Transient: the server says that it failed, or writes something else.
    """
    for line in lines:
        if line.startswith(_DATA):
            data = line[5:].strip()
            if data != b"[DONE]":
                yield parsed(data)
        elif line.startswith(b"error:"):  # llama.cpp
            raise Transient(_told(line[6:]))


def _spelled(body: Mapping[str, Any]) -> bytes:
    """A body as JSON; a lone surrogate, which UTF-8 cannot spell, becomes U+FFFD as in a tokenizer's hands."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        text = json.dumps(body, ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def parsed(data: bytes) -> Any:
    """JSON, lone surrogates allowed (models write them).

    Raises:
        Transient: it is none.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data)
        except ValueError:
            raise Transient(f"its reply is not JSON: {_excerpt(data)}") from None


@cache
def raise_file_limit() -> None:
    """Lets this process have as many connections as the system allows; many systems begin at 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _refusal(response: aiohttp.ClientResponse, body: bytes) -> Fault:
    status = response.status
    words = f"HTTP {status}: {_told(body)}"
    if status in (401, 403):
        return Denied(words, by_name=response.headers.get("WWW-Authenticate", "").lower().startswith("basic"))
    if "Location" in response.headers and 300 <= status < 400:
        words = f"HTTP {status}: it sends on to {shown(response.headers['Location'])}; give that address"
    elif status in _PROXIES:
        words += f"; {_PROXIES[status]}"
    if status in _BUSY:
        kind = Broken if status in (502, 503) else Transient
        return kind(words, _retry_after(response.headers.get("Retry-After")))
    return Refused(words, status)


def _told(body: bytes) -> str:
    """A server's own words on what is wrong."""
    try:
        told = json.loads(body)
        error = told.get("error", told) if isinstance(told, dict) else told
        message = error.get("message", error.get("detail", error)) if isinstance(error, dict) else error
        return str(message)[:_SHOWN]
    except ValueError:
        return _excerpt(body)


def _excerpt(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    title = re.search(r"<title>\s*(.*?)\s*</title>", text, re.IGNORECASE | re.DOTALL)
    if title is not None or text.lstrip().startswith("<"):
        return f"a web page ({title[1] if title else 'without a title'})"
    return repr(text[:_SHOWN]) if text else "nothing"


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time())
        except ValueError:
            return None


def _reason(error: BaseException) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLError):
        return getattr(inner, "verify_message", None) or inner.reason or str(inner)
    number = getattr(inner, "errno", None)
    known = os.strerror(number) if isinstance(number, int) and number > 0 else getattr(inner, "strerror", None)
    return known or str(inner) or type(inner).__name__
