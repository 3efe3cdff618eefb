"""Where a trace's page says that something was rolled back, and how its spans look."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.trace import Author, Turn
from antiphon.view.sheet import Sheet
from tests.view.runs import Page, span, trace


def turn(role: str, kept: int, rejected: str | None, span: int | None) -> Turn:
    thrown = 3 if rejected is not None else 0
    return Turn(
        Author(role), "here", 8, kept + thrown, kept, kept, rejected is not None, 0.1, span=span, rejected=rejected
    )


def marked(*turns: Turn) -> str:
    """The response with what was rolled back, in braces, where it stands."""
    spans = (span("student", "style", "Okay let me see"), span("teacher", "capability", " 7 times 6"))
    html = str(Sheet(0, trace("p", *spans), turns, {}).response)
    page = Page(f"<div id='all'>{html}</div>", "all")
    assert page.texts == ["Okay let me see 7 times 6"]
    html = re.sub(r'(<span class="back [^>]*data-text="([^"]*)">)', r"\1{\2}", html)
    return Page(f"<div id='all'>{html}</div>", "all").texts[0]


@pytest.mark.parametrize(
    ("turns", "shown"),
    [
        ([turn("student", 4, "X", 0), turn("teacher", 3, "Y", 1)], "Okay let me see{X} 7 times 6{Y}"),
        ([turn("student", 2, "X", 0), turn("student", 2, "Y", 0)], "Okay let{X} me see{Y} 7 times 6"),
        ([turn("student", 0, "X", None), turn("student", 4, None, 0)], "{X}Okay let me see 7 times 6"),
        (
            [turn("student", 4, "X", 0), turn("teacher", 0, "Y", None), turn("student", 0, "Z", None)],
            "Okay let me see{X}{Y}{Z} 7 times 6",
        ),
        ([turn("student", 4, None, 0)], "Okay let me see 7 times 6"),
        ([turn("student", 4, "X", 77)], "{X}Okay let me see 7 times 6"),
    ],
)
def test_what_was_rolled_back_stands_after_what_its_turn_kept(turns: list[Turn], shown: str) -> None:
    assert marked(*turns) == shown


def test_where_nothing_was_kept_at_all() -> None:
    html = str(Sheet(0, trace("p"), (turn("student", 0, "X", None),), {}).response)
    assert 'data-text="X"' in html and Page(f"<i id='a'>{html}</i>", "a").texts == [""]


@given(st.lists(st.tuples(st.text(), st.integers(0, 9), st.text()), min_size=1, max_size=4))
def test_marks_never_change_the_text(parts: list[tuple[str, int, str]]) -> None:
    spans = [span("student", "style", text) for text, _, _ in parts]
    turns = tuple(turn("student", words, rejected, n) for n, (_, words, rejected) in enumerate(parts))
    html = str(Sheet(0, trace("p", *spans), turns, {}).response)
    assert Page(f"<div id='all'>{html}</div>", "all").texts == ["".join(text for text, _, _ in parts)]


def test_looks_tell_author_kind_and_force_apart() -> None:
    spans = [
        span(author, kind, "x", forced=forced)
        for author in ("student", "teacher", "unknown")
        for kind in ("style", "capability", "thinking", "answer")
        for forced in (False, True)
    ]
    legend = Sheet(0, trace("p", *spans), (), {}).legend
    assert len({look.classes for look in legend}) == len({look.says for look in legend}) == 24
    assert len({look.marks for look in legend}) == 6
