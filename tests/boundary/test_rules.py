"""Rule pages at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.page import load_page
from antiphon.boundary.rules import RulesPredictor
from antiphon.trace import Author

from .contract import TEXTS, check_contract, traces

PREDICTORS = {n: RulesPredictor(load_page("general").shortened(n)) for n in (0, 1)} | {2: load("general")}


@pytest.mark.parametrize("lookahead", PREDICTORS)
@settings(max_examples=150, deadline=None)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_contract(lookahead, trace, random):
    assert PREDICTORS[lookahead].lookahead == lookahead
    check_contract(PREDICTORS[lookahead], trace, random)
