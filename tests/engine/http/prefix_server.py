"""A chat endpoint that goes on from the beginning of a reply, faithfully or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiohttp import web

from tests.engine.http.chat_server import FIELDS, OTHERS, ChatServer, Refusal, Says

NUMBERS = (
    "one two three four five\nsix seven eight nine ten\neleven twelve thirteen fourteen fifteen\nsixteen"
    " seventeen eighteen nineteen twenty\ntwenty-one twenty-two"
)
Script = Callable[[str, str], Iterable[str]]


def counting(question: str, reply: str) -> Iterable[str]:
    """The tokens of `NUMBERS` that are missing in a reply."""
    return tokens(NUMBERS.removeprefix(re.sub(r"\n+", "\n", reply.removeprefix("<think>\n"))))


def tokens(text: str) -> list[str]:
    return re.findall(r"\s?[^\s]+|\s", text)


class PrefixServer(ChatServer):
    """Takes `continue_final_message` or `prefix`, and writes on by a script of the question and the reply so far.

    Args:
        mode: the field that it takes.
        flaw: what is wrong with how it goes on: `strips`, `anew`, `whole words`, `apart`, `silent`,
            `puts`, `drifts`.
    """

    def __init__(self, script: Script = counting, *, mode: str = "continue_final_message", flaw: str = ""):
        fields = {**FIELDS, **OTHERS}
        if mode == "continue_final_message":
            fields |= {mode: bool, "add_generation_prompt": bool}
        super().__init__(fields=fields)
        self.script = script
        self.mode = mode
        self.flaw = flaw

    def _checked(self, body: dict[str, Any]) -> list[dict[str, str]]:
        *before, last = body["messages"]
        begun = last["role"] == "assistant"
        if self.mode == "prefix":
            if begun and last.get("prefix") is not True:
                raise Refusal("the last message must be the user's")
            last = {name: value for name, value in last.items() if name != "prefix"}
        elif begun != body.get("continue_final_message", False) or begun == body.get("add_generation_prompt", True):
            raise Refusal("continue_final_message and add_generation_prompt contradict each other")
        return super()._checked({**body, "messages": [*before, last]})

    async def _streamed(
        self, request: web.Request, body: dict[str, Any], says: Says, fault: str | None
    ) -> web.StreamResponse:
        return await super()._streamed(request, body, self._goes_on(body["messages"], body["max_tokens"]), fault)

    def _goes_on(self, messages: Sequence[dict[str, str]], most: int) -> Says:
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        asked = sum(len(tokens(message["content"])) for message in messages)
        healed = begun if {*begun.split()[-1:]} <= {*NUMBERS.split()} else re.sub(r"\w+$", "", begun)
        reply = {"strips": begun.rstrip(), "anew": "", "whole words": healed}.get(self.flaw, begun)
        said, finish = [], "stop"
        for token in self.script(messages[0]["content"], reply):
            if token == "<|im_end|>":
                break
            said.append(token)
            if len(said) == most:
                finish = "length"
                break
        text = "".join(said)
        if self.flaw == "silent" and begun:
            text = ""
        if self.flaw == "drifts" and "eleven" in begun:
            text = text.upper()
        if self.flaw == "puts" and begun:
            asked += 4
        thinking = text if self.flaw == "apart" else ""
        return Says("" if thinking else text, thinking, finish, tokens=(asked, len(said)))
