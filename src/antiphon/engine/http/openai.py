"""Any server with OpenAI's completion route: text in, text out."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.engine.http.client import Client
from antiphon.engine.http.wire import Ask, Event, Facts, Wire, counted


class OpenAI(Wire):
    """`POST /v1/completions` as OpenAI documents it, with the sampling values that most servers add to it."""

    kind = "openai"
    path = "/v1/completions"

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        return True

    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        context = listed.get("max_model_len") or listed.get("context_length")
        return Facts(self.model, context=context if isinstance(context, int) else None, files=(Path(self.model),))

    def body(self, ask: Ask) -> dict[str, Any]:
        sampling = ask.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": ask.prompt.tolist() if isinstance(ask.prompt, array) else ask.prompt,
            "max_tokens": ask.max_tokens,
            "stream": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }
        if ask.seed is not None:
            body["seed"] = ask.seed
        return body

    def read(self, data: Any, received: int) -> Event:
        if "error" in data:
            error = data["error"]
            return Event(broken=str(error.get("message", error) if isinstance(error, dict) else error))
        choices = data["choices"]
        cached = counted(data.get("usage"))
        if not choices and data.get("usage"):  # the last event of a stream, where usage was asked for
            return Event(cached=cached)
        choice = choices[0]
        finish = choice.get("finish_reason")
        if finish not in (None, "stop", "length"):
            return Event(broken=f"it ended with {finish!r}")
        reason = choice.get("stop_reason")
        return Event(
            choice.get("token_ids") or (),
            choice.get("text") or "",
            finish,
            reason if isinstance(reason, int) else None,
            cached,
        )
