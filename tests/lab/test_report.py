"""The report as files: it is whole, it says what is missing, and it is the same again."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import StoreFull
from antiphon.lab.report import JSON, PAGE, beside, write
from antiphon.lab.report.findings import Findings
from antiphon.lab.report.measure import find
from antiphon.lab.report.page import markdown
from antiphon.lab.report.words import answers, claim
from antiphon.lab.results import BASE, Results
from tests.lab.synthetic import CURVES, FAMILIES, TARGET, arm_data, drifted, results

SMALL = {TARGET: 12, "addition": 4, "sorting": 4}
PICTURES = ("curves.svg", "arms.svg", "forgetting.svg", "style-and-dip.svg")


def full() -> Results:
    arms = ("teacher_only", "tessy", "student_only")
    data = [arm_data(arm, seed, style=1.0 + place) for place, arm in enumerate(arms) for seed in (0, 1)]
    return results(seeds=(0, 1), families=SMALL, data=data, drift=[drifted("tessy")])


def text_of(given: Results) -> tuple[str, Findings]:
    found = find(given)
    return markdown(given, found, claim(found), answers(found), []), found


def test_the_report_is_a_page_its_figures_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    place = write(full(), tmp_path)
    assert place == tmp_path / PAGE
    text = place.read_text("utf-8")
    assert re.findall(r"!\[.*?\]\((.*?)\)", text) == [*PICTURES]
    for picture in PICTURES:
        assert (tmp_path / picture).read_text("utf-8").rstrip().endswith("</svg>")
    told = json.loads((tmp_path / JSON).read_text("utf-8"))
    found = find(full())
    assert [one["p"] for one in told["findings"]["primary"]] == [one.p for one in found.primary]
    assert [one["question"] for one in told["answers"]] == [one.question for one in answers(found)]
    for one in told["answers"]:
        assert all(f"- {paragraph}\n" in text for paragraph in one["paragraphs"])
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write(full(), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


def test_every_row_of_every_table_has_as_many_cells_as_its_head() -> None:
    text, _ = text_of(full())
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({row.count("|") - row.count("\\|") for row in table.splitlines()}) == 1
    for title in (
        "Right answers",
        "What decides",
        "Dips",
        "The data",
        "Form",
        "What explains the gap",
        "How it was made",
    ):
        assert f"### {title}" in text


def test_without_matplotlib_there_is_a_report_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = write(full(), tmp_path).read_text("utf-8")
    assert "No pictures: " in text and "pip install 'antiphon[train]'" in text and "![" not in text


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / PAGE).mkdir()
    with pytest.raises(StoreFull, match=r"report\.md: cannot be written: [^\n]*$"):
        write(full(), tmp_path)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing", "nothing is held against it"),
        ("the base alone", "Not evaluated yet: teacher_only, tessy, student_only"),
        ("no base", "The base is not evaluated yet"),
        ("one seed", "There is one seed"),
        ("half a curve", "tessy at 1e-4: 4 of 8 evaluations (seeds times points) are not done yet."),
        ("the target alone", "Other families are not evaluated"),
    ],
)
def test_what_is_missing_is_said(what: str, said: str) -> None:
    whole = full()
    if what == "one seed":
        some = results(seeds=(0,), families=SMALL)
    else:
        kept = {
            "nothing": lambda one: False,
            "the base alone": lambda one: one.arm == BASE,
            "no base": lambda one: one.arm != BASE,
            "half a curve": lambda one: one.arm != "tessy" or one.step < 100,
            "the target alone": lambda one: one.family == TARGET,
        }[what]
        some = replace(whole, evaluations=tuple(filter(kept, whole.evaluations)))
    text, found = text_of(some)
    assert said in text
    if what == "one seed":
        assert all(len(one.seeds) == 1 for one in found.primary)
    if what in ("nothing", "the base alone", "no base"):
        assert [part.verdict for part in claim(found)][:3] == ["not run"] * 3


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0, 1))
def test_whatever_is_there_makes_a_report(rng, share: float) -> None:  # type: ignore[no-untyped-def]
    whole = full()
    few = {
        name: tuple(one for one in getattr(whole, name) if rng.random() < share)
        for name in ("evaluations", "data", "trainings", "drift")
    }
    text, found = text_of(replace(whole, **few))
    assert len(claim(found)) == 4 and "nan" not in text
    beside({"some of it": replace(whole, **few), "all": whole})


def test_pairs_stand_beside_each_other_and_nothing_is_pooled() -> None:
    first, second = full(), results(dict(list(CURVES.items())[:1]), seeds=(0, 1), families=FAMILIES)
    head, rule, *rows = beside({"one pair": first, "other pair": second}).rstrip().splitlines()
    assert head == "|  | one pair | other pair |" and rule.count("|") == 4
    cells = {name.strip(): [a.strip(), b.strip()] for _, name, a, b, _ in (row.split("|") for row in rows)}
    for place, one_pair in enumerate((first, second)):
        found = find(one_pair)
        for part in claim(found):
            assert cells[f"the claim: {part.name}"][place] == part.verdict
        for one in found.primary:
            assert cells[f"{one.first} less {one.second}, {one.step} steps"][place].startswith(f"{100 * one.mean:+.1f}")
    assert cells["tessy, target, at the end"][1] == "-"
    assert beside({}) == ""
