"""A model behind one or more completion servers."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.dialect import Dialect, Message, Part
from antiphon.engine.base import Capabilities, Engine, Reply, ServerState
from antiphon.engine.http.address import headers_of
from antiphon.engine.http.chat import Chat, whole_reply
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault, Refused, Transient
from antiphon.engine.http.find import Found, base_of, chat_route, explained, find, served_model
from antiphon.engine.http.members import Fixed, Following, Member, Members
from antiphon.engine.http.openai import OpenAI
from antiphon.engine.http.prefix import ReplySequence, require_faithful
from antiphon.engine.http.sequence import HttpSequence, IdSequence, TextSequence
from antiphon.engine.http.server import Server
from antiphon.engine.http.servers import Servers
from antiphon.engine.http.tokenizer import find_tokenizer
from antiphon.engine.http.tokens import FileTokens, ServerTokens, Tokens
from antiphon.engine.http.wire import Ask, Wire, read_event
from antiphon.engine.model_files import hashed
from antiphon.errors import DialectError, EngineUnavailable, ModelError, RequestRefused
from antiphon.settings import Connection, Sampling
from antiphon.trace import pack_ids

if TYPE_CHECKING:
    from antiphon.engine.launch import Launch

_STARTS = ("<｜begin▁of▁sentence｜>", "<|begin_of_text|>", "<bos>", "<s>")  # which servers put before a text themselves
_CHATML = "<|im_start|>"  # llama-server shows a ChatML template for models that bring none
_TRIED = Sampling()


class HttpEngine(Engine):
    """One model at one or more servers. Nothing is asked before `capabilities`, which all else needs.

    Args:
        addresses: where the servers are, or what tells it; all serve the same model.
        options: how to speak to them.
        context: the longest sequence in tokens; None: what the server says.
        launched: a server that is started first and ended with the engine, instead of addresses.
    """

    def __init__(
        self,
        addresses: Sequence[str] | Members,
        options: Connection | None = None,
        *,
        context: int | None = None,
        launched: Launch | None = None,
    ):
        self._options = options or Connection()
        self._members = addresses if isinstance(addresses, Members) else Fixed(addresses)
        self._context = context
        self.launched = launched
        self.name = self._members.name if launched is None else launched.name
        self.remarks: list[str] = [launched.warning] if launched is not None and launched.warning else []
        self._found: Found | None = None
        self._tokens: Tokens | None = None
        self._servers: Servers
        self._following: Following
        self._capabilities: Capabilities | None = None
        self._connecting = asyncio.Lock()

    @property
    def identity(self) -> Mapping[str, str]:
        tokens = self._tokens
        identity = {
            "model": self.name,
            "tokenizer": "" if tokens is None else tokens.digest,
            "template": "" if self.chat_template is None else hashed(self.chat_template),
        }
        if isinstance(self.wire, Chat):
            identity["route"] = "chat" if self.wire.prefix == "never" else f"chat, {self.wire.prefix}"
        return identity

    @property
    def about(self) -> Mapping[str, Any]:
        found, tokens = self._known, self._tokens
        return {
            "servers": [client.shown for client in self._servers.connections],
            "kind": found.wire.kind,
            "version": found.facts.version,
            "tokenizer": None if tokens is None else tokens.source,
            "slots": self._capabilities.slots if self._capabilities else None,
            "scoring": self._capabilities.scoring if self._capabilities else None,
        }

    @property
    def servers(self) -> Sequence[ServerState]:
        return () if self._capabilities is None else self._servers.states

    @property
    def wire(self) -> Wire:
        """The kind of server."""
        return self._known.wire

    @property
    def clients(self) -> list[Client]:
        """A connection to each server, for those who look closer (doctor)."""
        return self._servers.connections

    @property
    def tokens(self) -> Tokens | None:
        """What the model's ids mean, None where the servers take text only."""
        return self._tokens

    @property
    def _known(self) -> Found:
        assert self._found is not None, "capabilities() comes first"
        return self._found

    async def capabilities(self) -> Capabilities:
        async with self._connecting:
            if self._capabilities is None:
                self._capabilities = await self._connect()
        return self._capabilities

    async def _connect(self) -> Capabilities:
        options = self._options
        if self.launched is not None:
            self._members = Fixed([await self.launched.start()])
        members = await self._members.now()
        clients = [self._client(member) for member in members]
        try:
            asked = await asyncio.gather(
                *(self._found_at(client, member) for client, member in zip(clients, members, strict=True))
            )
            here = [number for number, answer in enumerate(asked) if not isinstance(answer, EngineUnavailable)]
            if not here or (len(here) < len(members) and not self._members.changes):
                raise next(answer for answer in asked if isinstance(answer, EngineUnavailable))
            if len(here) < len(members):
                self.remarks.append(f"{self.name}: {len(here)} of {len(members)} servers answer; the others may join")
                await _close(client for number, client in enumerate(clients) if number not in here)
            clients, members = [clients[number] for number in here], [members[number] for number in here]
            found = [answer for answer in asked if isinstance(answer, Found)]
            for client, other in zip(clients[1:], found[1:], strict=True):
                _require_alike(client, other, clients[0].shown, found[0])
            self._found = self._first = found[0]
            self.name = Path(found[0].wire.model).name
            slots = [each.facts.slots for each in found]
            servers = [Server(client, count) for client, count in zip(clients, slots, strict=True)]
            self._servers = Servers(servers, same=self._same, serves=self._one_token, retries=options.retries)
            together = dict(zip(members, servers, strict=True))
            self._following = Following(self._members, self._servers, together, self._join)
            self._tokens = await self._find_tokens(clients[0])
            for server in servers:
                await self._try(server)
        except Fault as fault:
            await _close(clients)
            raise explained(clients[0], fault, options) from None
        except BaseException:
            await _close(clients)
            raise
        contexts = [each.facts.context for each in found if each.facts.context is not None]
        context = min([*contexts, *([self._context] if self._context else [])], default=None)
        counted = [count for count in slots if count is not None]
        self._following.begin()
        return Capabilities(
            ids=self._tokens is not None,
            context=context,
            scoring=self._tokens is not None and self.wire.scores,
            slots=sum(counted) if len(counted) == len(slots) else None,
            continues=not isinstance(self.wire, Chat) or self.wire.prefix != "never",
            renders=isinstance(self.wire, Chat),
        )

    def _client(self, member: Member) -> Client:
        options = self._options
        return Client(
            base_of(member.url),
            headers=headers_of(options),
            timeout=options.timeout,
            proxy=options.proxy,
            verify=options.verify,
            address=member.address,
        )

    async def _found_at(self, client: Client, member: Member) -> Found | EngineUnavailable:
        try:
            return await find(client, self._options, chat_route(member.url))
        except EngineUnavailable as error:
            return error

    async def _join(self, member: Member) -> Server:
        """Connects a server that came later.

        Raises:
            Fault, EngineUnavailable, ModelError: it does not answer, or cannot take part.
        """
        client = self._client(member)
        try:
            found = await find(client, self._options, chat_route(member.url))
            _require_alike(client, found, "this run", self._first)
            context = None if self._capabilities is None else self._capabilities.context
            if context is not None and found.facts.context is not None and found.facts.context < context:
                raise ModelError(f"{client.shown}: its context of {found.facts.context} tokens is less than {context}")
            server = Server(client, found.facts.slots)
            await self._try(server)
        except BaseException:
            await client.close()
            raise
        return server

    async def _find_tokens(self, client: Client) -> Tokens | None:
        """Ids by the first of: the files that the user names, the model's own on this machine, Hugging Face's local
        cache, the server's routes. None: text only."""
        wire, facts = self._known
        tokenizer = find_tokenizer(self._options.tokenizer, wire.model, facts.files)
        if tokenizer is not None:
            self.chat_template = tokenizer.chat_template
            self.special_tokens = tokenizer.special_tokens
        if type(wire) in (OpenAI, Chat):
            return None
        if tokenizer is not None:
            self.controls = tuple(tokenizer.vocabulary.controls)
            return FileTokens(tokenizer.vocabulary, str(tokenizer.path))
        tokens = ServerTokens(self._servers, wire)
        try:
            await tokens.learn((_CHATML,))
        except (Fault, RequestRefused, NotImplementedError, LookupError):
            self.remarks.append(
                f"{client.shown}: text only, since its tokenizer is not on this machine and it has no route for it; "
                "name the tokenizer's folder (server.tokenizer)"
            )
            self._found = Found(OpenAI(wire.model), facts)
            return None
        self.controls = tuple(tokens.controls)
        if facts.template is not None and (_CHATML not in facts.template or _CHATML in tokens.controls):
            self.chat_template = facts.template
        return tokens

    async def _try(self, server: Server) -> None:
        """One token: does the server give ids, and take every sampling value?"""
        while True:
            try:
                return await self._one_token(server)
            except Refused as refused:
                wire = self.wire
                named = wire.leave_out(Ask("", _TRIED, 1), refused) if isinstance(wire, OpenAI) else []
                if not named:
                    raise
                self.remarks.append(f"{server.client.shown}: it takes no {', '.join(named)}; requests go without")

    async def _one_token(self, server: Server) -> None:
        """Returns if the server writes a token.

        Raises:
            Fault: it does not; Refused where it should give ids and gives none.
        """
        tokens, wire = self._tokens, self.wire
        prompt: array[int] | str = "1 2 3" if tokens is None else await tokens.encode("1 2 3")
        given, text, finish = False, "", None
        async with aclosing(server.client.events(wire.path, wire.body(Ask(prompt, _TRIED, 1)))) as events:
            async for data in events:
                event = read_event(wire, data)
                given, text, finish = given or bool(event.ids), text + event.text, finish or event.finish
        if finish is None:
            raise Transient("the stream ended before its end")
        if tokens is not None and text and not given:  # without text it may be a part of a character
            raise Refused(
                "it gives no token ids (vLLM does from 0.10.2 on); for text only set server.ids = 'never'", 501
            )

    async def _same(self, server: Server) -> None:
        """Whether a server serves the model that this run began with.

        Raises:
            Fault: no.
        """
        client, chat = server.client, self.wire.path if isinstance(self.wire, Chat) else None
        try:
            model = await served_model(client, self._options, chat)
        except ModelError as error:
            raise Refused(str(error).removeprefix(f"{client.shown}: "), 404) from None
        if Path(model).name != self.name:
            raise Refused(f"it serves {model} now, and this run began with {self.name}", 404)

    async def probe(self) -> None:
        if self.launched is not None:
            await self.launched.start()  # anew, if it has ended
        await self._servers.probe()

    async def open(self, parts: Iterable[Part]) -> HttpSequence:
        await self.capabilities()
        parts = tuple(parts)
        if isinstance(self.wire, Chat):
            raise RequestRefused(f"{self.name}: a chat endpoint takes conversations, not prompts")
        context = self._capabilities.context if self._capabilities else None
        if self._tokens is None:
            text = TextSequence(self.wire, self._servers, context)
            starts = parts and parts[0].control and parts[0].text in (*_STARTS, self.special_tokens.get("bos_token"))
            await text.append(parts[1:] if starts else parts)
            return text
        sequence = IdSequence(self.wire, self._servers, context, self._tokens)
        start = self._tokens.start_id
        ids = await self._tokens.encode_parts(parts)
        if start is not None and (not ids or ids[0] != start):
            ids = pack_ids([start, *ids])
        await sequence.append_ids(ids)
        return sequence

    async def begin(self, messages: Sequence[Message], dialect: Dialect) -> HttpSequence:
        can = await self.capabilities()
        if isinstance(self.wire, Chat):
            return ReplySequence(self.wire, self._servers, can.context, messages)
        return await self.open(dialect.render(messages))

    async def rehearse(self, opening: str) -> None:
        wire = self.wire
        if isinstance(wire, Chat) and wire.prefix != "never":
            for client in self.clients:
                try:
                    await require_faithful(client, wire, opening)
                except Fault as fault:
                    raise explained(client, fault, self._options) from None

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, max_tokens: int, seed: int | None = None
    ) -> Reply:
        await self.capabilities()
        if not isinstance(self.wire, Chat):
            return await super().complete(messages, sampling, max_tokens, seed)
        return await whole_reply(self.wire, self._servers, messages, sampling, max_tokens, seed)

    async def learn(self, spellings: Collection[str]) -> None:
        if self._tokens is not None:
            await self._tokens.learn(spellings)
            self.controls = tuple(self._tokens.controls)

    async def encode(self, text: str) -> array[int]:
        return pack_ids() if self._tokens is None else await self._tokens.encode(text)

    async def decode(self, ids: Iterable[int]) -> str:
        if self._tokens is None:
            raise DialectError(f"{self.name} takes and gives text only")
        return await self._tokens.decode(ids)

    def control_id(self, token: str) -> int | None:
        return None if self._tokens is None else self._tokens.controls.get(token)

    async def score(self, ids: Sequence[int]) -> list[float]:
        server = self._servers.choose()
        try:
            return await self.wire.score(server.client, ids)
        except Fault as fault:
            raise RequestRefused(f"{server.client.shown}: {fault}") from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise RequestRefused(f"{server.client.shown}: it gives no probabilities of a prompt") from None

    async def close(self) -> None:
        if self._found is not None:
            await self._following.close()
            await self._servers.close()
        if self.launched is not None:
            await self.launched.stop()


def _require_alike(client: Client, found: Found, first: str, known: Found) -> None:
    """Raises:
    ModelError: a server serves something else than the first.
    """
    if Path(found.wire.model).name != Path(known.wire.model).name:
        raise ModelError(
            f"{client.shown} serves {found.wire.model}, {first} {known.wire.model}; "
            "the servers of one role must serve the same model"
        )
    if (type(found.wire), found.wire.path) != (type(known.wire), known.wire.path):
        raise ModelError(f"{client.shown} and {first} are not of the same kind; give a role servers of one")


async def _close(clients: Iterable[Client]) -> None:
    for client in clients:
        await client.close()
