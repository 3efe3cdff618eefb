"""Who may read: whoever has the token, from this machine, in a page of this server's own.

A token keeps other users of the machine out; the check of the host keeps out pages of other origins that had their name
resolved to this machine (DNS rebinding); the check of the origin those that send requests across; the headers keep
anybody from framing a page, and a page from loading or running anything that is not of this server.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries."""


class Guard:
    """Passes on what is allowed, with the token taken off the path, and refuses the rest.

    Args:
        port: where the server listens: a request must name it, on the loopback.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int):
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, text = refusal
            await PlainTextResponse(f"{text}\n", status)(scope, receive, with_headers)
            return
        rest = scope["path"][1 + len(self._token) :]
        await self._app(
            {**scope, "path": rest, "raw_path": rest.encode("utf-8", "surrogatepass")}, receive, with_headers
        )

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the words with which a request is refused, None if it is not."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
        host = headers.get(b"host", [])
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost only."
        if any(origin.lower() != f"http://{host[0].lower()}" for origin in headers.get(b"origin", ())):
            return 403, "Another site's page may not ask this server."
        if any(site not in ("none", "same-origin") for site in headers.get(b"sec-fetch-site", ())):
            return 403, "Another site's page led here. Copy the address into the browser's address bar instead."
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "There is nothing to change here."
        _, _, given = scope["path"].partition("/")
        token, _, _ = given.partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token):
            return 404, "There is no such page. Open the address that antiphon view printed."
        return None
