"""The pages in docs/dialects.md are pages, and its lists are whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.dialect import shipped_families
from antiphon.dialect.family import History, Page, Prompt, Thinking, read_page

DOCS = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text("utf-8")
PAGES = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("text", PAGES)
def test_a_page_in_the_docs_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.toml"
    path.write_text(text, "utf-8")
    assert read_page(str(path)).thinking.close


def test_every_key_and_family_is_described() -> None:
    for name in shipped_families():
        assert f"| `{name}` |" in DOCS
    for key in Page.model_fields:
        assert f"`{key}" in DOCS
    for table in (Prompt, History, Thinking):
        for key in table.model_fields:
            assert re.search(rf"`({table.__name__.lower()})?\.{key}`", DOCS), key
