"""What a server tells of itself, and whether that is enough."""

from __future__ import annotations

import time
from contextlib import aclosing

from antiphon.engine.http import HttpEngine
from antiphon.engine.http.wire import Ask, read_event
from antiphon.errors import RequestRefused
from antiphon.operate.doctor.manual import cache_size
from antiphon.operate.doctor.report import Finding, failure, ok, warning
from antiphon.operate.doctor.subject import GREEDY, NO_ROUTE, Subject, spoken
from antiphon.plural import many
from antiphon.synth.cast import LEAST_THINKING, budgets
from antiphon.synth.methods import method
from antiphon.trace import pack_ids

_AWKWARD = "  def f(x):\n\treturn x**2  # naïve café, 二加二等于四, 👩\u200d👧, 3.14159\n\n"
_TRIES = 3
_ENOUGH = 4096  # tokens of thinking, where no budget is set


async def reachable(subject: Subject) -> Finding:
    """Whether it answers, and how far away it is."""
    if subject.http is None:
        return ok("runs in this process")
    (client,) = subject.http.clients
    seconds = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        await client.get("/v1/models")
        seconds.append(time.perf_counter() - began)
    nearest = min(seconds) * 1000
    return ok(f"{client.shown} answers in {spoken(nearest)}", milliseconds=round(nearest, 2))


async def version(subject: Subject) -> Finding:
    """Which program serves."""
    if subject.http is None:
        return ok("transformers, in this process")
    about = subject.http.about
    kind, number = about["kind"], about["version"]
    if kind == "openai":
        return ok("any server with OpenAI's completion route", kind=kind, version=number)
    return ok(f"{kind} {number}" if number else f"{kind}, which does not tell its version", kind=kind, version=number)


async def model(subject: Subject) -> Finding:
    """Which model serves."""
    return ok(subject.engine.name, **subject.engine.identity)


async def context(subject: Subject) -> Finding:
    """Whether its context holds the budgets."""
    held, settings, author = subject.context, subject.settings, subject.author
    if held is None:
        return warning(
            "the server does not tell its context; a trace that passes it fails",
            f"say it: {author}.context = N",
        )
    chosen = method(settings.method)
    thinks, answers = author in chosen.thinkers, chosen.answer is author
    thinking, answer = budgets(settings, held)
    room = held - answer if answers else held
    more = subject.advice(subject.manual.context)
    if room < LEAST_THINKING:
        return failure(f"{held:,} tokens leave no room beside an answer of {answer:,}", more, tokens=held)
    parts = [f"{min(thinking, room):,} of thinking"] * thinks + [f"{answer:,} of answer"] * answers
    says = f"{held:,} tokens: at most {' and '.join(parts)}, less the prompt"
    if thinks and room <= min(thinking, settings.budget.thinking or _ENOUGH):
        asked = f"the budget is {thinking:,}" if settings.budget.thinking else "reasoning models think for thousands"
        return warning(f"{says}; {asked}", more, tokens=held)
    return ok(says, tokens=held)


async def ids(subject: Subject) -> Finding:
    """Whether tokens go in and out as ids, and whether they mean the same on both sides."""
    http = subject.http
    if not subject.can.continues:
        return _whole_replies(subject)
    if not subject.can.ids:
        says = "text only: cuts fall on characters, and the record holds no ids"
        if subject.role.server.ids == "never":
            return ok(f"{says}, as asked ({subject.author}.server.ids)")
        if http is not None and http.remarks:
            return warning(says, http.remarks[-1])
        return warning(says, "vLLM from 0.10.2, SGLang and llama.cpp's own route give ids")
    if http is None or http.tokens is None:
        return ok("ids in and out")
    source = http.tokens.source
    ours = await http.encode(_AWKWARD)
    text = await http.decode(ours)
    if text != _AWKWARD:
        return warning(f"an awkward text comes back changed: {text!r}", "its tokenizer normalises; nothing to change")
    other = f"the tokenizer at {source} is not that of the model that is served"
    advice = f"name the right folder or file: {subject.author}.server.tokenizer"
    try:
        theirs = await http.wire.tokenize(http.clients[0], _AWKWARD, controls=True)
    except NO_ROUTE:
        theirs = None
    if theirs is not None and pack_ids(theirs) != ours:
        return failure(other, advice)
    try:
        said, meant = await _both_ways(http)
    except NO_ROUTE:  # what is wrong with its streams is another check's to tell
        said = meant = ""
    if said and said != meant:
        return failure(f"{other}: it says {said!r}, its ids say {meant!r}", advice)
    return ok(f"in and out, by {source}", tokenizer=source)


def _whole_replies(subject: Subject) -> Finding:
    """A chat endpoint, which is enough for some methods."""
    says = "a chat endpoint: whole replies, no turns"
    if subject.author not in method(subject.settings.method).continuing:
        return ok(says)
    return failure(says, "serve the model's completion route, or write by the method teacher_only")


async def _both_ways(http: HttpEngine) -> tuple[str, str]:
    """A few tokens as the server spells them ("" where it sends only ids, or not all of them), and as their ids read
    here."""
    wire, received, text = http.wire, pack_ids(), ""
    ask = Ask(await http.encode("1 2 3 4"), GREEDY, 8)
    async with aclosing(http.clients[0].events(wire.path, wire.body(ask))) as events:
        async for data in events:
            event = read_event(wire, data, len(received), len(text))
            if event.missing:
                return "", ""
            received.extend(event.ids)
            text += event.text if event.ids else ""
    return text.rstrip("\ufffd"), (await http.decode(received)).rstrip("\ufffd")


async def slots(subject: Subject) -> Finding:
    """Whether it keeps as many prefixes as there are traces."""
    count, wanted = subject.can.slots, subject.settings.concurrency
    if count is None:
        kept = None if subject.http is None else await cache_size(subject.http.clients[0])
        return ok("as many prefixes as its memory holds") if kept is None else _memory(subject, kept)
    if count >= wanted:
        return ok(f"{many(count, 'slot')} for {many(wanted, 'trace')}", slots=count)
    few = f"{many(count, 'slot')}: {many(count, 'trace')} {'is' if count == 1 else 'are'}"
    return warning(
        f"{few} in flight, not {wanted}",
        "; or ".join(filter(None, (subject.advice(subject.manual.slots), f"set --concurrency {count}"))),
        slots=count,
    )


def _memory(subject: Subject, kept: int) -> Finding:
    """Traces in flight are at half of their length in the mean."""
    settings = subject.settings
    thinking, answer = budgets(settings, subject.context)
    longest = thinking + answer if method(settings.method).answer is subject.author else thinking
    longest = min(longest, subject.context or longest)
    room, wanted = max(1, 2 * kept // longest), settings.concurrency
    says = f"its cache holds {many(kept, 'token')}, {many(room, 'trace')} half-way to {longest:,}"
    if room >= wanted:
        return ok(says, tokens=kept, traces=room)
    return warning(
        f"{says}: with {wanted} in flight prefixes are lost and read again",
        f"set --concurrency {room}, or give it more memory (vLLM: --gpu-memory-utilization)",
        tokens=kept,
        traces=room,
    )


async def scoring(subject: Subject) -> Finding:
    """Whether it tells the probabilities of a given text. No method of writing needs it."""
    if not subject.can.scoring:
        return ok("no probabilities of given text (writing needs none)", scoring=False)
    given = list(await subject.engine.encode("One and one is two."))
    try:
        scores = await subject.engine.score(given)
    except RequestRefused:
        return warning("no probabilities of given text, which this kind of server should have (writing needs none)")
    if len(scores) != len(given) or any(score > 0 for score in scores):
        return warning("its probabilities of a given text are none", "measuring likelihood with it will not work")
    return ok("probabilities of given text", scoring=True)
