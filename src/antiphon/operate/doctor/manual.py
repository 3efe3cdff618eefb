"""What to change at each kind of server, and what its counters are called (Prometheus text at `/metrics`)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault


@dataclass(frozen=True, slots=True)
class Manual:
    """Advice for one kind of server (ROLE stands for the role), and names of its counters.

    Attributes:
        running: requests that are being served now.
        generated: tokens written so far. Not every server counts a request before its end.
        hits: prompt tokens that came from the cache so far.
    """

    context: str
    slots: str = ""
    cache: str = ""
    rollback: str = ""
    counted: str = ""
    counters: str = ""
    running: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()


_PROXY = "let it through to the server's /metrics"

MANUALS = {
    "llama.cpp": Manual(
        context="start llama-server with a larger -c N (N is shared out among its --parallel slots)",
        slots="start llama-server with more --parallel, and -c larger in proportion",
        cache="start llama-server without --no-cache-prompt; each of its --parallel slots keeps one prefix",
        rollback="start llama-server with --swa-full: a model with sliding windows may forget otherwise",
        counters=f"start llama-server with --metrics; behind a proxy, {_PROXY}",
        running=("llamacpp:requests_processing",),
    ),
    "vllm": Manual(
        context="start vLLM with a larger --max-model-len N",
        cache="start vLLM with --enable-prefix-caching",
        rollback="start vLLM with a smaller --block-size (whole blocks are cached); models with sliding windows or"
        " state may have no hits at all",
        counted="start vLLM with --enable-prompt-tokens-details, so that a run can count it, too",
        counters=f"behind a proxy, {_PROXY}",
        running=("vllm:num_requests_running",),
        generated=("vllm:generation_tokens_total",),
        hits=("vllm:prefix_cache_hits_total",),
    ),
    "sglang": Manual(
        context="start SGLang with a larger --context-length N",
        cache="start SGLang without --disable-radix-cache",
        rollback="start SGLang without --disable-radix-cache",
        counters=f"start SGLang with --enable-metrics; behind a proxy, {_PROXY}",
        running=("sglang:num_running_reqs",),
        generated=("sglang:generation_tokens_total",),
        hits=("sglang:cached_tokens_total",),
    ),
}

OTHER = Manual(
    context="let the server hold more tokens",
    slots="let the server keep more prefixes at once",
    cache="switch the server's prefix cache on, or take a server that has one (vLLM, SGLang, llama.cpp)",
    rollback="take a server whose prefix cache goes by tokens (SGLang, llama.cpp) or small blocks (vLLM)",
    counters="watch the server's own figures after a run has been stopped",
    running=tuple(name for manual in MANUALS.values() for name in manual.running),
    generated=tuple(name for manual in MANUALS.values() for name in manual.generated),
    hits=tuple(name for manual in MANUALS.values() for name in manual.hits),
)

IN_PROCESS = Manual(context="take a model that holds more")


def launched(manual: Manual) -> Manual:
    """For a server that is started for a run."""
    return replace(
        manual,
        context="let it hold more: --set ROLE.context=N",
        slots="start the server yourself, with more slots, and name it by its URL",
    )


async def counter(client: Client, names: Collection[str]) -> float | None:
    """The value of the counters of these names, all label sets together; None where the server has none of them."""
    if not names:
        return None
    try:
        text = await client.text("/metrics")
    except Fault:
        return None
    pattern = "|".join(map(re.escape, names))
    values = re.findall(rf"^(?:{pattern})(?:\{{.*\}})? +([\d.eE+-]+)$", text, re.MULTILINE)
    return sum(map(float, values)) if values else None


async def cache_size(client: Client) -> int | None:
    """How many tokens a vLLM keeps, of all prefixes together; None where it does not tell."""
    try:
        told = re.search(r"^vllm:cache_config_info\{(.*)\}", await client.text("/metrics"), re.MULTILINE)
    except Fault:
        return None
    about = dict(re.findall(r'(\w+)="(\d+)"', told[1])) if told else {}
    if "num_gpu_blocks" not in about or "block_size" not in about:
        return None
    return int(about["num_gpu_blocks"]) * int(about["block_size"])
