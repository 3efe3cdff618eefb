"""What notebooks show: whole, alone, without scripts, safe from its own text and kind to the notebook around it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import antiphon
from antiphon.analyse.report import Change, Comparison, Contribution, Row, SideAbout, Table, Value
from antiphon.statistics import Interval
from antiphon.trace import Author, Label, Status, Verdict
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, write_run
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import Page, problem, span, trace, write

ALL = [*TEXTS.values(), LONG_LINE]


def checked(html: str, *wanted: str) -> Page:
    """The parsed HTML, after what holds for any output."""
    html.encode()
    page = Page(html, *wanted)
    assert not {tag for tag, _ in page.tags} - {
        *("div", "style", "p", "span", "b", "ul", "li", "svg", "title", "rect", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    for _, given in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "href", "id", "srcdoc") for name in given)
    assert "mathjax_ignore" in (page.tags[0][1]["class"] or "")
    return page


@pytest.mark.parametrize("text", ALL, ids=[*TEXTS, "long line"])
def test_hostile_text_is_text_in_a_trace(text: str) -> None:
    name = text[:200]
    verdict = Verdict(name, name, Label.WRONG, name)
    spans = (span("student", "style", text), span("teacher", "answer", text))
    shown = trace(name, *spans, variant=name, cause=name, verdicts=(verdict,))._repr_html_()
    page = checked(shown, "response", "cause", "lead", "judged")
    assert page.texts == [f"{name}/{name}/0", name, f"{name} {name}: wrong, {name}", text + text]


@pytest.mark.parametrize("text", ALL, ids=[*TEXTS, "long line"])
def test_hostile_text_is_text_in_a_comparison(text: str) -> None:
    name = text[:200]
    side = SideAbout(name, name, name, name, {name: name}, 1, 1, 1, {})
    change = Change(0.5, Interval(0.25, 0.75), 0.001, True, 9, (Contribution(1, name, 1.0),), 0.002)
    value = Value(0.25, Interval(0.0, 0.5), 9)
    row = Row(name, "share", (value, value), (None, change))
    tables = (Table("lengths", name, name, (row,)),)
    made = Comparison((side, side), tables, under=name, marks=name, remarks=(name,))
    page = checked(made._repr_html_(), "note", "legend-of-sides")
    assert page.texts[1].strip() == name.strip()
    assert page.texts[0].count(name) >= 8


def test_each_author_and_kind_has_a_look_in_the_legend() -> None:
    looks = [("student", "style"), ("teacher", "capability"), ("unknown", "thinking"), ("student", "answer")]
    spans = [span(author, kind, "word ") for author, kind in looks]
    shown = trace("p", *spans, span("student", "style", "But", forced=True))._repr_html_()
    page = checked(shown, "legend")
    assert page.texts[0].split("\n") == [
        *("", "", "student: style", "teacher: capability", "unknown: thinking", "student: answer"),
        *("student: style, forced", "", ""),
    ]
    used = [given["class"] for tag, given in page.tags if tag == "span" and "p " in f"{given.get('class')} "]
    assert used[:5] == used[5:]


def test_a_trace_that_is_not_finished_and_one_without_text() -> None:
    assert "pending" in trace("p", status=None)._repr_html_()
    assert "Nothing of it is written yet." in trace("p", status=None)._repr_html_()
    failed = trace("p", status=Status.FAILED, cause="the server said no", closed_by=Author.NONE)._repr_html_()
    assert "the server said no" in failed and "Nothing of it is written." in failed


@pytest.mark.parametrize(
    ("by", "said"), [(Author.STUDENT, "the student"), (Author.NONE, "nobody"), (Author.UNKNOWN, None), (None, None)]
)
def test_who_closed_the_thinking_is_said_where_it_is_known(by: Author | None, said: str | None) -> None:
    shown = trace("p", span("student", "style", "x"), closed_by=by)._repr_html_()
    assert (f"thinking closed by {said}" in shown) if said else "closed by" not in shown


def test_the_style_is_the_output_s_alone() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", trace("p", span("student", "style", "x"))._repr_html_(), re.DOTALL)
    assert not re.search(r"url\(|@import|:root \{|body \{", style)
    depth, selectors, start = 0, [], 0
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    for found in re.finditer(r"[{}]", style):
        if found[0] == "{":
            if depth == 0 or (depth == 1 and selectors[-1].startswith("@media")):
                selectors.append(style[start : found.start()].strip())
            depth += 1
        else:
            depth -= 1
        start = found.end()
    assert depth == 0 and len(selectors) > 5
    rules = [
        one
        for selector in selectors
        if not selector.startswith("@media")
        for one in re.split(r",(?![^(]*\))", selector)
    ]
    assert all(".antiphon-output" in rule for rule in rules)


def test_a_comparison_shows_tables_with_stars_and_intervals(tmp_path: Path) -> None:
    names = [(f"p{n}", 0) for n in range(12)]
    turns = [(STUDENT, STYLE, "Okay, so "), (TEACHER, CAPABILITY, "3+4=7. "), (STUDENT, ANSWER, "7")]
    alone = [(TEACHER, THINKING, "We proceed: 7."), (TEACHER, ANSWER, "7")]
    run = write_run(tmp_path / "run", dict.fromkeys(names, turns))
    write_run(run, dict.fromkeys(names, alone), variant="alone")
    made = asyncio.run(antiphon.compare([f"{run}:alone", f"{run}:tessy"], boundary="general"))
    page = checked(made._repr_html_(), "summary", "star", "wide")
    shown = "\n".join(page.texts)
    assert re.search(r"student's share of the thinking\s*0.0%66.7%\+66.7\* \(\+66.7 to \+66.7\)", shown)
    assert "* more than chance" in page.texts[-1]


def test_what_a_run_gives_is_shown_in_any_process(tmp_path: Path) -> None:
    """As a notebook has it: the package was imported, nothing that makes pages was."""
    run = write(tmp_path / "run", [problem("p")], [trace("p", span("student", "style", "Okay"))])
    code = f"""
import sys, antiphon
with antiphon.read({str(run)!r}) as reader:
    trace = next(reader.traces())
assert not any(name.startswith(("jinja2", "antiphon.view")) for name in sys.modules)
assert "Okay" in trace._repr_html_()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
