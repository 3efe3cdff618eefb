"""Which control tokens a dialect may ask a model for."""

from __future__ import annotations

import re

from antiphon.dialect.family import read_page, shipped_families

_LIKE_A_CONTROL = re.compile(r"<[^<>\s{}]+>|\[[^\[\]\s{}'\"]+\]")


def spellings(name: str, template: str | None) -> set[str]:
    """The spellings that a dialect needs to know of: its page's control tokens, ends and markers, and what looks like a
    control token in the model's own template. For `auto` those of all shipped pages.

    Raises:
        DialectError: there is no such page, or it has an error.
    """
    names = shipped_families() if name == "auto" else [name]
    pages = [read_page(name) for name in names]
    thinkings = [page.thinking for page in pages]
    markers = {marker.strip() for thinking in thinkings for marker in (thinking.open, thinking.close)}
    looks = set(_LIKE_A_CONTROL.findall(template or ""))
    named = (*(page.controls for page in pages), *(page.ends for page in pages), *(t.also_close for t in thinkings))
    return markers.union(looks, *named)
