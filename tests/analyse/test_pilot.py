"""Which sides are a pilot, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from antiphon.analyse.pilot import pilot
from antiphon.analyse.report import Pilot, Row, Table, Value
from antiphon.analyse.source import Side
from antiphon.statistics import Interval
from antiphon.store import Variant


def sides(*shapings: Mapping[str, Any] | None) -> list[Side]:
    variants = (None if one is None else Variant(str(n), "", one, {}, 0.0) for n, one in enumerate(shapings))
    return [cast(Side, SimpleNamespace(variant=variant)) for variant in variants]


def shaping(student: str, teacher: str | None = None, **more: Any) -> dict[str, Any]:
    roles = {"student": {"boundary": student}, "teacher": {"boundary": student if teacher is None else teacher}}
    return {"method": {"name": "tessy", "revision": 1}, "budget": {"thinking": 100}, **roles, **more}


def at(threshold: str) -> str:
    return f"default:style:0123456789ab:threshold={threshold}"


USUAL = "default:style:0123456789ab"


def told(*shapings: Mapping[str, Any] | None) -> Pilot | None:
    values = tuple(Value(number / 10, Interval(0.0, 1.0), 5) for number in range(len(shapings)))
    row = Row("right", "share", values, tuple(None for _ in values))
    return pilot(sides(*shapings), [Table("outcomes", "", "", (row,))])


def test_thresholds_from_the_lowest_whatever_their_order() -> None:
    found = told(shaping(at("0.7")), shaping(USUAL), shaping(at("0.3")))
    assert found is not None
    assert (found.setting, found.at, found.sides) == ("boundary threshold", (0.3, 0.5, 0.7), (2, 1, 0))
    (curve,) = found.curves
    assert curve.name == "right" and [value and value.value for value in curve.values] == [0.2, 0.1, 0.0]


@pytest.mark.parametrize(
    ("setting", "shapings"),
    [
        ("student.boundary threshold", [shaping(at("0.3"), USUAL), shaping(at("0.4"), USUAL)]),
        ("budget.thinking", [shaping(USUAL), shaping(USUAL, budget={"thinking": 200})]),
    ],
)
def test_any_one_number(setting: str, shapings: list[dict[str, Any]]) -> None:
    found = told(*shapings)
    assert found is not None and found.setting == setting


@pytest.mark.parametrize(
    "shapings",
    [
        [shaping(USUAL)],
        [shaping(USUAL), shaping(USUAL)],
        [shaping(USUAL), None],
        [shaping(at("0.3")), shaping("rules:general")],
        [shaping(at("0.3")), shaping(at("0.4"), method={"name": "swapped", "revision": 1})],
        [shaping(at("0.3")), shaping(at("0.4"), budget={"thinking": 200})],
        [shaping(at("0.3"), at("0.4")), shaping(at("0.4"), at("0.3"))],
        [shaping(at("0.3")), shaping(at("0.4")), shaping(at("0.4"))],
        [shaping(USUAL), shaping(USUAL, shown=True)],
    ],
)
def test_no_pilot(shapings: list[dict[str, Any] | None]) -> None:
    assert told(*shapings) is None
