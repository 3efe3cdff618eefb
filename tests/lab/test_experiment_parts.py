"""What an experiment is made of: its settings, problems, arms, marks and counts."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import lab
from antiphon.analyse.scores import Cell
from antiphon.errors import AntiphonError, ProblemError, SettingsError
from antiphon.export.student import read_student
from antiphon.export.tokens import AUTHORS, KINDS
from antiphon.lab import asked, settings
from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.arms import ARMS, BY_RULE, WRITINGS, writings
from antiphon.lab.data import level, means, predictors
from antiphon.lab.experiment import Unit, units
from antiphon.lab.language import MANNERS, told
from antiphon.lab.marking import mark
from antiphon.lab.processes import performed
from antiphon.lab.results import BASE
from antiphon.lab.tasks import draw
from antiphon.lab.verifier import LabVerifier
from antiphon.lab.writing import _by_rule
from antiphon.settings import Boundary
from antiphon.store import Reader
from antiphon.trace import Author, Kind, Label, Status
from tests.lab.scripted import configuration

MINIATURE = settings.load()
STUDENT = read_student("lab:student")


def test_the_miniature_is_what_its_page_says():
    assert MINIATURE.arms == (BASE, *ARMS) and MINIATURE.seeds == (0, 1, 2, 3, 4)
    assert MINIATURE.rates("tessy") == (1e-4, 3e-5, 5e-4) and MINIATURE.rates("swapped") == (1e-4,)
    recipe = MINIATURE.recipe("teacher_only_capability", 5e-4, 3)
    assert (recipe.rate, recipe.seed, recipe.loss, recipe.steps) == (5e-4, 3, "capability", 300)
    asked_greedily = MINIATURE.evaluated("somewhere")
    assert asked_greedily.student.sampling.temperature == 0 and asked_greedily.student.model == "somewhere"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('arms = ["base", "tessie"]', "no arm 'tessie'"),
        ("seeds = [1, 1]", "seeds"),
        ("seeds = []", "seeds"),
        ("jobs = 0", "jobs"),
        ("[training]\npoints = [40, 80]", "last one is the last step"),
        ("[training]\npoints = [80, 40, 300]", "rising"),
        ("[training]\nvalues = { stepps = 3 }", "stepps"),
        ('[training]\nside_arms = ["none"]', "no arm 'none'"),
        ('[synthesis.student]\nmodel = "lab:student"', "synthesis.teacher.model"),
        ('[problems]\nfiles = ["x.jsonl"]', "teacher_only_replay needs"),
        ("[problems]\nnumber = 3", "problems.number"),
        ("arms = [", "not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said(said: str, told: str, tmp_path: Path):
    path = tmp_path / "wrong.toml"
    path.write_text(said, "utf-8")
    with pytest.raises(SettingsError, match=told) as raised:
        settings.load(path)
    assert "wrong.toml" in str(raised.value)


def test_a_server_cannot_be_trained(tmp_path: Path):
    path = configuration(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("student =")), "utf-8")
    with pytest.raises(SettingsError, match=r"training\.student"):
        settings.load(path)


def test_too_few_problems_are_said_before_anything_is_spent(tmp_path: Path):
    path = configuration(tmp_path)
    path.write_text(path.read_text().replace("train = 5", "train = 13"), "utf-8")
    with pytest.raises(ProblemError, match="13 problems are wanted, and 12"):
        asked.training(settings.load(path), 0)


def test_nobody_is_evaluated_on_what_was_trained_on():
    evaluated = asked.evaluation(MINIATURE)
    assert [len(some) for some in evaluated.values()] == [200, 60, 60, 60, 60, 60] and next(
        iter(evaluated)
    ) == lab.TARGET
    ids = {problem.id for some in evaluated.values() for problem in some}
    drawn = [{problem.id for problem in asked.training(MINIATURE, seed)} for seed in (0, 1)]
    assert all(len(some) == 500 and not some & ids for some in drawn) and drawn[0] != drawn[1]
    replayed = asked.replayed(MINIATURE, 0)
    assert len(replayed) == 167 and not {problem.id for problem in replayed} & ids
    assert len({problem.metadata["family"] for problem in replayed}) == 5


def test_every_arm_has_what_it_goes_by_before_it():
    for name in ARMS:
        order = list(writings([name]))
        for variant in order:
            writing = WRITINGS[variant]
            assert all(other in order[: order.index(variant)] for other in (writing.like, writing.source) if other)
    assert list(writings(["revoice"])) == ["teacher_only", "revoice"]


def test_no_unit_comes_before_what_it_needs():
    order = units(MINIATURE)
    assert len(order) == len(set(order)) == 1 + 5 + 5 * (16 + 3 * 2)
    for place, unit in enumerate(order):
        assert all(needed in order[:place] for needed in unit.needs)
    assert units(MINIATURE.model_copy(update={"arms": (BASE,)})) == [Unit("base")]


def test_what_needs_a_unit_that_failed_is_not_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    begun = []

    def work(experiment: object, directory: Path, means: object, unit: Unit) -> None:
        begun.append(unit)
        if unit == Unit("data", 1):
            raise AntiphonError("no traces")

    monkeypatch.setattr("antiphon.lab.processes.work", work)
    some = MINIATURE.model_copy(update={"arms": (BASE, "swapped"), "seeds": (0, 1)})
    done = list(performed(some, tmp_path, units(some), None, jobs=1))  # type: ignore[arg-type]
    assert [one.unit for one in done] == begun
    assert {one.unit: one.fault for one in done}[Unit("data", 1)] == "no traces"
    assert {unit.seed for unit in begun if unit.kind == "student"} == {0}


ROWS = st.lists(
    st.builds(lambda before, length: {"labels": [-100] * before + [5] * length}, st.integers(0, 3), st.integers(1, 6)),
    max_size=30,
)


@given(ROWS, ROWS)
def test_rows_of_equal_lengths_are_as_many_on_both_sides(rows: list[dict[str, Any]], others: list[dict[str, Any]]):
    def lengths(some: list[dict[str, Any]]) -> Counter[int]:
        return Counter(row["labels"].count(5) for row in some)

    one, other = level(rows, others), level(others, rows)
    assert lengths(one) == lengths(other) == lengths(rows) & lengths(others)
    assert all(row in rows for row in one)


def test_parts_of_a_likelihood_sum_to_the_whole():
    cells = [
        Cell(Author.TEACHER, Kind.STYLE, 0, 2, 6.0),
        Cell(Author.TEACHER, Kind.STYLE, 5, 2, 2.0),
        Cell(Author.STUDENT, Kind.CAPABILITY, 5, 4, 1.0),
        Cell(Author.STUDENT, Kind.ANSWER, 9, 2, 1.0),
    ]
    found = means(cells)
    assert found["style"] == 2.0 and found["capability"] == 0.25 and found["whole"] == 1.0
    assert sum(value for name, value in found.items() if name.endswith(" part")) == pytest.approx(found["whole"])
    assert means([]) == {}


@given(st.integers(0, 10_000), st.sampled_from(["student", "teacher"]), st.sampled_from(sorted(lab.FAMILIES)))
def test_unmarked_thinking_gets_the_kinds_that_it_was_made_of(seed: int, manner: str, family: str):
    rng = random.Random(seed)
    task = next(draw(family, rng, held_out=True))
    row: dict[str, Any] = {"input_ids": [], "author": [], "kind": []}
    expected = []
    unmarked = KINDS.index(Kind.THINKING)
    spans = told(*task.solve(Arithmetic()), MANNERS[manner], rng)
    whole = "".join(span.text for span in spans[:-2])
    ids = STUDENT.vocabulary.encode(whole)
    at = 0
    for id in ids:  # each token is one word of the lab's language, or a piece of a step
        begin = at + len(STUDENT.vocabulary.bytes_of(id)) - len(STUDENT.vocabulary.bytes_of(id).lstrip() or b"x")
        at += len(STUDENT.vocabulary.bytes_of(id))
        passed = 0
        for span in spans[:-2]:
            passed += len(span.text)
            if begin < passed:
                expected.append(KINDS.index(Kind.STYLE if span.kind == "style" else Kind.CAPABILITY))
                break
        row["input_ids"].append(id)
        row["author"].append(AUTHORS.index(Author.TEACHER))
        row["kind"].append(unmarked)
    marker = KINDS.index(Kind.MARKER)
    row = {name: [0, *values, 0] for name, values in row.items()}
    row["kind"][0] = row["kind"][-1] = marker
    readers = predictors(Boundary(teacher="lab", student="lab"))
    asyncio.run(mark([row], STUDENT.vocabulary, readers))
    assert row["kind"] == [marker, *expected, marker]


def test_what_is_written_by_rule_is_right_and_in_the_students_manner(tmp_path: Path):
    problems = asked.training(MINIATURE, 3)[:40]
    asyncio.run(_by_rule(problems, 3, tmp_path / "run"))
    style = MANNERS["student"].style_words
    with Reader(tmp_path / "run") as reader:
        traces = {trace.key.problem: trace for trace in reader.traces(variant=BY_RULE)}
        assert set(traces) == {problem.id for problem in problems}
        for problem in problems:
            trace = traces[problem.id]
            assert trace.status is Status.COMPLETE
            assert asyncio.run(LabVerifier().check(problem, trace.answer)).label is Label.RIGHT
            said = " ".join(span.text for span in trace.spans if span.kind is Kind.STYLE).split()
            assert said and {word.lower().strip(".,:") for word in said} <= style
    asyncio.run(_by_rule(problems, 3, tmp_path / "run"))
    with Reader(tmp_path / "run") as reader:
        assert {trace.key.problem: trace.response for trace in reader.traces()} == {
            id: trace.response for id, trace in traces.items()
        }
