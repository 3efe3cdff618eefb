"""What servers tell of themselves at `/metrics` (Prometheus text), by kind of server."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

_VALUE = re.compile(r"^([a-z]+:\w+)(?:\{.*\})? +([\d.eE+-]+)$", re.MULTILINE)


class Counted(NamedTuple):
    """A server's figures at one time, None where it does not tell.

    `running` and `queued` are requests now, `filled` the share of its cache that running requests take. Counted since
    it started: tokens `written`, `prompt` tokens, those of them that came from the cache (`cached`), and requests that
    were put back for want of cache (`preempted`).
    """

    running: float | None = None
    queued: float | None = None
    filled: float | None = None
    written: float | None = None
    prompt: float | None = None
    cached: float | None = None
    preempted: float | None = None


_NAMES: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "vllm:num_requests_running": "running",
        "vllm:num_requests_waiting": "queued",
        "vllm:kv_cache_usage_perc": "filled",
        "vllm:gpu_cache_usage_perc": "filled",  # its name in older versions
        "vllm:generation_tokens_total": "written",
        "vllm:prefix_cache_queries_total": "prompt",
        "vllm:prefix_cache_hits_total": "cached",
        "vllm:num_preemptions_total": "preempted",
    },
    "sglang": {
        "sglang:num_running_reqs": "running",
        "sglang:num_queue_reqs": "queued",
        "sglang:token_usage": "filled",
        "sglang:generation_tokens_total": "written",
        "sglang:prompt_tokens_total": "prompt",
        "sglang:cached_tokens_total": "cached",
    },
    "llama.cpp": {  # its tokens are counted at the end of a request, and of prompts only what was not cached
        "llamacpp:requests_processing": "running",
        "llamacpp:requests_deferred": "queued",
    },
}
_ANY = {name: field for names in _NAMES.values() for name, field in names.items()}


def counted(text: str, kind: str) -> Counted | None:
    """A server's figures; None where none of them is told.

    Args:
        text: its `/metrics`.
        kind: of server; one that has no names of its own may have anybody's.
    """
    names = _NAMES.get(kind, _ANY)
    values: dict[str, list[float]] = defaultdict(list)
    for name, value in _VALUE.findall(text):
        if name in names:
            values[names[name]].append(float(value))
    if not values:
        return None
    return Counted(**{field: max(found) if field == "filled" else sum(found) for field, found in values.items()})
