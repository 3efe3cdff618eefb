"""Any text becomes HTML that gives the same text and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.view.marking import as_json, plain, shown
from tests.view.hostile import TEXTS
from tests.view.runs import Page

ANY = st.text(st.characters() | st.sampled_from("<>&\"'\0\r\n\t\x1b\x85\u202e\u2028\ufeff\U000e0041\ud800\udfff"))


def read(html: str) -> Page:
    return Page(f'<div id="here">{html}</div>', "here")


@given(ANY)
@example("\r\n\r")
@example("\0" * 9)
def test_text_comes_back(text: str) -> None:
    page = read(str(shown(text)).encode().decode())
    assert page.texts == [text]
    assert {tag for tag, _ in page.tags} <= {"div", "span"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_text_is_text(text: str) -> None:
    page = read(shown(text))
    assert page.texts == [text]
    assert all(set(given) <= {"id", "class", "data-c", "data-code", "data-times"} for _, given in page.tags)


@given(ANY)
def test_text_for_attributes_hides_nothing(text: str) -> None:
    spelled = plain(text)
    spelled.encode()
    assert not any(c < " " and c not in "\t\n" for c in spelled)
    assert not set(spelled) & set("\u202e\u2028\ufeff\x1b\x85")


def test_runs_of_one_character_are_one_mark() -> None:
    assert str(shown("\0" * 1000)).count("<span") == 1


@given(st.recursive(ANY | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_json_ends_no_script(value: object) -> None:
    text = str(as_json(value))
    assert not set(text) & set("<>&")
    assert json.loads(text) == value
