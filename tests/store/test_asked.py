"""Problems that are read when they are asked for are those that were added."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.problem import Problem
from antiphon.store import Asked, Reader, Store
from tests.store.records import texts

problems = st.builds(
    Problem,
    texts,
    st.tuples(st.fixed_dictionaries({"role": st.just("user"), "content": texts})),
    st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(texts, max_size=2), max_size=2),
    texts,
    st.none() | st.integers(1, 99),
)


@given(st.lists(problems, unique_by=lambda problem: problem.id, max_size=6), st.data())
def test_some_of_a_runs_problems(there: list[Problem], data: st.DataObject) -> None:
    wanted = data.draw(st.permutations(there))[: len(there) // 2 + 1]
    with TemporaryDirectory() as folder:
        with Store.open(Path(folder)) as store:
            store.add_problems(there)
        with Reader(Path(folder)) as reader:
            asked = Asked((problem.id for problem in wanted), reader)
            assert list(asked.items()) == [(problem.id, problem) for problem in wanted]
            assert len(asked) == len(wanted)
            for other in there:
                if other not in wanted:
                    assert other.id not in asked
                    with pytest.raises(KeyError):
                        asked[other.id]
