"""How tokens come: one by one, no longer than they are wanted, and what a turn costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from antiphon.dialect import Part
from antiphon.engine.base import Sequence
from antiphon.engine.http import HttpEngine
from antiphon.engine.http.llamacpp import LlamaCpp
from antiphon.engine.http.tokens import ServerTokens
from antiphon.errors import StreamBroken
from antiphon.operate.doctor.manual import counter
from antiphon.operate.doctor.report import Finding, failure, ok, warning
from antiphon.operate.doctor.subject import GREEDY, NO_ROUTE, Subject, Written, middle, spoken
from antiphon.plural import many

_STREAMED = 48  # tokens by which a stream is judged
_LEAST = 12
_LONG = 4096  # tokens asked for by a request that is going to be closed
_STOPS_WITHIN, _EVERY = 5.0, 0.05  # seconds
_BEYOND, _SOON = 64, 0.5  # tokens, or seconds of writing, that may pass until the server hears of a closed stream
_TURN = 8  # tokens in, tokens out
_TURNS = 5
_PREFIX = 400  # tokens before a turn


class _Seen(NamedTuple):
    """A stream: `held` is near 0 where its first token comes when it is written, and 1 where all wait for the last;
    `clumps` counts the moments at which some came."""

    written: Written
    held: float
    clumps: int

    @property
    def waits(self) -> bool:
        return len(self.written.sizes) == 1 or self.held > 0.5

    @property
    def clumped(self) -> bool:
        return self.clumps < len(self.written.sizes) / 4


async def stream(subject: Subject) -> Finding:
    """Whether its tokens come one by one, as they are written."""
    try:
        seen = await _streamed(subject)
        for _ in range(2):  # a request may have been tried again, or have met a busy machine
            if seen.waits or seen.clumped:
                seen = min(seen, await _streamed(subject), key=lambda each: (each.waits, -each.clumps))
    except StreamBroken as broken:
        return failure(
            f"a short stream breaks: {broken}",
            "if a proxy stands between, raise its read timeout (nginx: proxy_read_timeout), or speak to the server"
            " itself",
        )
    tokens, chunks = seen.written.tokens, len(seen.written.sizes)
    if tokens < _LEAST:
        return warning(f"not seen: the model ended after {many(tokens, 'token')}")
    facts = {"tokens": tokens, "chunks": chunks, "clumps": seen.clumps}
    if seen.waits:
        says = f"nothing comes before the end: {tokens} tokens arrive at once"
        advice = "switch buffering off in the proxy (nginx: proxy_buffering off); until then: --set run_ahead=16"
        if not isinstance(subject.settings.run_ahead, int):
            return failure(f"{says}, so each turn is written to its last token before it is cut", advice, **facts)
        return warning(says, advice, **facts)
    if seen.clumped:
        return warning(
            f"{tokens} tokens come in {seen.clumps} clumps: more is written, and thrown away, than needed",
            "switch buffering off in the proxy (nginx: proxy_buffering off)",
            **facts,
        )
    together = median(seen.written.sizes)  # a machine that reads late joins some, and is not the server
    if together > 1.5:
        return warning(
            f"{together:g} tokens come together: what comes with a cut is thrown away",
            "start vLLM with --stream-interval 1, SGLang with --stream-interval 1",
            **facts,
        )
    return ok(f"{many(tokens, 'token')} in {many(chunks, 'chunk')}, as they are written", **facts)


async def _streamed(subject: Subject) -> _Seen:
    sequence, _ = await subject.counting(60)
    before = min([(await subject.write(sequence, GREEDY, 1)).seconds for _ in range(2)])
    written = await subject.write(sequence, GREEDY, subject.most(sequence, _STREAMED))
    writing = max(1e-9, written.seconds - before)
    gaps = [after - earlier for earlier, after in pairwise(written.times)]
    clumps = 1 + sum(gap > 0.3 * writing / max(1, written.tokens) for gap in gaps)
    return _Seen(written, (written.first - before) / writing, clumps)


async def abort(subject: Subject) -> Finding:
    """Whether a stream that is closed ends at the server, too."""
    http = subject.http
    if http is None:
        return ok("what runs in this process ends with its stream")
    sequence, _ = await subject.counting(60)
    await subject.write(sequence, GREEDY, 1)
    running = await _running(http, subject.manual.running)
    generated = await counter(http.clients[0], subject.manual.generated)
    written = await subject.write(sequence, GREEDY, subject.most(sequence, _LONG), close_after=4)
    if running is None and generated is None:
        return warning("closed; whether the server stops cannot be seen", subject.manual.counters)
    began = time.perf_counter()
    if running is not None:
        while (now := await _running(http, subject.manual.running)) is not None and now > running:
            if time.perf_counter() - began > _STOPS_WITHIN:
                if running > 0:
                    return warning("closed; whether it ended cannot be told: others use the server now")
                return failure(
                    f"{_STOPS_WITHIN:.0f} s after a stream was closed the server still works on it: what is thrown"
                    " away is written in full",
                    "if a proxy stands between, let it end requests whose client is gone (nginx:"
                    " proxy_ignore_client_abort off)",
                )
            await asyncio.sleep(_EVERY)
    took = (time.perf_counter() - began) * 1000
    facts = {"milliseconds": round(took)}
    if generated is not None and not running:  # else others write, too
        await subject.write(sequence, GREEDY, 1)  # some servers count anew only when they work
        after = await counter(http.clients[0], subject.manual.generated)
        beyond = max(0, int((after or 0) - generated) - written.tokens - 1)
        facts["beyond"] = beyond
        if beyond > max(_BEYOND, _SOON / written.pace):
            return warning(
                f"the server wrote {many(beyond, 'token')} after the stream was closed",
                "if a proxy stands between, let it end requests whose client is gone",
                **facts,
            )
        return ok(f"a closed stream ends at the server, {many(beyond, 'token')} later", **facts)
    return ok(f"a closed stream ends at the server, within {spoken(max(took, 1))}", **facts)


async def _running(http: HttpEngine, names: Collection[str]) -> float | None:
    """Requests that the server works on now."""
    client = http.clients[0]
    known = await counter(client, names)
    if known is None and isinstance(http.wire, LlamaCpp):
        try:
            slots = await client.get("/slots")
            return float(sum(bool(slot["is_processing"]) for slot in slots))
        except NO_ROUTE:
            return None
    return known


async def clock(subject: Subject) -> Finding:
    """What a turn of eight tokens in and eight out takes behind a prefix that the cache has."""
    sequence, number = await subject.counting(_PREFIX)
    await subject.write(sequence, GREEDY, 1)
    firsts, each, turns, tokenising = [], [], [], []
    for turn in range(_TURNS):
        began = time.perf_counter()
        await _heard(subject, sequence, number + turn)
        tokenising.append(time.perf_counter() - began)
        written = await subject.write(sequence, GREEDY, subject.most(sequence, 8 * _TURN), close_after=_TURN)
        if not written.tokens:
            continue
        turns.append(time.perf_counter() - began)
        firsts.append(written.first)
        if written.tokens > written.sizes[0]:
            each.append((written.times[-1] - written.first) / (written.tokens - written.sizes[0]))
    if not turns:
        return warning("not measured: the model ends at once")
    facts = {"first_token": round(middle(firsts), 2), "turn": round(middle(turns), 2)}
    says = (
        f"{spoken(middle(turns))} for a turn of {_TURN} tokens in, {_TURN} out: {spoken(middle(firsts))} to the first"
    )
    if each:
        facts["each_token"] = round(middle(each), 2)
        says += f", {spoken(middle(each))} for each other"
    http = subject.http
    if http is not None and isinstance(http.tokens, ServerTokens):
        facts["tokenising"] = round(middle(tokenising), 2)
        share = median(tokenising) / median(turns)
        says += f"; {spoken(middle(tokenising))} of it to tokenise by the server's route"
        if share > 0.1:
            return warning(
                f"{says}, {share:.0%}",
                f"name the folder or file of its tokenizer here: {subject.author}.server.tokenizer",
                **facts,
            )
    return ok(says, **facts)


async def _heard(subject: Subject, sequence: Sequence, number: int) -> None:
    """About eight tokens of the other author's, such as nobody has written before."""
    await sequence.append((Part(f" and so on. Then there is {number}"),))
