"""What a dialect asks a model about before it is loaded, where the control tokens have to be found one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.dialect import load, shipped_families, spellings
from tests.dialect.models import CHATML_WITH_SYSTEM, FAMILY_OF, model, user


@pytest.mark.parametrize("folder", FAMILY_OF)
@pytest.mark.parametrize("name", ["auto", *shipped_families()])
def test_loading_asks_for_nothing_else(shared: Path, folder: str, name: str) -> None:
    real = model(shared, folder)
    every = spellings(name, real.template)
    asked: set[str] = set()

    def has_control(token: str) -> bool:
        asked.add(token)
        return bool(token.strip())

    dialect = load(name, template=real.template, has_control=has_control, controls=None)
    dialect.prompt(user("2+2?"))
    assert {token for token in asked if token.strip()} <= every
    assert {*dialect.ends, *dialect.closes} <= every


def test_a_page_of_ones_own_and_a_template_are_read(tmp_path: Path) -> None:
    page = tmp_path / "mine.toml"
    page.write_text('extends = "chatml"\nends = ["<stop>"]\n[thinking]\nclose = "[/T]\\n"\nalso_close = ["<tool>"]\n')
    assert {"<stop>", "<tool>", "[/T]", "<think>", "<|im_end|>"} <= spellings(str(page), None)
    assert "<|im_start|>" in spellings("template", CHATML_WITH_SYSTEM)
