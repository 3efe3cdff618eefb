"""Rows: memory for keys and values, bounded in all."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.rows import Row, Rows


def test_the_row_unused_for_longest_gives_way() -> None:
    rows, (first, second, third) = Rows(512), (Row(), Row(), Row())
    assert rows.hold(first, 200, ())
    assert rows.hold(second, 200, ())
    assert rows.hold(first, 201, ())
    first.length = second.length = 200
    assert rows.hold(third, 10, ())
    assert (first.length, second.length) == (200, 0)


def test_busy_rows_never_give_way() -> None:
    rows, (first, second) = Rows(256), (Row(), Row())
    assert rows.hold(first, 256, ())
    assert not rows.hold(second, 1, {first})
    assert first.capacity == 256
    assert rows.hold(second, 1, ())
    assert first.capacity == 0


def test_what_was_cut_away_is_there_until_it_is_written_over() -> None:
    ids, row = array("I", range(10)), Row()
    row.length = 9  # the last token is not read yet
    row.cut(7, ids)
    row.cut(4, ids[:7])
    row.put_back(array("I", [4, 5]))
    assert row.length == 6
    row.put_back(array("I", [6, 7, 8, 9]))
    assert row.length == 9
    row.cut(4, ids)
    row.put_back(array("I", [4, 99, 6]))
    assert row.length == 5
    row.overwrite()
    row.put_back(array("I", [5]))
    assert row.length == 5


def test_nothing_is_left_of_a_row_that_gave_way() -> None:
    rows, row = Rows(256), Row()
    assert rows.hold(row, 200, ())
    row.length = 200
    row.cut(0, array("I", range(200)))
    assert rows.hold(Row(), 200, ())
    row.put_back(array("I", range(200)))
    assert row.length == 0


def test_a_single_sequence_may_exceed_the_bound() -> None:
    rows, row = Rows(1), Row()
    assert rows.hold(row, 1000, ())
    assert row.capacity >= 1000


def test_a_row_goes_with_its_sequence() -> None:
    rows, second = Rows(256), Row()
    first = Row()
    assert rows.hold(first, 256, ())
    del first
    assert rows.hold(second, 256, {Row()})


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3000)), max_size=60), st.integers(0, 4000))
def test_together_they_stay_within_the_bound(asked: list[tuple[int, int]], limit: int) -> None:
    rows, all_rows = Rows(limit), [Row() for _ in range(6)]
    for number, length in asked:
        row = all_rows[number]
        assert rows.hold(row, length, ())
        assert row.capacity >= length
        total = sum(one.capacity for one in all_rows)
        assert total <= max(limit, row.capacity)
