"""Models to speak to: the three real tokenizers, and small templates in the manner of other families."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from antiphon.dialect import Dialect, Message, Part, load
from antiphon.dialect.base import joined
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.engine.vocabulary import Vocabulary

FAMILY_OF = {"qwen3": "qwen3", "r1-distill-qwen": "deepseek-r1", "gpt-oss": "gpt-oss"}

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Plain ChatML."""

CHATML_WITH_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are kind.<|im_end|>\n' }}{% endif %}" + CHATML
)
"""ChatML that adds a system message of its own, as many small instruction models do."""

TRIMMING = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
"""Trims every content and knows no system messages."""

KEEPS_THINKING = (
    "{% for message in messages %}{% if message.role == 'assistant' and '</think>' in message.content %}"
    "{% set thought = message.content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set said = message.content.split('</think>')[-1].lstrip('\n') %}"
    "{{ '<|im_start|>assistant\n<think>\n' + thought + '\n</think>\n\n' + said + '<|im_end|>\n' }}{% else %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
"""Keeps the thinking of earlier replies, and opens the next in the prompt."""

QWEN3_THINKING = (
    "{% for message in messages %}{% set said = message.content %}"
    "{% if message.role == 'assistant' and '</think>' in said %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + said + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
"""What Qwen3-Thinking-2507 does without tools: the prompt opens the thinking, of earlier replies none is left."""

QWQ = QWEN3_THINKING.replace(" and '</think>' in said", "")
"""QwQ strips the line breaks before every earlier reply, had it thinking or not."""

PHI_4_REASONING = (
    "<|im_start|>system<|im_sep|>Think first.<|im_end|>{% for message in messages %}{% if message.role == 'user' %}"
    "{{ '<|im_start|>user<|im_sep|>' + message.content + '<|im_end|>' }}{% elif message.role == 'assistant' %}"
    "{{ '<|im_start|>assistant<|im_sep|>' }}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
"""Phi-4-reasoning's: an instruction of its own (here a short one), and no system message of anybody else's."""

CHATML_CONTROLS = frozenset({"<|im_start|>", "<|im_end|>", "<|endoftext|>"})
THINK_CONTROLS = CHATML_CONTROLS | {"<think>", "</think>"}
PHI_CONTROLS = CHATML_CONTROLS | {"<|im_sep|>"}


def talk(*turns: tuple[str, str]) -> list[Message]:
    """A conversation of (role, content)."""
    return [Message(role=role, content=content) for role, content in turns]


def user(content: str) -> list[Message]:
    return talk(("user", content))


def text_only(name: str, template: str | None = None, **special_tokens: str) -> Dialect:
    """A dialect for a server of which nobody knows what control tokens its model has."""
    return load(name, template=template, has_control=None, controls=None, special_tokens=special_tokens)


def loaded(name: str, template: str | None, controls: Iterable[str], **special_tokens: str) -> Dialect:
    """A dialect for a model that has these control tokens."""
    known = frozenset(controls)
    return load(name, template=template, has_control=known.__contains__, controls=known, special_tokens=special_tokens)


@dataclass(frozen=True)
class Model:
    """A tokenizer with its template."""

    folder: str
    template: str
    special_tokens: Mapping[str, str]
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    renderings: Mapping[str, Any]

    def dialect(self, name: str) -> Dialect:
        return loaded(name, self.template, self.vocabulary.controls, **self.special_tokens)

    def encode_parts(self, parts: Iterable[Part]) -> list[int]:
        ids: list[int] = []
        for part in joined(parts):
            ids += [self.vocabulary.controls[part.text]] if part.control else self.vocabulary.encode(part.text)
        return ids

    def encode_rendered(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


@cache
def model(shared: Path, folder: str) -> Model:
    home = shared / "tokenizers" / folder
    config = json.loads((home / "tokenizer_config.json").read_text("utf-8"))
    special = {
        key: value["content"] if isinstance(value, dict) else value
        for key, value in config.items()
        if key.endswith("_token") and isinstance(value, (dict, str))
    }
    template = config.get("chat_template") or (home / "chat_template.jinja").read_text("utf-8")
    return Model(
        folder=folder,
        template=template,
        special_tokens=special,
        vocabulary=TokenizerVocabulary.from_file(home / "tokenizer.json"),
        tokenizer=Tokenizer.from_file(str(home / "tokenizer.json")),
        renderings=renderings(shared)["folders"][folder],
    )


@cache
def renderings(shared: Path) -> Mapping[str, Any]:
    text = (shared / "tokenizers" / "renderings.json").read_text("utf-8")
    parsed: Mapping[str, Any] = json.loads(text)
    return parsed


def plain_messages(messages: Sequence[Mapping[str, str]]) -> list[Message]:
    """Messages without the fields in which templates take the thinking apart."""
    return [Message(role=message["role"], content=message["content"]) for message in messages]
