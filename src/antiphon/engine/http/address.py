"""What an address and its surroundings ask of a connection: a name and password, keys, a proxy, certificates."""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from antiphon.engine.models import shown
from antiphon.errors import SettingsError
from antiphon.settings import Connection


def without_user(url: str) -> tuple[str, str | None]:
    """A URL without the name and password in it, and the header `Authorization` that carries them."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL, which its first use will tell
        return url, None
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    said = f"{unquote(name)}:{unquote(password)}".encode()
    return urlunsplit(parts._replace(netloc=host)), f"Basic {b64encode(said).decode()}"


def proxy_for(url: str, named: str | None) -> str | None:
    """The proxy between this process and a URL.

    Args:
        named: by the settings; None: what the environment says (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`), but never
            for a server on this machine.

    Raises:
        SettingsError: it is of a kind that cannot be used.
    """
    proxy = named or _environment_proxy(url)
    if proxy is None:
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise SettingsError(f"{shown(proxy)}: only HTTP proxies can be used; see server.proxy, HTTP_PROXY, HTTPS_PROXY")
    return proxy


def _environment_proxy(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def trusted(verify: bool | str) -> ssl.SSLContext | bool:
    """Which certificates are trusted, as the library wants it.

    Args:
        verify: those of the system, all of them (false), or the authorities in a file.

    Raises:
        SettingsError: the file holds none.
    """
    if isinstance(verify, bool):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"server.verify: {verify}: no certificates can be read there ({error})") from None


def headers_of(options: Connection) -> dict[str, str]:
    """The headers that settings ask for, the key among them; secrets are taken from the environment.

    Raises:
        SettingsError: the environment lacks a variable.
    """
    headers = {name: _with_variables(value) for name, value in options.headers.items()}
    if options.key is not None:
        headers["Authorization"] = f"Bearer {_variable(options.key)}"
    return headers


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"server.key: the environment has no variable {name}; it should hold the server's key")
    return value


def _with_variables(value: str) -> str:
    """A header's value, `${NAME}` in it taken from the environment, so that no secret stands in a file."""
    return re.sub(r"\$\{(\w+)\}", lambda name: _variable(name[1]), value)
