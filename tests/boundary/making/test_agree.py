"""Two annotators."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.agree import Disputed, agreement
from antiphon.boundary.making.marked import MarkedText
from antiphon.errors import UsageError

from .texts import marked, marked_texts

LISTS = st.lists(marked_texts(), min_size=1, max_size=5, unique_by=lambda item: item.id)


@given(LISTS)
def test_everybody_agrees_with_himself(items: list[MarkedText]) -> None:
    found = agreement(items, items)
    assert found.texts == len(items)
    assert found.counts.right == found.counts.true == found.counts.given
    assert found.counts.exact == found.counts.near == found.counts.cuts_true
    assert found.disputed == () and found.differing == ()


@given(LISTS, st.data())
def test_agreement_is_mutual(items: list[MarkedText], data: st.DataObject) -> None:
    styles = data.draw(st.lists(st.lists(st.booleans(), min_size=50), min_size=len(items), max_size=len(items)))
    others = [marked(item.text, style, item.id, domain="x") for item, style in zip(items, styles, strict=True)]
    one, other = agreement(items, others), agreement(others, items)
    for name in ("style_f1", "kappa", "exact_f1", "near_f1"):
        assert getattr(one.figures, name) == pytest.approx(getattr(other.figures, name), nan_ok=True)
    assert [(word, b, a, occurs) for word, a, b, occurs in one.disputed] == [tuple(word) for word in other.disputed]


def test_what_they_differ_in_and_what_is_left_out() -> None:
    first = [
        marked("So, I think so", [True, True, True, False], "1", domain="math"),
        marked("So it is", [True], "2", domain="code"),
        marked("only here", [], "3"),
        marked("one way", [], "4"),
    ]
    second = [
        marked("another way", [], "4"),
        marked("So it is", [], "2", domain="elsewhere"),
        marked("So, I think so", [False, False, True, True], "1"),
    ]
    found = agreement(first, second)
    assert (found.texts, found.only_first, found.only_second, found.differing) == (2, 1, 0, ("4",))
    assert found.disputed == (Disputed("so", 2, 1, 3), Disputed("i", 1, 0, 1))
    assert {name: texts for name, (texts, _) in found.by_domain.items()} == {"code": 1, "math": 1}


def test_nothing_in_common() -> None:
    with pytest.raises(UsageError, match="matched by their ids"):
        agreement([marked("a", id="1")], [marked("a", id="2")])
    with pytest.raises(UsageError, match="the texts differ"):
        agreement([marked("a", id="1")], [marked("b", id="1")])
