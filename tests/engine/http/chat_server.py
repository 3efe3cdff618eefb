"""A small chat endpoint that takes exactly what OpenAI documents, and replies what a function says."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from aiohttp import web


class Says(NamedTuple):
    """A reply. `field` is where its thinking goes; the usage is told unless `tokens` is None."""

    answer: str = ""
    thinking: str = ""
    finish: str = "stop"
    field: str = "reasoning_content"
    tokens: tuple[int, int] | None = (11, 7)
    cached: int | None = None


Replies = Callable[[Sequence[dict[str, str]]], Says]

FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "messages": list,
    "stream": bool,
    "max_tokens": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "stream_options": dict,
    "seed": int,
}
OTHERS: dict[str, type | tuple[type, ...]] = {"top_k": int, "min_p": (int, float), "repetition_penalty": (int, float)}
NEEDED = ("model", "messages")


class Refusal(Exception):
    """The request is not as documented."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


class ChatServer:
    """Routes below `root`, one model.

    Attributes:
        asked: the bodies of requests that were taken, the one at start-up included.
        fault: what goes wrong with the request of a number (from 1, the one at start-up included): `busy`, `page`,
            `reset` and `error` after the first piece, `end` without a finish, `hang`, `malformed`; None: nothing.
    """

    def __init__(
        self,
        replies: Replies = lambda messages: Says("4"),
        *,
        root: str = "/v1",
        models: bool = True,
        completions: int | None = None,
        fields: dict[str, type | tuple[type, ...]] | None = None,
        plain: bool = False,
    ):
        self.replies = replies
        self.fields = {**FIELDS, **OTHERS} if fields is None else fields
        self.plain = plain
        self.fault: Callable[[int], str | None] = lambda number: None
        self.asked: list[dict[str, Any]] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._app = web.Application(middlewares=[self._refusing])
        self._app.router.add_post(f"{root}/chat/completions", self._chat)
        if models:
            self._app.router.add_get(f"{root}/models", self._models)
        if completions is not None:
            self._app.router.add_post(f"{root}/completions", self._completions)
        self._refused = completions or 404
        self._root = root

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The chat route's own address."""
        return f"{self.base}{self._root}/chat/completions"

    async def start(self) -> None:
        self._runner = web.AppRunner(self._app, handler_cancellation=True, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ChatServer]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    @contextmanager
    def beside(self) -> Iterator[ChatServer]:
        """Serves from a thread of its own, for callers that have an event loop of their own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result()
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    @web.middleware
    async def _refusing(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except Refusal as refusal:
            error = {"message": str(refusal), "type": "invalid_request_error", "param": None, "code": None}
            return web.json_response({"error": error}, status=refusal.status)

    async def _completions(self, request: web.Request) -> web.Response:
        raise Refusal("this is a chat model", self._refused)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "big", "object": "model", "owned_by": "vendor"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        messages = self._checked(body)
        self.asked.append(body)
        fault = self.fault(len(self.asked))
        if fault == "busy":
            return web.json_response({"error": {"message": "busy"}}, status=429, headers={"Retry-After": "0"})
        if fault == "page":
            page = "<html><title>Bad gateway</title></html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if fault == "hang":
            await asyncio.Event().wait()
        says = self.replies(messages)
        if self.plain:
            return web.json_response(self._whole(says))
        return await self._streamed(request, body, says, fault)

    def _checked(self, body: dict[str, Any]) -> list[dict[str, str]]:
        for name in NEEDED:
            if name not in body:
                raise Refusal(f"Missing required parameter: '{name}'")
        if unknown := sorted(body.keys() - self.fields.keys()):
            raise Refusal(f"Unrecognized request arguments supplied: {', '.join(unknown)}")
        for name, value in body.items():
            if not isinstance(value, self.fields[name]):
                raise Refusal(f"Invalid type for '{name}'")
        if body["model"] != "big":
            raise Refusal(f"The model {body['model']!r} does not exist", 404)
        for message in body["messages"]:
            if message.keys() != {"role", "content"} or message["role"] not in ("system", "user", "assistant"):
                raise Refusal(f"Invalid value: {message!r}")
        if not body["messages"]:
            raise Refusal("messages: too short")
        return body["messages"]  # type: ignore[no-any-return]

    async def _streamed(
        self, request: web.Request, body: dict[str, Any], says: Says, fault: str | None
    ) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)

        async def send(event: Any) -> None:
            await stream.write(f"data: {json.dumps(event)}\n\n".encode())
            await asyncio.sleep(0)

        await send(_event({"role": "assistant", "content": ""}))
        for number, delta in enumerate(_deltas(says)):
            await send(_event(delta))
            if number == 0 and fault == "reset":
                assert request.transport is not None
                request.transport.abort()
                return stream
            if number == 0 and fault == "error":
                await send({"error": {"message": "out of memory", "code": 500}})
                return stream
        if fault == "malformed":
            await send({"choices": [{"delta": "x"}]})
        if fault != "end":
            await send(_event({}, says.finish))
            if "stream_options" in body and says.tokens is not None:
                await send({"choices": [], "usage": _usage(says)})
            await stream.write(b"data: [DONE]\n\n")
        return stream

    def _whole(self, says: Says) -> Any:
        message = {"role": "assistant", "content": says.answer, says.field: says.thinking}
        return {"choices": [{"index": 0, "message": message, "finish_reason": says.finish}], "usage": _usage(says)}


def _event(delta: dict[str, Any], finish: str | None = None) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": None}


def _deltas(says: Says) -> Iterator[dict[str, Any]]:
    for piece in _pieces(says.thinking):
        if says.field == "both":
            yield {"reasoning_content": piece, "reasoning": piece, "content": None}
        elif says.field == "parts":
            yield {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}
        else:
            yield {says.field: piece}
    for piece in _pieces(says.answer):
        yield {"content": [{"type": "text", "text": piece}] if says.field == "parts" else piece}


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + 3] for at in range(0, len(text), 3))


def _usage(says: Says) -> Any:
    prompt, written = says.tokens or (0, 0)
    details = None if says.cached is None else {"cached_tokens": says.cached}
    return {"prompt_tokens": prompt, "completion_tokens": written, "prompt_tokens_details": details}
