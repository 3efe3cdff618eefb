"""vLLM: the completion route with ids in and out (documented under "OpenAI-Compatible Server")."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as List
from pathlib import Path
from typing import Any

from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault
from antiphon.engine.http.openai import OpenAI
from antiphon.engine.http.wire import Ask, Facts


class VLLM(OpenAI):
    """`return_token_ids` needs 0.10.2. Unset sampling values would come from the model's generation_config."""

    kind = "vllm"
    scores = True

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        return listed.get("owned_by") == "vllm" or "max_model_len" in listed

    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        try:
            version = str((await client.get("/version"))["version"])
        except (Fault, LookupError, TypeError):
            version = None
        places = (Path(str(place)) for place in (listed.get("root"), self.model) if place)
        return Facts(self.model, version, listed.get("max_model_len"), files=tuple(places))

    def body(self, ask: Ask) -> dict[str, Any]:
        return {
            **super().body(ask),
            "stop_token_ids": sorted(ask.stop_ids),
            "return_token_ids": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "add_special_tokens": False,  # a prompt that is text already holds its start token
            **({} if ask.whole else {"stream_options": {"include_usage": True}}),
        }

    async def tokenize(self, client: Client, text: str, *, controls: bool) -> list[int]:
        body = {"model": self.model, "prompt": text, "add_special_tokens": False}
        return list((await client.post("/tokenize", body))["tokens"])

    async def detokenize(self, client: Client, ids: List[int]) -> str:
        return str((await client.post("/detokenize", {"model": self.model, "tokens": list(ids)}))["prompt"])

    async def score(self, client: Client, ids: List[int]) -> list[float]:
        body = {"model": self.model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        told = (await client.post(self.path, body))["choices"][0]["prompt_logprobs"]
        return [0.0, *(entry[str(token)]["logprob"] for token, entry in zip(ids[1:], told[1:], strict=True))]
