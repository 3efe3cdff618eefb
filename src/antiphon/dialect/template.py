"""A model's own chat template (jinja2), rendered as transformers renders it, and the dialect made of one.

A template gives one string in which its own control tokens and those that a content happens to spell look alike. So it
is rendered twice: with the contents, and with *placeholders* instead of them. The second rendering shows which text is
the template's; the first shows what the template did to the contents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.dialect.base import Dialect, Message, Part, joined, require_conversation, split
from antiphon.dialect.family import Page, dialect_of, markers
from antiphon.errors import DialectError

if TYPE_CHECKING:
    import jinja2

_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
_LIKE_A_CONTROL = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_THINK_CLOSE = "</think>"


class Stretch(NamedTuple):
    """Text of a rendering: the template's own, or what it made of a message's content."""

    text: str
    is_content: bool


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, text: str, special_tokens: Mapping[str, str] | None, settings: Mapping[str, Any]):
        """Takes the template's text, the tokenizer's special tokens as templates name them (`bos_token` ...), and the
        variables to render it with; of these `date` is the day that `strftime_now` tells.

        Raises:
            DialectError: the text is no valid template; names the line.
        """
        import jinja2

        try:
            self._template = _environment(settings.get("date")).from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise DialectError(f"the chat template is not valid: line {error.lineno}: {error.message}") from None
        self._variables = {"tools": None, "documents": None, **(special_tokens or {}), **settings}

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> str:
        """The conversation as one string, with `reply` up to where the assistant's next message begins.

        Raises:
            DialectError: the template refuses the conversation, or fails on it.
        """
        copies = [dict(message) for message in messages]
        try:
            return self._template.render(messages=copies, add_generation_prompt=reply, **self._variables)
        except Exception as error:  # a template is a program of the model's makers: whatever it raises is its answer
            raise DialectError(f"the model's chat template refuses the conversation: {error}") from None

    def stretches(self, messages: Sequence[Message]) -> list[Stretch]:
        """The rendering up to the reply, divided; the texts joined are what `render` gives.

        Raises:
            DialectError: as `render`, or the template leaves a message out or changes its content in a way unknown.
        """
        real = self.render(messages)
        contents = [message["content"] for message in messages]
        masks = _placeholders(contents, real)
        # A blank content needs no protection, and templates treat it in their own ways (gpt-oss leaves it out).
        masked = [
            message if not message["content"].strip() else Message(role=message["role"], content=mask)
            for message, mask in zip(messages, masks, strict=True)
        ]
        pieces = re.split("|".join(f"({re.escape(mask)})" for mask in masks), self.render(masked))
        number_of = {mask: number for number, mask in enumerate(masks)}
        skeleton = [number_of.get(piece, piece) for piece in pieces if piece]
        for number, message in enumerate(masked):
            if message is not messages[number] and number not in skeleton:
                raise DialectError(f"the model's chat template leaves out message {number + 1} ({message['role']})")
        return _fitted(real, skeleton, messages)


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
        controls: all control tokens of the model, None where they cannot be listed: what looks like one is looked up.

    Raises:
        DialectError: the template is not valid, cannot render a question, or closes the thinking before the reply.
    """
    template = ChatTemplate(text, special_tokens, page.settings)

    @lru_cache(maxsize=1024)  # a template writes the same few texts again and again
    def tokens(text: str) -> tuple[Part, ...]:
        known = controls
        if known is None:
            known = {found for found in _LIKE_A_CONTROL.findall(text) if has_control(found)}
        return split(text, known)

    def whole(messages: Sequence[Message]) -> tuple[Part, ...]:
        require_conversation(messages)
        parts = [(Part(text),) if is_content else tokens(text) for text, is_content in template.stretches(messages)]
        return joined(chain.from_iterable(parts))

    question = Message(role="user", content="?")
    reply = template.stretches([question])[-1]
    opening = _thinking_opened("" if reply.is_content else reply.text, page)

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


def _environment(day: object) -> jinja2.Environment:
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

    def strftime_now(form: str) -> str:
        if day is None:
            raise jinja2.TemplateError("it asks for the date, and the dialect has no setting `date`")
        return datetime.fromisoformat(str(day)).strftime(form)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
    return environment


def _placeholders(contents: Sequence[str], rendering: str) -> list[str]:
    """A text for each content that stands nowhere in the rendering or in any content."""
    texts = (*contents, rendering)
    free = (chr(code) for code in chain(*_PRIVATE_USE))
    fence = next(character for character in free if not any(character in text for text in texts))
    return [f"{fence}{number}{fence}" for number in range(len(contents))]


def _fitted(real: str, skeleton: Sequence[str | int], messages: Sequence[Message]) -> list[Stretch]:
    """The real rendering, divided as the skeleton has it (the template's texts, and the numbers of messages), each
    content in the form that fits."""
    reached: dict[int, Any] = {0: None}  # positions in `real`, each with the stretch before and how that was reached
    number = 0
    for piece in skeleton:
        if isinstance(piece, str):
            forms: list[Stretch] = [Stretch(piece, False)]
        else:
            number = piece
            forms = [Stretch(form, True) for form in _forms(messages[piece]["content"])]
        farther: dict[int, Any] = {}
        for position, path in reached.items():
            for stretch in forms:
                if real.startswith(stretch.text, position):
                    farther.setdefault(position + len(stretch.text), (path, stretch))
        if not farther:
            break
        reached = farther
    path = reached.get(len(real))
    if path is None:
        role = messages[number]["role"]
        raise DialectError(
            f"the model's chat template changes the content of message {number + 1} ({role}), or itself because of it,"
            " in a way that cannot be told from the template's own text"
        )
    result: list[Stretch] = []
    while path is not None:
        path, stretch = path
        result.append(stretch)
    return result[::-1]


def _forms(content: str) -> Iterator[str]:
    """What templates make of a content: itself, trimmed, and either without the thinking before it."""
    yield from dict.fromkeys(
        form
        for text in (content, content.rpartition(_THINK_CLOSE)[2])
        for form in (text, text.strip(), text.lstrip("\n"), text.strip("\n"), text.lstrip(), text.rstrip())
    )


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
