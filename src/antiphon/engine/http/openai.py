"""Any server with OpenAI's completion route: text in, text out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Refused
from antiphon.engine.http.wire import Ask, Event, Facts, Wire, counted, sampled


class OpenAI(Wire):
    """`POST /v1/completions` as OpenAI documents it, with the sampling values that most servers add to it. Servers
    differ in what they take: a field that one refuses by its name is left out (`leave_out`)."""

    kind = "openai"
    path = "/v1/completions"
    needed = frozenset({"model", "prompt", "max_tokens", "stream"})
    """Fields of a request that are never left out."""

    def __init__(self, model: str):
        super().__init__(model)
        self._left_out: set[str] = set()

    @classmethod
    async def recognises(cls, client: Client, listed: Mapping[str, Any]) -> bool:
        return True

    async def facts(self, client: Client, listed: Mapping[str, Any]) -> Facts:
        context = listed.get("max_model_len") or listed.get("context_length")
        return Facts(self.model, context=context if isinstance(context, int) else None, files=(Path(self.model),))

    def body(self, ask: Ask) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": ask.prompt if (ids := ask.ids) is None else ids,
            "max_tokens": ask.max_tokens,
            "stream": not ask.whole,
            **sampled(ask.sampling),
        }
        if ask.seed is not None:
            body["seed"] = ask.seed
        return {name: value for name, value in body.items() if name not in self._left_out}

    def leave_out(self, ask: Ask, refused: Refused) -> list[str]:
        """Leaves out of all requests to come the fields that the refusal of `ask` names; gives those, none if it names
        none."""
        if refused.status not in (400, 422):
            return []
        fields = self.body(ask).keys() - self.needed - self._left_out
        named = sorted(name for name in fields if re.search(rf"\b{name}\b", str(refused)))
        self._left_out.update(named)
        return named

    def read(self, data: Any, received: int, characters: int = 0) -> Event:
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
