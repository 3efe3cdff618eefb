"""Choices of traces go into addresses and come back."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import UsageError
from antiphon.verify.result import Result
from antiphon.view.chosen import AUTHORS, SORTS, STATUSES, Chosen

NUMBERS = st.none() | st.integers(0, 999_999)
NAMES = st.text(min_size=1).filter(str.strip)
CHOICES = st.builds(
    Chosen,
    variant=st.lists(NAMES, max_size=3).map(tuple),
    status=st.lists(st.sampled_from(STATUSES), max_size=2).map(tuple),
    verdict=st.lists(st.sampled_from([result.value for result in Result]), max_size=2).map(tuple),
    author=st.sampled_from(AUTHORS),
    share_from=NUMBERS,
    share_to=NUMBERS,
    tokens_from=NUMBERS,
    tokens_to=NUMBERS,
    search=st.just("") | NAMES,
    sort=st.sampled_from(sorted(SORTS)),
    page=st.integers(1, 99),
)


@given(CHOICES)
def test_an_address_says_it_all(chosen: Chosen) -> None:
    assert Chosen.read(parse_qs(chosen.query(), errors="surrogatepass")) == chosen


def test_empty_fields_of_a_form_narrow_nothing() -> None:
    chosen = Chosen.read(parse_qs("search=&share_from=&tokens_to=&author=teacher&sort=order", keep_blank_values=True))
    assert chosen == Chosen() and not chosen.narrows


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("status=odd", "no status 'odd'; there are complete"),
        ("verdict=maybe", "no verdict 'maybe'; there are right"),
        ("sort=colour", "no sort 'colour'"),
        ("author=me", "no author 'me'; there are teacher"),
        ("tokens_from=many", "tokens from: 'many' is no whole number"),
        ("page=-1", "page: '-1' is no whole number"),
        ("share_to=1e9", "is no whole number"),
        ("tokens_to=" + "9" * 40, "is no whole number"),
    ],
)
def test_what_cannot_be_is_said(query: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Chosen.read(parse_qs(query))
