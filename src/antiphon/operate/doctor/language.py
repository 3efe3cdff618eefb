"""Whether it is spoken to as it expects, and draws its tokens as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.dialect import Part, check
from antiphon.dialect.base import joined, split
from antiphon.dialect.check import CONVERSATIONS
from antiphon.engine.http.chat import Chat
from antiphon.engine.http.llamacpp import LlamaCpp
from antiphon.engine.http.tokens import FileTokens
from antiphon.engine.http.wire import Ask
from antiphon.errors import DialectError
from antiphon.operate.doctor.report import Finding, failure, ok, warning
from antiphon.operate.doctor.subject import GREEDY, NO_ROUTE, Subject
from antiphon.settings import Sampling

_STORY = "Tell a story about a lighthouse that nobody had ever seen."
_LENGTH = 24  # tokens of a sample: at temperature 2 no model writes its greedy ones by chance
_LEAST = 4
_HOT = Sampling(temperature=2, top_p=1, top_k=0)


async def template(subject: Subject) -> Finding:
    """Whether prompts are what the model's own chat template writes, in text and in ids."""
    voice, engine = subject.voice, subject.engine
    assert voice is not None
    dialect, known = voice.dialect, engine.chat_template
    if subject.http is not None and isinstance(subject.http.wire, Chat):
        return ok("the server's own: it is given messages", dialect=dialect.name)
    if known is None:
        says = f"no chat template is known to compare with; the dialect {dialect.name!r} was"
        where = f"name the folder that holds its template, if it has one ({subject.author}.server.tokenizer)"
        if subject.role.dialect == "auto":
            advice = f"{where}, or choose the dialect that it was trained with ({subject.author}.dialect)"
            return warning(f"{says} found by control tokens", advice, dialect=dialect.name)
        if subject.http is None or isinstance(subject.http.tokens, FileTokens):
            return ok(f"{says} chosen", dialect=dialect.name)
        return warning(f"{says} chosen", where, dialect=dialect.name)
    if not dialect.follows_template:
        return ok(f"the dialect {dialect.name!r} does not claim to follow the chat template", dialect=dialect.name)

    async def encode_parts(parts: Sequence[Part]) -> Sequence[int]:
        return await _encoded(subject, parts)

    async def encode_rendered(text: str) -> Sequence[int]:
        http = subject.http
        if http is not None and http.tokens is not None:
            try:
                return await http.wire.tokenize(http.clients[0], text, controls=True)
            except NO_ROUTE:
                pass
        return await _encoded(subject, split(text, engine.controls))

    what = "text and ids" if subject.can.ids else "text"
    try:
        await check(dialect, known, engine.special_tokens, encode_parts=encode_parts, encode_rendered=encode_rendered)
    except DialectError as error:
        return failure(str(error), dialect=dialect.name)
    return ok(
        f"{len(CONVERSATIONS)} awkward conversations as its own template has them, {what} (dialect {dialect.name!r})",
        dialect=dialect.name,
    )


async def _encoded(subject: Subject, parts: Sequence[Part]) -> list[int]:
    ids: list[int] = []
    for part in joined(parts):
        token = subject.engine.control_id(part.text) if part.control else None
        ids += await subject.engine.encode(part.text) if token is None else [token]
    return ids


async def markers(subject: Subject) -> Finding:
    """What closes the thinking and ends a turn."""
    voice = subject.voice
    assert voice is not None
    dialect, control_id = voice.dialect, subject.engine.control_id
    closes, ends = map(list, (dialect.closes, dialect.ends))
    by_id = {token: control_id(token) for token in (*closes, *ends)}

    def named(tokens: Sequence[str]) -> str:
        return ", ".join(
            token if (known := by_id[token]) is None else f"{token} ({known})" for token in dict.fromkeys(tokens)
        )

    facts: dict[str, Any] = {"dialect": dialect.name, "closes": closes, "ends": ends}
    says = f"thinking closes with {named(closes)}"
    if dialect.close_text is not None and subject.can.ids:
        says += ", as text"
    if ends or dialect.next_turn:
        ending = [named(ends)] * bool(ends) + [f"{text!r}, as text" for text in dialect.next_turn]
        return ok(f"{says}; a turn ends with {', '.join(ending)}", **facts)
    if not subject.can.ids:
        return ok(f"{says}; a turn ends where the server ends it", **facts)
    return warning(
        f"{says}; no token is known that ends a turn, so it ends where the server ends it",
        f"choose {subject.author}.dialect",
        **facts,
    )


async def sampling(subject: Subject) -> Finding:
    """Whether it heeds the values it is sent. Each of the three cuts alone makes any temperature greedy."""
    story = await subject.open(_STORY)
    begin, length = story.length, subject.most(story, _LENGTH)

    async def written(values: Sampling) -> str:
        text = (await subject.write(story, values, length)).text
        story.truncate(begin)
        return text

    await written(GREEDY)  # from now on its prefix lies in the cache, and all that follow are computed alike
    greedy = await written(GREEDY)
    if len(greedy) < _LEAST:
        return warning(f"not seen: the model ended after {greedy!r}")
    if await written(GREEDY) != greedy:
        return warning(
            "greedy twice gives two texts: it computes a little differently each time",
            "nothing to change: batched servers do; a seed will not reproduce a run on it",
        )
    ignored = [] if await written(_HOT) != greedy else ["temperature"]
    if not ignored:
        for name, value in (("top_k", 1), ("top_p", 1e-6), ("min_p", 1.0)):
            if await written(_HOT.model_copy(update={name: value})) != greedy:
                ignored.append(name)
    replaced = await _replaced(subject)
    if ignored or replaced:
        said = [f"{', '.join(ignored)} not heeded"] * bool(ignored) + replaced
        return warning(
            "; ".join(said),
            "look for defaults that override requests in the server's flags or its proxy; else the record says what"
            " the model was not asked",
            ignored=ignored,
        )
    return ok("greedy twice is equal; temperature, top_k, top_p and min_p are heeded")


async def _replaced(subject: Subject) -> list[str]:
    """Values that the server says it uses and that are not those it was sent."""
    http = subject.http
    if http is None or not isinstance(http.wire, LlamaCpp):
        return []
    sent = http.wire.body(Ask(await http.encode("1 2 3"), subject.role.sampling, 1)) | {"stream": False}
    del sent["response_fields"], sent["return_progress"]
    try:
        used = (await http.clients[0].post(http.wire.path, sent))["generation_settings"]
    except NO_ROUTE:
        return []
    names = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")
    return [
        f"{name} is {used[name]:g} there, not {sent[name]:g}"
        for name in names
        if isinstance(used.get(name), int | float) and abs(used[name] - sent[name]) > 1e-4
    ]
