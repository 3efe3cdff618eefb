"""SGLang: the native route (documented under "Native APIs" and "Sampling Parameters")."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as List
from pathlib import Path
from typing import Any
from uuid import uuid4

from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault
from antiphon.engine.http.wire import Ask, Event, Facts, Wire, sampled


class SGLang(Wire):
    """`POST /generate`. Its events repeat what came before, or do not (`--incremental-streaming-output`, formerly
    `--stream-output`); how many ids there are by now tells which.

    A closed connection is not enough to end a request: some versions write on (0.5.18), and so do all behind a proxy
    that does not pass the closing on. Hence a name for each request, by which `/abort_request` (0.4.9 on) ends it.
    """

    kind = "sglang"
    path = "/generate"
    scores = True
    aborts = True

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        return listed.get("owned_by") == "sglang"

    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        model = await client.get("/get_model_info")
        try:
            server = await client.get("/get_server_info")
        except Fault:
            server = {}
        context = server.get("context_length") or listed.get("max_model_len")
        places = (model.get("tokenizer_path"), model.get("model_path"))
        files = tuple(Path(str(place)) for place in places if place)
        return Facts(self.model, server.get("version"), context, files=files)

    def body(self, ask: Ask) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "max_new_tokens": ask.max_tokens,
            **sampled(ask.sampling),
            "stop_token_ids": sorted(ask.stop_ids),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
        if ask.seed is not None:
            parameters["sampling_seed"] = ask.seed
        prompt = {"text": ask.prompt} if (ids := ask.ids) is None else {"input_ids": ids}
        # The server takes the beginning of a name for the name: all have the same length.
        return {**prompt, "sampling_params": parameters, "stream": not ask.whole, "rid": uuid4().hex}

    async def abort(self, client: Client, body: Mapping[str, Any]) -> None:
        await client.text("/abort_request", {"rid": body["rid"]})

    def read(self, data: Any, received: int, characters: int = 0) -> Event:
        about = data["meta_info"]
        ids, text = data["output_ids"], data["text"]
        if len(ids) == about["completion_tokens"]:  # all so far
            ids, text = ids[received:], text[characters:]
        reason = about.get("finish_reason") or {}
        finish = reason.get("type")
        if finish not in (None, "stop", "length"):
            return Event(broken=str(reason.get("message") or f"it ended with {finish!r}"))
        matched = reason.get("matched")
        return Event(ids, text, finish, matched if isinstance(matched, int) else None, about.get("cached_tokens"))

    async def tokenize(self, client: Client, text: str, *, controls: bool) -> list[int]:
        body = {"model": self.model, "prompt": text, "add_special_tokens": False}
        return list((await client.post("/tokenize", body))["tokens"])

    async def detokenize(self, client: Client, ids: List[int]) -> str:
        body = {"model": self.model, "tokens": list(ids), "skip_special_tokens": False}
        return str((await client.post("/detokenize", body))["text"])

    async def score(self, client: Client, ids: List[int]) -> list[float]:
        body = {
            "input_ids": list(ids),
            "sampling_params": {"max_new_tokens": 1, "temperature": 0},
            "return_logprob": True,
            "logprob_start_len": 0,
        }
        told = (await client.post(self.path, body))["meta_info"]["input_token_logprobs"]
        return [0.0, *(float(entry[0]) for entry in told[1:])]
