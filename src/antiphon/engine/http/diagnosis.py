"""What failures of a connection and refusals of a server mean, in words that say what to do."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

import aiohttp

from antiphon.engine.http.body import told
from antiphon.engine.http.faults import Broken, Denied, Down, Fault, Refused, Transient
from antiphon.engine.models import shown

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_PROXIES = {
    413: "a proxy takes no request of this length (nginx: client_max_body_size)",
    502: "a proxy reaches no server behind it",
    504: "a proxy gave up waiting for the server; let it wait longer (nginx: proxy_read_timeout)",
}
"""What a proxy means by a status, for a server itself hardly ever says so."""


def fault_of(error: Exception, *, proxy: str | None, timeout: float) -> Exception:
    """What an exception of a request means: a fault, or the exception itself where it is none of the library's.

    Args:
        proxy: the proxy's address, if one stands between.
        timeout: the seconds after which the library gives up.
    """
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
            return Down(f"the proxy {shown(proxy or '')} does not answer ({_reason(error)})")
        case aiohttp.ClientHttpProxyError():  # its own text would show the proxy's password
            return Transient(f"the proxy {shown(proxy or '')} answers HTTP {error.status}: {error.message}")
        case aiohttp.ClientConnectorError():
            return Down(f"nothing answers there ({_reason(error)})")
        case aiohttp.ClientPayloadError():
            return Broken("the connection broke in the middle of a reply")
        case aiohttp.InvalidURL():
            return Refused("this is no address of a server", 400)
        case TimeoutError():
            return Transient(f"it sent nothing for {timeout:g} s")
        case aiohttp.ClientError() | ConnectionError():
            return Broken(f"the connection broke ({_reason(error)})")
        case _:
            return error


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """What a reply means whose status is not 200."""
    words = f"HTTP {status}: {told(body)}"
    if status in (401, 403):
        return Denied(words, by_name=headers.get("WWW-Authenticate", "").lower().startswith("basic"))
    if "Location" in headers and 300 <= status < 400:
        words = f"HTTP {status}: it sends on to {shown(headers['Location'])}; give that address"
    elif status in _PROXIES:
        words += f"; {_PROXIES[status]}"
    if status in _BUSY:
        kind = Broken if status in (502, 503) else Transient
        return kind(words, _retry_after(headers.get("Retry-After")))
    return Refused(words, status)


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
