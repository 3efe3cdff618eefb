"""Boundaries by a token classifier behind vLLM's pooling endpoint.

    python -m vllm.entrypoints.openai.api_server --model DIR --runner pooling
    --boundary 'remote:http://host:8000?tokenizer=DIR'

`tokenizer` is the checkpoint's folder on this machine, of which the configuration and the tokenizer are read and no
weights. Each call sends a whole window, for a pooling server keeps none; several servers may be named, with commas
between them. Verdicts are those of the same classifier in this process, as far as the server's numeric type and batches
let them be: close to the threshold they may differ.

Route and fields: vLLM's documentation of `/pooling` with the task `token_classify` (0.13.0 on).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any

from antiphon.boundary.checkpoint import OPTIONS, Checkpoint, read_checkpoint
from antiphon.boundary.spec import options, probability
from antiphon.boundary.tagging import Query, TaggerPredictor
from antiphon.engine.http.address import headers_of
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault, Refused, Transient
from antiphon.engine.http.server import Server
from antiphon.engine.http.servers import Servers
from antiphon.errors import SettingsError
from antiphon.settings import Connection

PREFIX = "remote:"

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "tokenizer": str,
    "model": str,
    "key": str,
    "threshold": probability,
    **OPTIONS,
}
_TIMEOUT, _RETRIES = 60.0, 4  # seconds without a byte; tries of a request after the first


class RemoteTagger(TaggerPredictor):
    """A classifier at one or more servers, which are first asked when the first word is judged.

    Args:
        urls: the servers' addresses.
        checkpoint: what they serve.
        model: the name by which they serve it; None: the first that they name.
        key: the environment's variable that holds their key.
        threshold: the probability above which a word is style.

    Raises:
        SettingsError: no address, or the environment lacks the key.
    """

    def __init__(
        self,
        urls: Sequence[str],
        checkpoint: Checkpoint,
        *,
        model: str | None = None,
        key: str | None = None,
        threshold: float = 0.5,
    ):
        shaping = [f"threshold={threshold:g}"] if threshold != 0.5 else []
        super().__init__(
            checkpoint,
            threshold=threshold,
            id=":".join(("remote", model or checkpoint.name, checkpoint.digest[:12], *shaping)),
        )
        headers = headers_of(Connection(key=key))
        clients = [Client(_base(url), headers=headers, timeout=_TIMEOUT) for url in urls]
        self._servers = Servers(
            [Server(each) for each in clients], same=self._same, serves=self._serves, retries=_RETRIES
        )
        self._model = model
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def from_spec(cls, spec: str) -> RemoteTagger:
        """From `remote:URL,URL?tokenizer=DIR&option=value&...`; the options are the arguments above and those of
        `antiphon.boundary.checkpoint.read_checkpoint`.

        Raises:
            SettingsError: an option is unknown, wrong or missing.
            ModelError: the folder is none of a classifier.
        """
        name, given = options(spec, _OPTIONS)
        if "tokenizer" not in given:
            raise SettingsError(f"boundary {spec!r}: name the checkpoint's folder on this machine: ?tokenizer=DIR")
        own = {option: given.pop(option) for option in OPTIONS if option in given}
        checkpoint = read_checkpoint(given.pop("tokenizer"), **own)
        return cls(name.removeprefix(PREFIX).split(","), checkpoint, **given)

    def answers(self, queries: Sequence[Query]) -> Future[list[list[float]]]:
        return asyncio.run_coroutine_threadsafe(self._answers(queries), self._running())

    async def probe(self) -> None:
        """Returns if a server serves the classifier.

        Raises:
            EngineUnavailable: none does.
        """
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._servers.probe(), self._running()))

    async def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._servers.close(), loop))
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        """A loop of its own, so that words can be judged from inside another and from none."""
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()

            def run() -> None:
                loop.run_forever()
                loop.close()

            Thread(target=run, name=f"remote {self.name}", daemon=True).start()
        return self._loop

    async def _answers(self, queries: Sequence[Query]) -> list[list[float]]:
        server, attempt = self._servers.choose(), 0
        while True:
            try:
                return await self._request(await self._servers.assured(server), queries)
            except Fault as fault:
                attempt += 1
                server = await self._servers.again(server, fault, attempt)

    async def _request(self, client: Client, queries: Sequence[Query]) -> list[list[float]]:
        if self._model is None:
            self._model = await _served(client)
        body = {
            "model": self._model,
            "task": "token_classify",
            "input": [query.ids.tolist() for query in queries],
            "add_special_tokens": False,
            "use_activation": False,
        }
        reply = await client.post("/pooling", body)
        try:
            rows = [row["data"] for row in sorted(reply["data"], key=lambda row: row["index"])]
            if [len(row) for row in rows] != [len(query.ids) for query in queries]:
                raise Transient("its reply has not one answer for each token")
            style = self.layout.style
            return [
                [_number(row[place][style]) - _number(row[place][1 - style]) for place in query.places]
                for query, row in zip(queries, rows, strict=True)
            ]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise Transient("its reply holds no labels of tokens; it should serve a token classifier") from None

    async def _same(self, server: Server) -> None:
        served = await _served(server.client)
        if served != (self._model or served):
            raise Refused(f"it serves {served}, not {self._model}", 404)

    async def _serves(self, server: Server) -> None:
        await self._request(server.client, [Query(None, self.speller("", "So").ids, [0])])


async def _served(client: Client) -> str:
    """The name of the model that a server serves.

    Raises:
        Fault: it does not answer, or names none.
    """
    listed = await client.get("/v1/models")
    try:
        return str(listed["data"][0]["id"])
    except (LookupError, TypeError):
        raise Transient("it names no model at /v1/models") from None


def _base(url: str) -> str:
    if not re.match(r"https?://[^/\s]+", url):
        raise SettingsError(f"boundary: {url!r} is no address of a server; one begins with http://host or https://host")
    return re.sub(r"/(v1|pooling)/?$", "", url.rstrip("/"))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise Transient("its reply holds what is no number")
    return number
