"""Small servers that take exactly what the real ones document, and write what a script says.

A request that lacks a field, has an unknown one or one of the wrong type is refused as the server would refuse it. A
script is the ids that the model writes after `OPENING`, whatever it is asked; at its end the model ends its turn. What
goes wrong is said by `faults`, and `cut` says how the bytes of an answer are cut into packets.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from aiohttp import web

from antiphon.engine.tokenizer_json import TokenizerVocabulary

FOLDER = Path(str(files("antiphon.lab") / "models" / "student"))
OPENING = "Count: "


@cache
def vocabulary() -> TokenizerVocabulary:
    """The tokenizer that ships with the lab's student: ChatML's control tokens, most letters beyond ASCII in bytes."""
    return TokenizerVocabulary.from_file(FOLDER / "tokenizer.json")


def ids_of(*parts: str) -> list[int]:
    """Text to ids; a part that spells a control token is that token."""
    controls = vocabulary().controls
    return [token for part in parts for token in ([controls[part]] if part in controls else vocabulary().encode(part))]


def tokenised(text: str) -> list[int]:
    """As the tokenizer itself reads a text: control tokens that it spells are matched."""
    return list(_library().encode(text, add_special_tokens=False).ids)


@cache
def _library() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


END = ids_of("<|im_end|>")[0]
HIDDEN = {token for spelling, token in vocabulary().controls.items() if "think" not in spelling}


class Fault(NamedTuple):
    """What goes wrong with a request, after so many events of its answer (-1: when the model has ended)."""

    kind: str
    """reset (what was sent may be lost), close (nothing is), hang, end (without a finish), error (the server's event),
    status, page, or raw: `body` as an event."""
    after: int = 0
    status: int = 500
    headers: Mapping[str, str] = {}
    body: str = "{}"


class Problem(Exception):
    """The request is not as documented."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class Written(NamedTuple):
    """What the model writes in one step."""

    ids: list[int]
    text: str
    finish: str | None = None
    matched: int | None = None


Check = type | tuple[type, ...] | Callable[[Any], bool]
NUMBER = (int, float)
SAMPLING: Mapping[str, Check] = {
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": int,
    "min_p": NUMBER,
    "repetition_penalty": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
}


def is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(entry) is int and entry >= 0 for entry in value)


def checked(body: Any, needed: Mapping[str, Check], optional: Mapping[str, Check] = {}) -> dict[str, Any]:
    """The body, if it is as documented."""
    if not isinstance(body, dict):
        raise Problem("the body is no object", 422)
    for name, check in {**needed, **optional}.items():
        if name not in body:
            if name in needed:
                raise Problem(f"{name}: Field required", 422)
            continue
        value = body[name]
        fits = (
            isinstance(value, check) and (check is bool or not isinstance(value, bool))
            if isinstance(check, type | tuple)
            else check(value)
        )
        if not fits:
            raise Problem(f"{name}: {value!r} is not valid", 422)
    if unknown := body.keys() - needed.keys() - optional.keys():
        raise Problem(f"Unrecognized request argument supplied: {', '.join(sorted(unknown))}")
    return body


class Strict:
    """What all kinds share: routes, the script, faults, and a book of what was asked.

    Attributes:
        requests: the bodies of completions in order, those of the start-up included.
        prompts: their prompts.
        connections: those that requests came by.
        aborted: how many streams lost their reader, at the moment that they lost it.
        most: how many streams were open at once.
    """

    kind: ClassVar[str]
    completions: ClassVar[str]
    about: ClassVar[Mapping[str, str]] = {}
    """Headers by which the server tells of itself."""

    def __init__(
        self,
        script: Iterable[int] = (),
        *,
        files: bool = True,
        context: int = 512,
        key: str | None = None,
        chunk: Callable[[], int] = lambda: 1,
        ends: tuple[int, ...] = (END,),
    ):
        self.script = list(script)
        self.files = files
        self.context = context
        self.key = key
        self.chunk = chunk
        self.ends = ends
        self.names = ["student"]
        self.faults: Callable[[int], Fault | None] = lambda number: None
        self.cut: Callable[[bytes], Iterable[bytes]] = lambda data: [data]
        self.line_end = "\n"
        self.noise = ""
        self.plain = False  # answers whole, as a server or proxy that does not stream
        self.hold: asyncio.Event | None = None  # streams wait for it after the first that the model writes
        self.gate = 0  # streams begin when so many are open
        self.requests: list[dict[str, Any]] = []
        self.prompts: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.connections: set[Any] = set()
        self.aborted = 0
        self.lost = asyncio.Event()
        self.begun = asyncio.Event()
        self.open = 0
        self.most = 0
        self._crowd = asyncio.Event()
        self._seen: list[list[int]] = []
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.scheme = "http"

    # ---- one server, up and down

    async def start(self, port: int = 0, tls: Any = None, host: str = "127.0.0.1") -> str:
        app = web.Application(middlewares=[self._guarded], client_max_size=1 << 26)
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port or self.port, ssl_context=tls, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.scheme = "http" if tls is None else "https"
        return self.url

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        if self._runner is not None:
            for connection in list(self._runner.server.connections):  # type: ignore[union-attr]
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[str]:
        url = await self.start(**options)
        try:
            yield url
        finally:
            await self.stop()

    # ---- routes

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/models", self._models), web.post(self.completions, self._complete)]

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.connections.add(request.transport)
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
            if not response.prepared:
                response.headers.update(self.about)
            return response
        except Problem as problem:
            return web.json_response(self.error(str(problem), problem.status), status=problem.status)

    def error(self, message: str, status: int) -> Any:
        return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self.listed(name) for name in self.names]})

    def listed(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 1, "owned_by": self.kind}

    # ---- completions

    def accepted(self, body: Any) -> tuple[list[int] | str, int, Sequence[int]]:
        """Prompt, most tokens and stop ids of a valid request."""
        raise NotImplementedError

    def first(self, prompt: list[int], cached: int) -> list[Any]:
        """Events before the model writes."""
        return []

    def event(self, step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        """Events that tell of a step."""
        raise NotImplementedError

    def last(self, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        """Events after the end."""
        return []

    def whole(self, so_far: Written, prompt: list[int], cached: int) -> Any:
        """The answer of a server that does not stream."""
        raise NotImplementedError

    def done(self) -> str:
        return f"data: [DONE]{self.line_end * 2}"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt, most, stops = self.accepted(body)
        self.requests.append(body)
        self.prompts.append(prompt)
        fault = self.faults(len(self.requests))
        if fault is not None and fault.kind == "status":
            return web.Response(
                status=fault.status, headers=fault.headers, text=json.dumps(self.error("busy", fault.status))
            )
        if fault is not None and fault.kind == "page":
            page = "<html><head><title>502 Bad Gateway</title></head></html>"
            return web.Response(status=fault.status, text=page, content_type="text/html")
        self.open += 1
        self.begun.set()
        self.most = max(self.most, self.open)
        try:
            return await self._answer(request, prompt, most, stops, fault)
        except (asyncio.CancelledError, ConnectionResetError):
            self.aborted += 1
            self.lost.set()
            raise
        finally:
            self.open -= 1

    async def _answer(
        self, request: web.Request, prompt: Any, most: int, stops: Sequence[int], fault: Fault | None
    ) -> web.StreamResponse:
        ids = self._as_ids(prompt)
        cached = self._cached(ids)
        steps = list(self.written(prompt, most, stops))
        everything = steps[0]
        for step in steps[1:]:
            everything = _sum(everything, step)
        if await self._wants_whole(request):
            if fault is not None:
                return await self._failed(request, fault)
            self._seen.append([*ids, *everything.ids])
            return web.json_response(self.whole(everything, ids, cached))
        about = {"Content-Type": "text/event-stream; charset=utf-8", **self.about}
        stream = web.StreamResponse(headers=about)
        await stream.prepare(request)
        sent = 0

        async def send(text: str) -> None:
            for part in self.cut(text.encode("utf-8", "surrogatepass")):
                await stream.write(part)
                await asyncio.sleep(0)

        async def fail(ended: bool = False) -> bool:
            if fault is None or not (0 <= fault.after <= sent or ended):
                return False
            if fault.kind in ("reset", "close"):
                assert request.transport is not None
                request.transport.abort() if fault.kind == "reset" else request.transport.close()
                await asyncio.sleep(0)
            elif fault.kind == "hang":
                await asyncio.Event().wait()
            elif fault.kind == "error":
                await send(self.failure())
            elif fault.kind == "raw":
                await send(f"data: {fault.body}{self.line_end * 2}")
            return True

        if self.gate:
            if self.open >= self.gate:
                self._crowd.set()
            await self._crowd.wait()
        so_far = Written([], "")
        events = self.first(ids, cached)
        for step in steps:
            so_far = _sum(so_far, step)
            events += self.event(step, so_far, ids, cached)
            for event in events:
                if await fail():
                    return stream
                await send(self.spelled(event))
                sent += 1
                if self.hold is not None and sent > len(self.first(ids, cached)):
                    await self.hold.wait()
            events = []
        if await fail(ended=True):
            return stream
        for event in self.last(so_far, ids, cached):
            await send(self.spelled(event))
        await send(self.done())
        self._seen.append([*ids, *so_far.ids])
        return stream

    async def _wants_whole(self, request: web.Request) -> bool:
        return self.plain or not (await request.json()).get("stream", True)

    async def _failed(self, request: web.Request, fault: Fault) -> web.Response:
        """A whole reply that fails: nothing of it was sent."""
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind in ("error", "raw"):
            return web.json_response(self.error("out of memory", 500), status=500)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def failure(self) -> str:
        return f"data: {json.dumps(self.error('out of memory', 500))}{self.line_end * 2}"

    def spelled(self, event: Any) -> str:
        """One event as the stream spells it."""
        return f"{self.noise}data: {json.dumps(event)}{self.line_end * 2}"

    def _as_ids(self, prompt: Any) -> list[int]:
        return list(vocabulary().encode(prompt)) if isinstance(prompt, str) else list(prompt)

    def _cached(self, ids: list[int]) -> int:
        return max((_common(ids[:-1], seen) for seen in self._seen), default=0)

    def written(self, prompt: Any, most: int, stops: Sequence[int]) -> Iterable[Written]:
        """The model's steps."""
        opening = list(vocabulary().encode(OPENING))
        at = len(prompt) - len(opening) if list(prompt[: len(opening)]) == opening else 0
        rest = [*self.script[at:], self.ends[0]]
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        left = most
        while True:
            ids: list[int] = []
            text = ""
            finish = matched = None
            for _ in range(max(1, self.chunk())):
                token = rest.pop(0)
                left -= 1
                ids.append(token)
                if token in stops or token in self.ends:
                    finish, matched = "stop", token
                    break
                text += decoder.decode(vocabulary().bytes_of(token), final=left == 0)
                if left == 0:
                    finish = "length"
                    break
            yield Written(ids, text, finish, matched)
            if finish is not None:
                return


def _sum(first: Written, second: Written) -> Written:
    return Written(first.ids + second.ids, first.text + second.text, second.finish, second.matched)


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
