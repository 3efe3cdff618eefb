"""Sides beside each other, from run directories and files to the figures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import antiphon.boundary
from antiphon.analyse.compare import compare
from antiphon.analyse.report import Comparison, Row
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.source import find
from antiphon.trace import Label, Status, Turn
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, Scoring, model_of, write_run

NAMES = [f"p{n}" for n in range(12)]
TURNS = [Turn(STUDENT, "s", 8, 8, 5, 2, True, 0.5, prompt=20), Turn(TEACHER, "t", 8, 6, 6, 2, False, 0.5, prompt=30)]


def in_turns(name: str) -> list[tuple[object, object, str]]:
    return [(STUDENT, STYLE, "Okay, so "), (TEACHER, CAPABILITY, f"{name} is 7. "), (STUDENT, ANSWER, f"It is {name}.")]


def alone(name: str) -> list[tuple[object, object, str]]:
    return [(TEACHER, THINKING, f"We proceed: {name} is 7. Therefore 7 it is."), (TEACHER, ANSWER, f"Answer: {name}")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("compare") / "run"
    right = {(name, 0): Label.RIGHT for name in NAMES}
    wrong = {(name, 0): Label.WRONG if number % 2 else Label.RIGHT for number, name in enumerate(NAMES)}
    write_run(directory, {(name, 0): in_turns(name) for name in NAMES}, labels=right, turns=TURNS)
    write_run(directory, {(name, 0): alone(name) for name in NAMES}, variant="teacher_only", labels=wrong)
    return directory


def made(*places: object, scorer: bool = False, **options: object) -> Comparison:
    async def work() -> Comparison:
        measure = Scorer(await model_of(Scoring())) if scorer else None
        marks = antiphon.boundary.load("general")
        return await compare(find(map(str, places)), predictor=marks, scorer=measure, **options)

    return asyncio.run(work())


def rows(comparison: Comparison) -> dict[str, Row]:
    return {row.name: row for table in comparison.tables for row in table.rows}


def test_figures_of_the_record(run: Path) -> None:
    found = rows(made(f"{run}:tessy", f"{run}:teacher_only"))
    right = found["right"]
    assert [value and value.value for value in right.values] == [1, 0.5]
    change = right.changes[1]
    assert right.changes[0] is None and change is not None
    assert change.difference == -0.5 and change.paired and change.problems == 12
    assert {part.key.split("/")[0] for part in change.traces} == set(NAMES[1::2])
    own = found["student's share of the thinking"]
    assert [value and value.value for value in own.values] == [pytest.approx(2 / 5), 0]
    assert own.changes[1] is not None and own.changes[1].star
    waste = found["thrown away"].values[0]
    assert waste is not None and waste.value == pytest.approx(3 / 14)
    requests = found["requests"].values[0]
    assert requests is not None and requests.value == 2
    says = found["says “okay”"].changes[1]
    assert says is not None and says.star and says.difference < 0


def test_likelihood_beside_all_else_and_its_parts(run: Path) -> None:
    comparison = made(f"{run}:tessy", f"{run}:teacher_only", scorer=True)
    found = rows(comparison)
    assert comparison.under == "scorer"
    for side in (0, 1):
        parts = [row.values[side] for name, row in found.items() if "part of the whole" in name]
        whole = found["whole response"].values[side]
        assert whole is not None
        assert sum(part.value for part in parts if part is not None) == pytest.approx(whole.value)
    assert [about.marked for about in comparison.sides] == [0, 12]
    assert found["style (L_Sty)"].values[1] is not None, "marked by the predictor"
    assert {curve.title for curve in comparison.curves} == {"whole response", "style", "capability"}
    assert all(len(curve.points) == 10 for curve in comparison.curves)


def test_what_is_alike_has_no_star(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", {(name, 0): in_turns(name) for name in NAMES}, turns=TURNS)
    comparison = made(f"{run}:tessy", other)
    assert not any(change and change.star for row in rows(comparison).values() for change in row.changes)
    assert not any(one.star for drift in comparison.drifts for one in drift.distances)


def test_all_of_it_is_json(run: Path) -> None:
    comparison = made(run)
    plain = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    of_rows = [row for table in plain["tables"] for row in table["rows"]]
    assert any(change["star"] for row in of_rows for change in row["changes"] if change)
    assert "star" in plain["drifts"][0]["distances"][0]
    flat = comparison.as_rows()
    assert len(flat) == 2 * len(of_rows) and len({tuple(one) for one in flat}) == 1
    assert {one["value"] for one in flat if one["measure"] == "right"} == {1, 0.5}


def test_failures_only_one_being_written_one_problem_and_nothing_shared(tmp_path: Path) -> None:
    failed = write_run(
        tmp_path / "failed", {(name, 0): [] for name in NAMES}, status={(name, 0): Status.FAILED for name in NAMES}
    )
    said = made(failed)
    assert not said.tables and any("no trace is complete (12 failed)" in remark for remark in said.remarks)
    writing = write_run(tmp_path / "writing", {("p0", 0): in_turns("p0"), ("p1", 0): None})
    said = made(failed, writing)
    assert any("1 of 2 traces not finished" in remark for remark in said.remarks)
    one = write_run(tmp_path / "one", {("p0", 0): in_turns("p0")})
    said = made(one, writing)
    assert any("one problem only" in remark for remark in said.remarks)
    assert all(change.p is None for row in rows(said).values() for change in row.changes if change)
    apart = write_run(tmp_path / "apart", {(f"q{n}", 0): in_turns("7") for n in range(4)})
    said = made(failed, apart)
    assert any("about other problems" in remark for remark in said.remarks)


def test_texts_of_so_many_problems_are_read(run: Path) -> None:
    comparison = made(run, most=5)
    assert [about.texts for about in comparison.sides] == [5, 5]
    right = rows(comparison)["right"].values[0]
    assert right is not None and right.problems == 12, "how they came out is told of all"
    for said in ("texts of problems beyond the first 5", "5 problems to compare are too few"):
        assert any(said in remark for remark in comparison.remarks)
    assert comparison.drifts[0].paired and comparison.drifts[0].first == 5


@pytest.mark.parametrize(("problems", "few"), [(2, True), (5, True), (6, False)])
def test_that_so_few_problems_star_nothing_is_said(tmp_path: Path, problems: int, few: bool) -> None:
    names = NAMES[:problems]
    directory = write_run(tmp_path / "run", {(name, 0): in_turns(name) for name in names})
    write_run(directory, {(name, 0): alone(name) for name in names}, variant="teacher_only")
    comparison = made(directory)
    assert any("too few for any star" in remark for remark in comparison.remarks) is few
    least = min(change.p for row in rows(comparison).values() for change in row.changes if change and change.p)
    assert (least < 0.05) is not few


GENERAL = antiphon.boundary.load("general").id


@pytest.mark.parametrize(
    ("boundary", "said"),
    [
        ("rules:lab:0123456789ab", "lab"),
        ("default:mine:0123456789ab:threshold=0.6", "mine?threshold=0.6"),
        ("digits-1", "digits-1"),
        ("rules:general:0123456789ab", "another state of general"),
        (GENERAL, None),
        (None, None),
    ],
)
def test_that_a_run_was_cut_by_another_boundary_is_said_by_name(
    tmp_path: Path, boundary: str | None, said: str | None
) -> None:
    directory = write_run(tmp_path / "run", {(name, 0): in_turns(name) for name in NAMES}, boundary=boundary)
    write_run(directory, {(name, 0): alone(name) for name in NAMES}, variant="teacher_only")
    remarks = made(directory).remarks
    if said is None:
        assert not remarks
    else:
        (remark,) = remarks
        assert f" is marked by general, that of {directory}:tessy by its run's boundary, {said}; give" in remark
    assert not made(f"{directory}:tessy").remarks, "nothing is marked here"
