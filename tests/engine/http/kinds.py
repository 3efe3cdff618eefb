"""The strict servers by kind: vLLM, SGLang, llama.cpp, and OpenAI's own route."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from tests.engine.http.strict import (
    FOLDER,
    HIDDEN,
    NUMBER,
    OPENING,
    SAMPLING,
    Check,
    Fault,
    Problem,
    Strict,
    Written,
    checked,
    is_ids,
    tokenised,
    vocabulary,
)


class StrictVLLM(Strict):
    """vLLM 0.11: the completion route with ids."""

    kind = "vllm"
    completions = "/v1/completions"

    def __init__(self, script: Iterable[int] = (), *, ids: bool = True, told: bool = True, **options: Any):
        super().__init__(script, **options)
        self.ids = ids  # false: older than 0.10.2, which ignores the wish
        self.told = told  # whether /v1/models tells the context

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.get("/version", self._version),
            web.post("/tokenize", self._tokenize),
            web.post("/detokenize", self._detokenize),
        ]

    def listed(self, name: str) -> dict[str, Any]:
        root = str(FOLDER) if self.files else f"nobody/{name}"
        told = {"max_model_len": self.context} if self.told else {}
        return {**super().listed(name), "root": root, "parent": None, **told}

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.11.0"})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"model": str, "prompt": str, "add_special_tokens": bool})
        ids = tokenised(body["prompt"])
        return web.json_response({"count": len(ids), "max_model_len": self.context, "tokens": ids, "token_strs": None})

    async def _detokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"model": str, "tokens": is_ids})
        return web.json_response({"prompt": vocabulary().decode(body["tokens"])})

    def accepted(self, body: Any) -> tuple[list[int] | str, int, Sequence[int]]:
        if isinstance(body, dict) and "prompt_logprobs" in body:
            score = {"model": str, "prompt": is_ids, "max_tokens": int, "temperature": NUMBER, "prompt_logprobs": int}
            checked(body, score)
            raise web.HTTPOk(text=json.dumps(self._scored(body["prompt"])), content_type="application/json")
        needed: dict[str, Check] = {
            "model": str,
            "prompt": lambda prompt: is_ids(prompt) or isinstance(prompt, str),
            "max_tokens": int,
            "stream": bool,
            "stop_token_ids": is_ids,
            "return_token_ids": bool,
            "skip_special_tokens": bool,
            "spaces_between_special_tokens": bool,
            "add_special_tokens": bool,
            **SAMPLING,
        }
        if body.get("stream"):  # else they are refused
            needed["stream_options"] = lambda options: options == {"include_usage": True}
        checked(body, needed, {"seed": int})
        if body["model"] not in self.names:
            raise Problem(f"The model `{body['model']}` does not exist.", 404)
        if body["skip_special_tokens"] or body["add_special_tokens"] or not body["prompt"]:
            raise Problem("this loses or adds tokens")
        if (asked := len(body["prompt"]) + body["max_tokens"]) > self.context:
            raise Problem(f"This model's maximum context length is {self.context} tokens. You requested {asked} tokens")
        return body["prompt"], body["max_tokens"], body["stop_token_ids"]

    @staticmethod
    def _scored(ids: list[int]) -> Any:
        entries = [{str(token): {"logprob": -token / 1000, "rank": 1, "decoded_token": ""}} for token in ids[1:]]
        return {"choices": [{"index": 0, "text": "x", "finish_reason": "length", "prompt_logprobs": [None, *entries]}]}

    def _choice(self, step: Written, index: int = 0) -> dict[str, Any]:
        told = {"token_ids": step.ids, "prompt_token_ids": None} if self.ids else {}
        # The end of the model's own is no reason to name.
        reason = step.matched if step.matched not in self.ends else None
        choice = {"index": index, "text": step.text, "logprobs": None, "finish_reason": step.finish, **told}
        return {**choice, "stop_reason": reason}

    def _frame(self, choices: list[Any], usage: Any = None) -> dict[str, Any]:
        frame = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": self.names[0], "choices": choices}
        return frame if usage is None else {**frame, "usage": usage}

    def _usage(self, so_far: Written, prompt: list[int], cached: int) -> dict[str, Any]:
        blocks = cached // 16 * 16
        counts = {"prompt_tokens": len(prompt), "completion_tokens": len(so_far.ids)}
        return {**counts, "total_tokens": sum(counts.values()), "prompt_tokens_details": {"cached_tokens": blocks}}

    def event(self, step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        return [self._frame([self._choice(step)])]

    def last(self, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        return [self._frame([], self._usage(so_far, prompt, cached))]

    def whole(self, so_far: Written, prompt: list[int], cached: int) -> Any:
        return self._frame([self._choice(so_far)], self._usage(so_far, prompt, cached))


class StrictSGLang(Strict):
    """SGLang: the native routes. A request is known by its `rid`, which another's must not begin with."""

    kind = "sglang"
    completions = "/generate"

    def __init__(self, script: Iterable[int] = (), *, incremental: bool = False, **options: Any):
        super().__init__(script, **options)
        self.incremental = incremental
        self.named_aborts: list[str] = []
        self.abort_fails = False

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.get("/get_model_info", self._model_info),
            web.get("/get_server_info", self._server_info),
            web.post("/abort_request", self._abort),
            web.post("/tokenize", self._tokenize),
            web.post("/detokenize", self._detokenize),
        ]

    def listed(self, name: str) -> dict[str, Any]:
        return {**super().listed(name), "root": name, "max_model_len": self.context}

    async def _model_info(self, request: web.Request) -> web.Response:
        path = str(FOLDER) if self.files else "nobody/student"
        return web.json_response({"model_path": path, "tokenizer_path": path, "is_generation": True})

    async def _server_info(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.5.9", "context_length": self.context, "model_path": "nobody/student"})

    async def _abort(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"rid": str}, {"abort_all": bool})
        if not body["rid"]:
            raise Problem("an empty name is the beginning of every other: this would end all requests")
        self.named_aborts.append(body["rid"])
        return web.Response(status=500 if self.abort_fails else 200)

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"model": str, "prompt": str, "add_special_tokens": bool})
        ids = tokenised(body["prompt"])
        return web.json_response({"tokens": ids, "count": len(ids), "max_model_len": self.context})

    async def _detokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"model": str, "tokens": is_ids, "skip_special_tokens": bool})
        return web.json_response({"text": vocabulary().decode(body["tokens"])})

    def accepted(self, body: Any) -> tuple[list[int] | str, int, Sequence[int]]:
        if isinstance(body, dict) and body.get("return_logprob"):
            checked(
                body, {"input_ids": is_ids, "sampling_params": dict, "return_logprob": bool, "logprob_start_len": int}
            )
            told = [[None, body["input_ids"][0], None]]
            told += [[-token / 1000, token, None] for token in body["input_ids"][1:]]
            about = {"meta_info": {"input_token_logprobs": told}}
            raise web.HTTPOk(text=json.dumps(about), content_type="application/json")
        checked(body, {"input_ids": is_ids, "sampling_params": dict, "stream": bool, "rid": str})
        if any(other["rid"].startswith(body["rid"]) for other in self.requests):
            raise Problem(f"Duplicate request ID detected: {body['rid']}")
        needed: dict[str, Check] = {
            "max_new_tokens": int,
            "stop_token_ids": is_ids,
            "skip_special_tokens": bool,
            "spaces_between_special_tokens": bool,
            **SAMPLING,
        }
        sampling = checked(body["sampling_params"], needed, {"sampling_seed": int})
        if sampling["top_k"] != -1 and sampling["top_k"] < 1:
            raise Problem(f"top_k must be -1 (disable) or at least 1, got {sampling['top_k']}")
        return body["input_ids"], sampling["max_new_tokens"], sampling["stop_token_ids"]

    def error(self, message: str, status: int) -> Any:
        return {"error": {"message": message}} if status == 400 else {"detail": message}

    def failure(self) -> str:
        reason = {"type": "abort", "message": "out of memory", "status_code": 500, "err_type": "InternalServerError"}
        event = {"text": "", "output_ids": [], "meta_info": {"completion_tokens": 0, "finish_reason": reason}}
        return f"data: {json.dumps(event)}\n\n"

    def _about(self, so_far: Written, prompt: list[int], cached: int) -> dict[str, Any]:
        reason = None
        if so_far.finish == "stop":
            reason = {"type": "stop", "matched": so_far.matched}
        elif so_far.finish == "length":
            reason = {"type": "length", "length": len(so_far.ids)}
        counts = {"prompt_tokens": len(prompt), "completion_tokens": len(so_far.ids), "cached_tokens": cached}
        return {"id": self.requests[-1]["rid"], "finish_reason": reason, **counts}

    def event(self, step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        shown = step if self.incremental else so_far
        return [{"text": shown.text, "output_ids": shown.ids, "meta_info": self._about(so_far, prompt, cached)}]

    def whole(self, so_far: Written, prompt: list[int], cached: int) -> Any:
        return {"text": so_far.text, "output_ids": so_far.ids, "meta_info": self._about(so_far, prompt, cached)}


class StrictLlama(Strict):
    """llama.cpp's llama-server: the native routes. Its stream tells of a character when that is whole, and then sends
    the last of its ids only; control tokens have no text. Behind a stream it closes the connection, which it does not
    announce."""

    kind = "llamacpp"
    completions = "/completion"
    about = {"Server": "llama.cpp"}  # noqa: RUF012

    def __init__(self, script: Iterable[int] = (), *, slots: int = 2, drafts: bool = False, **options: Any):
        super().__init__(script, **options)
        self.drafts = drafts  # its counts run ahead: they are of all that a draft model brought at once
        self.slots = slots
        self.used: list[int] = []
        self.collisions = 0
        self._busy: set[int] = set()
        self._kept: dict[int, list[int]] = {}
        self._fields: list[str] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.get("/props", self._props),
            web.post("/tokenize", self._tokenize),
            web.post("/detokenize", self._detokenize),
        ]

    async def _props(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "default_generation_settings": {"n_ctx": self.context, "params": {}},
                "total_slots": self.slots,
                "model_path": str(FOLDER) if self.files else "/nobody/student.gguf",
                "chat_template": "{{ messages }}",
                "build_info": "b7000-0123abc",
            }
        )

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"content": str, "add_special": bool, "parse_special": bool})
        text = body["content"]
        return web.json_response(
            {"tokens": tokenised(text) if body["parse_special"] else list(vocabulary().encode(text))}
        )

    async def _detokenize(self, request: web.Request) -> web.Response:
        body = checked(await request.json(), {"tokens": is_ids})
        return web.json_response({"content": vocabulary().decode(body["tokens"])})

    def error(self, message: str, status: int) -> Any:
        return {"error": {"code": status, "message": message, "type": "invalid_request_error"}}

    def failure(self) -> str:
        return f"error: {json.dumps(self.error('out of memory', 500)['error'])}\n\n"

    def done(self) -> str:
        return ""

    def accepted(self, body: Any) -> tuple[list[int] | str, int, Sequence[int]]:
        known = {"penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"}
        needed: dict[str, Check] = {
            "prompt": lambda prompt: is_ids(prompt) and bool(prompt),
            "n_predict": int,
            "stream": bool,
            "cache_prompt": bool,
            "id_slot": int,
            "return_tokens": bool,
            "return_progress": bool,
            "seed": int,
            "samplers": lambda names: set(names) <= known,
            "repeat_penalty": NUMBER,
            "repeat_last_n": int,
            "response_fields": list,
            **{name: check for name, check in SAMPLING.items() if name != "repetition_penalty"},
        }
        checked(body, needed)
        slot = body["id_slot"]
        self.collisions += slot in self._busy  # where the real one would let the request wait
        if not -1 <= slot < self.slots:
            raise Problem(f"there is no slot {slot}")
        if len(body["prompt"]) >= self.context:
            raise Problem("the request exceeds the available context size")
        self._fields = body["response_fields"]
        return body["prompt"], body["n_predict"], ()

    async def _answer(
        self, request: web.Request, prompt: Any, most: int, stops: Sequence[int], fault: Fault | None
    ) -> web.StreamResponse:
        slot = (await request.json())["id_slot"]
        self.used.append(slot)
        if slot >= 0:
            self._busy.add(slot)
            self._seen = [self._kept.get(slot, [])]
            self._kept[slot] = list(prompt)
        try:
            answer = await super()._answer(request, prompt, most, stops, fault)
        finally:
            self._busy.discard(slot)
        if not await self._wants_whole(request) and request.transport is not None:
            await answer.write_eof()
            request.transport.close()
        return answer

    def first(self, prompt: list[int], cached: int) -> list[Any]:
        progress = {"total": len(prompt), "cache": cached, "time_ms": 1}
        frame = {"index": 0, "content": "", "tokens": [0], "stop": False, "id_slot": -1, "tokens_predicted": 0}
        return [{**frame, "prompt_progress": {**progress, "processed": n}} for n in (cached, len(prompt))]

    def event(self, step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        events = []
        written = len(so_far.ids) - len(step.ids)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.decode(b"".join(vocabulary().bytes_of(token) for token in so_far.ids[:written]))
        for token in step.ids:
            written += 1
            text = "" if token in HIDDEN else decoder.decode(vocabulary().bytes_of(token))
            if decoder.getstate()[0]:
                continue
            frame = {"index": 0, "content": text, "tokens": [token], "stop": False, "id_slot": -1}
            events.append(
                {
                    **frame,
                    "tokens_predicted": len(so_far.ids) if self.drafts else written,
                    "tokens_evaluated": len(prompt),
                }
            )
        if step.finish is not None:
            events.append(self._end(step.finish, "", []))
        return events

    def _end(self, finish: str, content: str, tokens: list[int], cached: int = 0) -> dict[str, Any]:
        kind = "limit" if finish == "length" else "eos"
        event = {"content": content, "tokens": tokens, "stop": True, "stop_type": kind, "prompt": "", "model": "m"}
        event["timings"] = {"cache_n": cached, "prompt_n": 1, "predicted_n": len(tokens)}
        return {name: value for name, value in event.items() if name in self._fields}

    def whole(self, so_far: Written, prompt: list[int], cached: int) -> Any:
        return self._end(so_far.finish or "", so_far.text, so_far.ids, cached)


class StrictOpenAI(Strict):
    """OpenAI's own completion route: text, and none of the sampling values that others added."""

    kind = "system"
    completions = "/v1/completions"

    def __init__(self, script: Iterable[int] = (), *, takes: Iterable[str] = (), **options: Any):
        super().__init__(script, **options)
        self.takes = set(takes)

    def error(self, message: str, status: int) -> Any:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}

    def accepted(self, body: Any) -> tuple[list[int] | str, int, Sequence[int]]:
        others = {"top_k", "min_p", "repetition_penalty"}
        needed: dict[str, Check] = {
            "model": str,
            "prompt": str,
            "max_tokens": int,
            "stream": bool,
            **{name: check for name, check in SAMPLING.items() if name not in others},
        }
        checked(body, needed, {"seed": int, **{name: SAMPLING[name] for name in self.takes}})
        if body["model"] not in self.names:
            raise Problem(f"The model `{body['model']}` does not exist", 404)
        return body["prompt"], body["max_tokens"], ()

    def written(self, prompt: Any, most: int, stops: Sequence[int]) -> Iterable[Written]:
        """Steps of text: a prompt may end inside a token of the script, whose rest comes first."""
        done = len(prompt) - len(OPENING) if prompt.startswith(OPENING) else 0
        left = most
        finish = None
        for step in super().written(vocabulary().encode(OPENING), 1 << 30, ()):
            text = step.text[done:]
            done = max(0, done - len(step.text))
            if not text and step.finish is None:
                continue
            left -= 1
            finish = step.finish or ("length" if left == 0 else None)
            yield Written([], text, finish)
            if finish is not None:
                return

    def _frame(self, step: Written) -> dict[str, Any]:
        choice = {"index": 0, "text": step.text, "logprobs": None, "finish_reason": step.finish}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "student", "choices": [choice]}

    def event(self, step: Written, so_far: Written, prompt: list[int], cached: int) -> list[Any]:
        return [self._frame(step)]

    def whole(self, so_far: Written, prompt: list[int], cached: int) -> Any:
        return self._frame(so_far)


KINDS: Mapping[str, Callable[..., Strict]] = {
    "vllm": StrictVLLM,
    "vllm, no files": lambda script=(), **options: StrictVLLM(script, files=False, **options),
    "sglang": StrictSGLang,
    "sglang, incremental": lambda script=(), **options: StrictSGLang(script, incremental=True, **options),
    "sglang, no files": lambda script=(), **options: StrictSGLang(script, files=False, **options),
    "llama.cpp": StrictLlama,
    "llama.cpp, no files": lambda script=(), **options: StrictLlama(script, files=False, **options),
    "llama.cpp, drafting": lambda script=(), **options: StrictLlama(script, drafts=True, **options),
    "openai": StrictOpenAI,
}
"""Every form in which a role can be served."""
