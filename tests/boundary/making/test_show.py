"""Texts to look at."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.forms import spans_of
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import compare
from antiphon.boundary.making.show import Mark, Sheet, stretches, write_page

from .texts import marked, marked_texts


@given(marked_texts(), st.lists(st.booleans(), max_size=30))
def test_stretches_are_the_text_with_both_marks(item: MarkedText, classes: list[bool]) -> None:
    given_ = spans_of(item.text, classes)
    found = list(stretches(item.text, item.style, given_))
    assert "".join(text for text, _ in found) == item.text
    assert all(text for text, _ in found)
    assert all(a is not b for (_, a), (_, b) in pairwise(found))
    each = [mark for text, mark in found for _ in text]
    for at, mark in enumerate(each):
        by_people, by_predictor = (any(a <= at < b for a, b in spans) for spans in (item.style, given_))
        assert (
            mark
            is {
                (True, True): Mark.STYLE,
                (True, False): Mark.MISSED,
                (False, True): Mark.TOO_MUCH,
                (False, False): Mark.NONE,
            }[by_people, by_predictor]
        )


@given(st.lists(marked_texts(), min_size=1, max_size=3))
def test_a_page_shows_every_text_as_it_is(items: list[MarkedText]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        write_page(path, [Sheet(item, (), compare([False] * len(item.classes), item.classes)) for item in items], "b")
        page = path.read_bytes().decode("utf-8")
    shown = [unescape(re.sub(r"<[^>]+>", "", text)) for text in re.findall(r'<p class="text">(.*?)</p>', page, re.S)]
    assert shown == [item.text for item in items]


def test_a_page_lets_no_text_do_anything(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    nasty = '<script>alert(1)</script> & "quotes" \ud800'
    write_page(path, [Sheet(marked(nasty, [True], id='"><img>', model="<b>"))])
    page = path.read_bytes().decode("utf-8")
    assert "<script>" not in page and "<img>" not in page and "<b>" not in page
    assert "http" not in page, "it needs nothing from elsewhere"
