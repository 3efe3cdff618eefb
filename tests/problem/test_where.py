"""Choosing problems by an expression: what it means, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.problem.where import Where, choose

FIELDS: dict[str, Any] = {
    "pass_rate": 0.25,
    "difficulty": "hard",
    "level": 3,
    "tags": ["dp", "graphs"],
    "flagged": False,
    "about": {"year": 2024, "by": {"name": "x"}},
    "nothing": None,
}


def holds(expression: str, **fields: Any) -> bool | None:
    return Where(expression).holds(Problem("one", (), {**FIELDS, **fields}))


@pytest.mark.parametrize(
    "expression",
    [
        'pass_rate < 0.5 and difficulty == "hard"',
        "0 < pass_rate <= .25",
        "level in [1, 2, 3] and level not in (4, 5)",
        "'dp' in tags and 'geometry' not in tags",
        "not flagged",
        "about.year >= 2024 and about.by.name == 'x'",
        "id == 'one'",
        "level != 4 or missing == 1",
        "nothing is None and missing is None and level is not None",
        "-1 < level",
        "tags == ['dp', 'graphs']",
        "(level == 3) == (difficulty == 'hard')",
        "tags",
        " level == 3\n",
    ],
)
def test_what_is_true(expression: str) -> None:
    assert holds(expression) is True
    assert holds(f"not ({expression.strip()})") is False


@pytest.mark.parametrize(
    "expression",
    [
        "missing < 1",
        "nothing == 'a'",
        "not missing",
        "difficulty < 3",
        "'x' in level",
        "about.month == 1",
        "level.x > 1",
    ],
)
def test_what_cannot_be_said_stays_unsaid(expression: str) -> None:
    assert holds(expression) is None
    assert holds(f"not ({expression})") is None
    assert holds(f"({expression}) or level == 3") is True
    assert holds(f"({expression}) and level == 4") is False
    assert holds(f"({expression}) and level == 3") is None


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "not an expression"),
        ("level = 3", "not an expression"),
        ("level <", "not an expression"),
        ("import os", "not an expression"),
        ("__import__('os')", "is not understood"),
        ("tags[0] == 'dp'", "is not understood"),
        ("level + 1 == 4", "is not understood"),
        ("[x for x in tags]", "is not understood"),
        ("(lambda: 1)()", "is not understood"),
        ("'x'.upper == 1", "a dot stands between the names of fields only"),
        ("f'{level}' == '3'", "is not understood"),
        ("b'x' == difficulty", "is not understood"),
        ("(level := 3)", "is not understood"),
        ("level is 3", "only None can stand after `is`"),
        ("level == None", "write `is None`"),
        ("(" * 300 + "level" + ")" * 300, "not"),
        ("level == 3 or " * 500 + "level", "longer than"),
        ("\x00", "where"),
    ],
)
def test_what_is_refused(expression: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Where(expression)
    assert said in str(refused.value) and str(refused.value).startswith("where")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("expression", ["not " * 490 + "level", "a" + ".a" * 990, "level == " * 200 + "3"])
def test_what_is_nested_deeply_is_carried_out_or_refused(expression: str) -> None:
    try:
        where = Where(expression)
    except UsageError as error:
        assert "cannot be read" in str(error)
    else:
        where.holds(Problem("one", (), FIELDS))


def test_problems_are_chosen_in_their_order_and_the_others_counted() -> None:
    rates = [0.1, 0.9, None, 0.2, "?", 0.5]
    problems = [Problem(f"p{n}", (), {} if n == 5 else {"pass_rate": rate}) for n, rate in enumerate(rates)]
    chosen = choose(problems, "pass_rate < 0.5")
    assert [problem.id for problem in chosen.problems] == ["p0", "p3"]
    assert (chosen.others, chosen.undecided, dict(chosen.missing)) == (1, 3, {"pass_rate": 2})


def test_a_field_that_no_problem_has_is_a_slip() -> None:
    problems = [Problem("a", (), {"pass_rate": None, "level": 1})]
    with pytest.raises(UsageError, match="no problem has a field 'pas_rate'; there are: pass_rate, level"):
        choose(problems, "pas_rate < 0.5")
    assert choose(problems, "pass_rate < 0.5").undecided == 1
    assert choose([], "anything == 1").problems == []


@given(
    st.recursive(
        st.sampled_from(["a == 1", "b == 1", "c == 1"]),
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: "({} {} {})".format(*parts)),
        ),
    ),
    st.fixed_dictionaries({name: st.sampled_from([0, 1]) for name in "abc"}),
    st.sets(st.sampled_from("abc")),
)
def test_what_is_said_holds_whatever_a_missing_field_may_be(
    expression: str, fields: dict[str, int], missing: set[str]
) -> None:
    """Where the known fields decide, any value of the others gives the same; and all fields known is Python."""
    assert Where(expression).holds(Problem("x", (), fields)) is eval(expression, {}, fields)
    said = Where(expression).holds(Problem("x", (), {k: v for k, v in fields.items() if k not in missing}))
    assert said is None or said is eval(expression, {}, fields)
