"""From an address to what serves there: which kind of server, which model, and what it tells of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from antiphon.engine.http.chat import Chat
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Denied, Down, Fault, Refused
from antiphon.engine.http.llamacpp import LlamaCpp
from antiphon.engine.http.openai import OpenAI
from antiphon.engine.http.sglang import SGLang
from antiphon.engine.http.vllm import VLLM
from antiphon.engine.http.wire import Facts, Wire
from antiphon.engine.models import shown
from antiphon.errors import EngineUnavailable, ModelError
from antiphon.settings import Connection

WIRES: tuple[type[Wire], ...] = (LlamaCpp, SGLang, VLLM, Chat, OpenAI)
"""Tried in this order: the last is any other."""

_CHAT_ROUTE = re.compile(r"(/v1)?/chat(/completions)?$")
_ROUTE = re.compile(r"(/v1)?(/completions?|/generate|/models)?$")


class Found(NamedTuple):
    """A server that answered."""

    wire: Wire
    facts: Facts


def base_of(address: str) -> str:
    """The address without the path of an API.

    Raises:
        ModelError: it is no address.
    """
    if not re.match(r"https?://[^/\s]+", address):
        raise ModelError(f"{shown(address)}: no address of a server; one begins with http://host or https://host")
    address = address.rstrip("/")
    return _ROUTE.sub("", _CHAT_ROUTE.sub("", address))


def chat_route(address: str) -> str | None:
    """The path of the chat route that an address names, behind its base (vendors have others than `/v1/...`)."""
    route = _CHAT_ROUTE.search(address.rstrip("/"))
    return None if route is None else f"{route[1] or ''}/chat/completions"


async def find(client: Client, options: Connection, chat: str | None = None) -> Found:
    """Asks a server what it is.

    Args:
        chat: the chat route to take, where the address named one.

    Raises:
        EngineUnavailable: it does not answer, or not now.
        ModelError: no completion server, another model, or no key.
    """
    try:
        listed = await _listed(client, options, chat)
        kind = await _kind(client, listed, options, chat)
        wire = kind(str(listed["id"]))
        if isinstance(wire, Chat):
            wire.path, wire.prefix = chat or wire.path, options.prefix
        return Found(wire, await wire.facts(client, listed))
    except Fault as fault:
        raise explained(client, fault, options) from None
    except (LookupError, TypeError, AttributeError):
        raise ModelError(
            f'{client.shown}: it does not tell of itself as {options.kind} servers do; set server.kind = "auto"'
        ) from None


async def served_model(client: Client, options: Connection, chat: str | None = None) -> str:
    """The name of the model that a server serves.

    Raises:
        Fault: it does not answer.
        ModelError: it serves none, or not the one that is wanted.
    """
    return str((await _listed(client, options, chat))["id"])


def explained(client: Client, fault: Fault, options: Connection) -> EngineUnavailable | ModelError:
    """A fault at start-up in a user's terms: what to change."""
    match fault:
        case Denied():
            if client.has_user:
                how = "it refuses the name and password in its URL"
            elif options.key:
                how = f"the variable {options.key} holds the key that it refuses"
            elif fault.by_name:
                how = "it wants a name and password: give them in the URL, https://NAME:PASSWORD@host"
            else:
                how = "it wants a key: set server.key to the name of the environment variable that holds one"
            return ModelError(f"{client.shown}: {how} ({fault})")
        case Refused(status=404):
            return ModelError(
                f"{client.shown}: no completion server is there ({fault}); give the address before /v1/completions"
            )
        case Refused():
            return ModelError(f"{client.shown}: {fault}")
        case Down():
            return EngineUnavailable(f"{client.shown}: {fault}; is the server up, and is this its address?")
        case _:
            return EngineUnavailable(f"{client.shown}: {fault}")


async def _listed(client: Client, options: Connection, chat: str | None) -> Mapping[str, Any]:
    """The model's entry in the list of those that are served. A chat endpoint need not have the list, if the model's
    name is known."""
    try:
        told = await client.get("/v1/models" if chat is None else chat.replace("/chat/completions", "/models"))
    except Refused:
        if options.served is None or (chat is None and options.kind != Chat.kind):
            raise
        return {"id": options.served}
    return _entry(client, told, options)


def _entry(client: Client, told: Any, options: Connection) -> Mapping[str, Any]:
    """The model's entry in the list of those that are served."""
    try:
        entries = {str(entry["id"]): entry for entry in told["data"]}
    except (LookupError, TypeError):
        raise ModelError(f"{client.shown}: /v1/models is no list of models, so this is no completion server") from None
    names = ", ".join(entries)
    if options.served is not None:
        if options.served not in entries:
            raise ModelError(f"{client.shown}: it does not serve {options.served!r}; it serves {names or 'nothing'}")
        return entries[options.served]  # type: ignore[no-any-return]
    # An entry with a parent is an adapter of another entry.
    own = [entry for entry in entries.values() if not entry.get("parent")]
    if len(own) != 1:
        raise ModelError(f"{client.shown}: it serves {names or 'nothing'}; say which one: server.served")
    return own[0]  # type: ignore[no-any-return]


async def _kind(client: Client, listed: Mapping[str, Any], options: Connection, chat: str | None) -> type[Wire]:
    if chat is not None and options.kind == "auto":
        return Chat
    for wire in (Chat, OpenAI) if options.ids == "never" else WIRES:
        if options.kind == wire.kind or (options.kind == "auto" and await wire.recognises(client, listed)):
            return wire
    return OpenAI
