"""A model's own chat template (jinja2), rendered as transformers renders it, and the dialect made of one.

A template gives one string in which its own control tokens and those that a content happens to spell look alike. So it
is rendered twice: with the contents, and with *placeholders* instead of them, which shows what text is the template's.
White space at a content's edges stays where it is, so that a template may trim it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, NamedTuple

from antiphon.dialect.base import Dialect, Message, Part, joined, require_conversation, split
from antiphon.dialect.family import Page, dialect_of, markers
from antiphon.errors import DialectError

_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_LIKE_A_CONTROL = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_THINK_MARKERS = ("<think>", "</think>")


class Stretch(NamedTuple):
    """Text of a rendering. `message` is the index of the message whose content it is, None: the template's own."""

    text: str
    message: int | None


class ChatTemplate:
    """A chat template of a model."""

    def __init__(self, text: str, special_tokens: Mapping[str, str] | None, settings: Mapping[str, Any]):
        """Takes the template's text, the tokenizer's special tokens as templates name them (`bos_token` ...), and the
        variables to render it with; of these `date` is the day that `strftime_now` tells.

        Raises:
            DialectError: the text is no valid template; names the line.
        """
        self._template = _compiled(text)
        self._variables = {
            "tools": None,
            "documents": None,
            "strftime_now": _clock(settings.get("date")),
            **(special_tokens or {}),
            **settings,
        }

    def render(self, messages: Sequence[Mapping[str, Any]], *, reply: bool = True) -> str:
        """The conversation as one string, up to where the assistant's next message begins.

        Args:
            messages: what else templates read of a message may stand beside role and content (`reasoning_content`).
            reply: whether such a message is to follow; without it the conversation ends with its last message.

        Raises:
            DialectError: the template refuses the conversation, or fails on it.
        """
        copies = [dict(message) for message in messages]
        try:
            return str(self._template.render(messages=copies, add_generation_prompt=reply, **self._variables))
        except Exception as error:  # a template is a program of the model's makers: whatever it raises is its answer
            raise DialectError(f"the model's chat template refuses the conversation: {error}") from None

    def stretches(self, messages: Sequence[Message]) -> list[Stretch]:
        """The rendering, divided into the template's own text and the contents: joined it is what `render` gives.

        Think markers in earlier replies are the template's if it looks for them, content if it does not.

        Raises:
            DialectError: as `render`, or the template leaves a message out or changes its content.
        """
        real = self.render(messages)
        result = self._divided(messages, real)
        ours = "".join(stretch.text for stretch in result)
        if ours != real:
            at = first_difference(ours, real)
            raise DialectError(
                "the model's chat template changes what a message says, or itself because of it, so that its own text"
                f" cannot be told apart, at character {at + 1}: {real[at : at + 40]!r}"
            )
        shown = {stretch.message for stretch in result}
        for number, message in enumerate(messages):
            if self._pieces(message)[-1].strip() and number not in shown:
                raise DialectError(
                    f"the model's chat template leaves out message {number + 1} ({message['role']}); "
                    "choose a family as dialect"
                )
        return result

    def _divided(self, messages: Sequence[Message], real: str) -> list[Stretch]:
        """What the template makes of placeholders, the contents put back."""
        contents: list[Stretch] = []
        fence = _unused((real, *(message["content"] for message in messages)))
        masked = []
        for number, message in enumerate(messages):
            shown = ""
            for place, text in enumerate(self._pieces(message)):
                core = text.strip()
                # Blank text needs no protection, and templates treat it in ways of their own (gpt-oss leaves it out).
                if place % 2 == 1 or not core:
                    shown += text
                else:
                    before, after = text.split(core, 1)
                    shown += f"{before}{fence}{len(contents)}{fence}{after}"
                    contents.append(Stretch(core, number))
            masked.append(Message(role=message["role"], content=shown))
        texts = re.split(f"{fence}(\\d+){fence}", self.render(masked))
        return [contents[int(text)] if number % 2 else Stretch(text, None) for number, text in enumerate(texts) if text]

    def _pieces(self, message: Message) -> list[str]:
        """The content, last of them what is not thinking. If the template looks for think markers, those of an earlier
        reply stand apart, at odd places."""
        thinking, close, said = message["content"].rpartition(_THINK_MARKERS[1])
        if not close or message["role"] != "assistant" or not self._reads_thinking:
            return [message["content"]]
        return [*re.split(f"({'|'.join(_THINK_MARKERS)})", thinking), close, said]

    @cached_property
    def _reads_thinking(self) -> bool:
        """Whether an earlier reply with its thinking is written otherwise than as it is."""
        question, reply = Message(role="user", content="?"), "T".join(_THINK_MARKERS) + "A"
        try:
            return reply not in self.render([question, Message(role="assistant", content=reply), question])
        except DialectError:
            return False


def template_dialect(
    page: Page,
    name: str,
    text: str,
    *,
    has_control: Callable[[str], bool],
    controls: Collection[str] | None,
    special_tokens: Mapping[str, str] | None,
) -> Dialect:
    """The dialect of a model's own template. Markers and settings are the page's, except that a template which opens
    the thinking itself says how; what follows an earlier reply there is one of the ends.

    Args:
        has_control: whether the model has a control token of this spelling.
        controls: all control tokens of the model, none where they cannot be listed: what looks like one is looked up.

    Raises:
        DialectError: the template is not valid, cannot render a question, or closes the thinking before the reply.
    """
    template = ChatTemplate(text, special_tokens, page.settings)

    @lru_cache(maxsize=1024)  # a template writes the same few texts again and again
    def tokens(text: str) -> tuple[Part, ...]:
        known = controls or {found for found in _LIKE_A_CONTROL.findall(text) if has_control(found)}
        return split(text, known)

    def whole(messages: Sequence[Message]) -> tuple[Part, ...]:
        require_conversation(messages)
        parts = [tokens(text) if message is None else (Part(text),) for text, message in template.stretches(messages)]
        return joined(chain.from_iterable(parts))

    question = Message(role="user", content="?")
    reply = template.stretches([question])[-1]
    opening = _thinking_opened(reply.text if reply.message is None else "", page)

    def render(messages: Sequence[Message]) -> tuple[Part, ...]:
        return _without(opening, whole(messages))

    fingerprint = page.fingerprint(text, dict(special_tokens or {}))
    dialect = dialect_of(page, name, render if opening else whole, fingerprint)
    end = _end_of_reply(template, question, tokens)
    if end is not None and end not in dialect.ends:
        dialect = replace(dialect, ends=(*dialect.ends, end))
    if opening:
        open_tokens = tokens(opening)
        if not any(part.control for part in open_tokens):
            open_tokens = markers(opening, ())
        dialect = replace(dialect, think_open=open_tokens, prompt_opens_thinking=True)
    return dialect


@lru_cache(maxsize=16)
def _compiled(text: str) -> Any:
    """The jinja2 template, in the environment that transformers gives to chat templates."""
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        """`{% generation %}`, which marks what a model writes; for a prompt it means nothing."""

        tags = {"generation"}  # noqa: RUF012 (jinja2's own protocol)

        def parse(self, parser: Any) -> jinja2.nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = raise_exception
    try:
        return environment.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        raise DialectError(f"the chat template is not valid: line {error.lineno}: {error.message}") from None


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """`tojson` as chat templates know it: without jinja2's escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _clock(day: object) -> Callable[[str], str]:
    """`strftime_now` on a fixed day."""

    def strftime_now(form: str) -> str:
        if day is None:
            raise DialectError("it asks for the date, and the dialect has no setting 'date'")
        return datetime.fromisoformat(str(day)).strftime(form)

    return strftime_now


def first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items at the beginning are the same in both."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _unused(texts: Sequence[str]) -> str:
    """A private-use character that stands in none of the texts."""
    characters = map(chr, chain(*_PRIVATE_USE))
    return next(character for character in characters if not any(character in text for text in texts))


def _thinking_opened(reply: str, page: Page) -> str:
    """The thinking's opening as the template writes it at the end of a prompt, "" if it does not."""
    marker = page.thinking.open.strip()
    _, found, after = reply.rpartition(marker)
    if not found:
        return ""
    if after.strip():
        raise DialectError(
            f"the model's chat template goes on behind {marker!r} before the reply begins: {after!r}; a page that"
            " extends 'template' can set its variables, so that it leaves the thinking to the model"
        )
    return found + after


def _without(opening: str, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts without the opening at their end."""
    left = len(opening)
    kept = list(parts)
    while left:
        last = kept.pop()
        if len(last.text) > left:
            kept.append(Part(last.text[:-left]))
            break
        left -= len(last.text)
    return tuple(kept)


def _end_of_reply(template: ChatTemplate, question: Message, tokens: Callable[[str], tuple[Part, ...]]) -> str | None:
    """The control token that the template writes right after an assistant's message."""
    said = "\ue000"
    exchange = [question, Message(role="assistant", content=said), question]
    try:
        after = template.render(exchange).rpartition(said)[2]
    except DialectError:
        return None
    first = next(iter(tokens(after)), None)
    return first.text if first is not None and first.control else None
