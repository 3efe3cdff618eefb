"""Whether a dialect says what the model's own chat template says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from antiphon.dialect.base import Dialect, Message, Part, joined, text_of
from antiphon.dialect.template import ChatTemplate, first_difference
from antiphon.errors import DialectError

_SHOWN = 24  # characters or ids on either side of a difference


def _talk(*turns: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=content) for role, content in turns]


QUESTION: Sequence[Message] = _talk(("user", "2+2?"))

CONVERSATIONS: Mapping[str, Sequence[Message]] = {
    "a question": QUESTION,
    "white space at the edges": _talk(("user", "\n\n  two breaks, two blanks, a tab \t \n\n")),
    "an empty question": _talk(("user", "")),
    "CJK": _talk(("user", "二加二等于几？\u3000日本語で「答え」を、한국어로 '정답'. １２３ ▁")),
    "emoji and combining characters": _talk(("user", "👩\u200d👧 👍🏽 🇩🇪 cafe\u0301 A\u030a \u2028end")),
    "code": _talk(("user", "def f(x):\r\n\treturn {'a': [x]}  # {{ x }} {% raw %} <b>&amp;</b>\r\n\r\n")),
    "words of other formats": _talk(("user", "user\nassistantfinal\n### Response:\nHuman: [x] analysis")),
    "a system message": _talk(("system", "You are terse.\n"), ("user", "2+2?")),
    "an empty system message": _talk(("system", ""), ("user", "2+2?")),
    "earlier turns": _talk(
        ("user", "2+2?"), ("assistant", "4\n"), ("user", " 3+3?"), ("assistant", "\n 6"), ("user", "sure?\n")
    ),
    "a system message and earlier turns": _talk(
        ("system", "Be kind."), ("user", "2+2?"), ("assistant", "It is\n\n4."), ("user", "3+3?")
    ),
}
"""Conversations that templates are known to treat unlike. None spells a control token."""

THINKING_BEFORE: Sequence[Message] = _talk(
    ("user", "2+2?"), ("assistant", "<think>\neasy\n</think>\n\n4"), ("user", "3+3?")
)
"""An earlier reply with its thinking, of which most templates keep the answer only."""


def differences(dialect: Dialect, template: str, special_tokens: Mapping[str, str] | None = None) -> list[str]:
    """Compares the text of prompts with the template's, on `CONVERSATIONS` and `THINKING_BEFORE`; one line for each
    that differs.

    A conversation that the template refuses is passed over, the plain question excepted. The thinking's opening is part
    of a prompt where the dialect says that the template writes it.

    Args:
        template: the model's own chat template.
        special_tokens: the tokenizer's, by the names that templates use.

    Raises:
        DialectError: the template is not valid.
    """
    reference = ChatTemplate(template, special_tokens, dialect.settings)
    found = []
    for name, messages in {**CONVERSATIONS, "an earlier turn with thinking": THINKING_BEFORE}.items():
        try:
            wanted = reference.render(messages)
        except DialectError as error:
            if messages is QUESTION:
                found.append(str(error))
            continue
        try:
            ours = text_of(_prompt(dialect, messages))
        except DialectError as error:
            found.append(f"{name}: {error}")
            continue
        if ours != wanted:
            found.append(f"{name}: {_shown_difference(ours, wanted)}")
    return found


async def check(
    dialect: Dialect,
    template: str,
    special_tokens: Mapping[str, str] | None = None,
    *,
    encode_parts: Callable[[Sequence[Part]], Awaitable[Sequence[int]]],
    encode_rendered: Callable[[str], Awaitable[Sequence[int]]],
) -> None:
    """Compares prompts with the model's own template, text and ids. Returns if they are equal, and at once for a
    dialect that does not claim to follow the template. Ids are compared on `CONVERSATIONS` alone: in a template's
    rendering a control token that a content spells becomes one.

    Args:
        encode_parts: parts to ids as the engine appends them, without an added start token.
        encode_rendered: a rendered template to ids, control tokens matched, without an added start token.

    Raises:
        DialectError: they differ; shows the first place.
    """
    if not dialect.follows_template:
        return
    advice = "; choose the dialect 'auto' or 'template', or a page of your own (docs/dialects.md)"
    if found := differences(dialect, template, special_tokens):
        raise DialectError(f"the dialect {dialect.name!r} differs from the model's chat template in {found[0]}{advice}")
    reference = ChatTemplate(template, special_tokens, dialect.settings)
    for name, messages in CONVERSATIONS.items():
        try:
            rendered = reference.render(messages)
        except DialectError:
            continue
        ours = list(await encode_parts(_prompt(dialect, messages)))
        wanted = list(await encode_rendered(rendered))
        if ours != wanted:
            raise DialectError(
                f"the dialect {dialect.name!r} gives other tokens than the model's chat template in {name}: "
                f"{_shown_difference(ours, wanted)}{advice}"
            )


def _prompt(dialect: Dialect, messages: Sequence[Message]) -> tuple[Part, ...]:
    """What the template, too, is expected to write."""
    return joined(dialect.prompt(messages) if dialect.prompt_opens_thinking else dialect.render(messages))


def _shown_difference(ours: str | list[int], wanted: str | list[int]) -> str:
    """Both sides around the first place where they differ."""
    same = first_difference(ours, wanted)
    start = max(0, same - _SHOWN)
    shown = [repr(side[start : same + _SHOWN]) for side in (ours, wanted)]
    unit = "character" if isinstance(ours, str) else "token"
    return f"{unit} {same + 1}: ours {shown[0]}, the template's {shown[1]}"
