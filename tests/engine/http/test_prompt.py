"""A prompt's JSON is always that of its ids."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.http.prompt import PromptIds

IDS = st.lists(st.integers(0, 2**32 - 1), max_size=5)
CHANGES = st.lists(IDS | st.floats(0, 1), max_size=20)


@given(changes=CHANGES)
def test_the_json_is_of_the_ids(changes: list[list[int] | float]) -> None:
    """A list is added, a number is the share that is kept."""
    prompt, ids = PromptIds(), []
    for change in changes:
        if isinstance(change, list):
            prompt.extend(change)
            ids += change
        else:
            ids = ids[: round(change * len(ids))]
            prompt.cut(len(ids))
        assert orjson.loads(orjson.dumps({"prompt": prompt.json})) == {"prompt": ids}
        assert len(prompt) == len(ids)


@pytest.mark.parametrize("length", [-1, 3])
def test_no_more_is_cut_than_there_is(length: int) -> None:
    prompt = PromptIds()
    prompt.extend([1, 2])
    with pytest.raises(ValueError, match=f"2 tokens to {length}"):
        prompt.cut(length)
    assert orjson.dumps(prompt.json) == b"[1,2]"
