"""llama.cpp's `llama-server`: the native route (documented in its README)."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as List
from pathlib import Path
from typing import Any

from antiphon.engine.http.client import Client
from antiphon.engine.http.wire import Ask, Event, Facts, Wire


class LlamaCpp(Wire):
    """`POST /completion`. It knows no stop ids but its model's own ends, and keeps one prefix per slot. Of a character
    that takes several tokens its stream sends only the last id (seen in builds of 2025 and 2026)."""

    kind = "llama.cpp"
    path = "/completion"
    spells = True

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        return listed.get("owned_by") == "llamacpp"

    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        props = await client.get("/props")
        return Facts(
            self.model,
            props.get("build_info"),
            props["default_generation_settings"]["n_ctx"],
            props.get("total_slots"),
            props.get("chat_template") or None,
            (Path(props["model_path"]),) if props.get("model_path") else (),
        )

    def body(self, ask: Ask) -> dict[str, Any]:
        sampling = ask.sampling
        fields = ["content", "tokens", "stop", "stop_type"]  # else the last event repeats the prompt
        if ask.whole:
            fields.append("timings")  # a stream tells before its first token what came from the cache
        return {
            "prompt": ask.prompt if (ids := ask.ids) is None else ids,
            "n_predict": ask.max_tokens,
            "stream": not ask.whole,
            "cache_prompt": True,
            "id_slot": -1 if ask.slot is None else ask.slot,
            "return_tokens": True,
            "return_progress": True,
            "seed": -1 if ask.seed is None else ask.seed,
            # The order in which all engines apply them: temperature first, as transformers and vLLM do.
            "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": 1 << 16,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "response_fields": fields,
        }

    def read(self, data: Any, received: int, characters: int = 0) -> Event:
        if (progress := data.get("prompt_progress")) is not None:  # it comes with a token that is none
            return Event(cached=progress["cache"])
        finish = None
        if data["stop"]:
            finish = "length" if data["stop_type"] == "limit" else "stop"
        ids, missing = data.get("tokens") or (), None
        if finish is None:
            missing = max(0, data.get("tokens_predicted", 0) - received - len(ids))
        cached = (data.get("timings") or {}).get("cache_n")
        return Event(ids, data["content"], finish, cached=cached, missing=missing)  # type: ignore[arg-type]

    async def tokenize(self, client: Client, text: str, *, controls: bool) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": controls}
        return list((await client.post("/tokenize", body))["tokens"])

    async def detokenize(self, client: Client, ids: List[int]) -> str:
        return str((await client.post("/detokenize", {"tokens": list(ids)}))["content"])
