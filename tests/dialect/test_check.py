"""A dialect that does not say what the model's template says is found before a token is spent (pitfall 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.dialect import Dialect, Part, check, differences
from antiphon.dialect.check import CONVERSATIONS, THINKING_BEFORE
from antiphon.errors import DialectError
from tests.dialect.models import CHATML, CHATML_WITH_SYSTEM, FAMILY_OF, THINK_CONTROLS, Model, loaded, model


def checked(real: Model, dialect: Dialect, encode_parts: Callable[[Sequence[Part]], list[int]] | None = None) -> None:
    async def parts(parts: Sequence[Part]) -> list[int]:
        return (encode_parts or real.encode_parts)(parts)

    async def rendered(text: str) -> list[int]:
        return real.encode_rendered(text)

    asyncio.run(check(dialect, real.template, real.special_tokens, encode_parts=parts, encode_rendered=rendered))


@pytest.mark.parametrize("folder", FAMILY_OF)
@pytest.mark.parametrize("name", ["auto", "template", "plain"])
def test_dialects_that_fit(shared: Path, folder: str, name: str) -> None:
    real = model(shared, folder)
    checked(real, real.dialect(name))


def test_another_text_is_shown_where_it_begins(shared: Path) -> None:
    real = model(shared, "qwen3")
    template = real.template.replace("|>assistant\\n'", "|>assistant\\n\\n'")
    with pytest.raises(DialectError) as caught:
        checked(replace(real, template=template), real.dialect("qwen3"))
    said = str(caught.value)
    assert "'qwen3' differs from the model's chat template in a question: character 55: ours " in said
    assert r"the template's '>\n<|im_start|>assistant\n\n'" in said


def test_other_tokens_are_shown_where_they_begin(shared: Path) -> None:
    real = model(shared, "r1-distill-qwen")

    def twice(parts: Sequence[Part]) -> list[int]:
        start = real.vocabulary.start_id
        assert start is not None
        return [start, *real.encode_parts(parts)]

    with pytest.raises(DialectError, match=r"other tokens .* in a question: token 2: ours \[151646, 151646,"):
        checked(real, real.dialect("auto"), twice)


def test_what_the_template_refuses_is_passed_over(shared: Path) -> None:
    real = model(shared, "qwen3")
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + real.template
    checked(replace(real, template=refusing), real.dialect("qwen3"))


def test_every_difference_is_named() -> None:
    dialect = loaded("chatml", CHATML, THINK_CONTROLS)
    found = differences(dialect, CHATML_WITH_SYSTEM)
    assert any(line.startswith("a question: character 13: ") for line in found)
    assert not any(line.startswith("a system message:") for line in found)
    assert all("You are kind" in line or "system" in line for line in found)


def test_a_template_that_refuses_a_question_fits_no_family() -> None:
    dialect = loaded("chatml", CHATML, THINK_CONTROLS)
    assert "refuses" in differences(dialect, "{{ strftime_now('%Y') }}" + CHATML)[0]


def test_a_dialect_that_refuses_what_the_template_writes() -> None:
    dialect = loaded(
        "template", "{% if messages | length > 1 %}{{ raise_exception('one only') }}{% endif %}" + CHATML, []
    )
    assert differences(dialect, CHATML) == [
        f"{name}: the model's chat template refuses the conversation: one only"
        for name, messages in {**CONVERSATIONS, "an earlier turn with thinking": THINKING_BEFORE}.items()
        if len(messages) > 1
    ]
