"""The page in one file: whole, alone, and safe from its own text."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.trace import Author, Label, Status, Turn, Verdict
from antiphon.view.chosen import Chosen
from antiphon.view.file import Written, write_file
from antiphon.view.index import IN_MEMORY
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import Page, problem, span, trace, write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [*TEXTS.values(), LONG_LINE]
    verdict = (Verdict("exact", "1", Label.RIGHT),)
    traces = [trace(t, span("student", "style", t), variant=t[:99], verdicts=verdict, cause=t[:99]) for t in texts]
    turns = {
        each.key: [Turn(Author.STUDENT, "here", 2, 2, 1, 1, True, 0.1, 0, rejected=each.response)] for each in traces
    }
    return write(tmp_path_factory.mktemp("file") / "run", [problem(t, t) for t in texts], traces, turns)


@pytest.fixture(scope="module")
def html(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    to = tmp_path_factory.mktemp("page") / "page.html"
    assert write_file(run, to) == Written(len(TEXTS) + 1, len(TEXTS) + 1, 0)
    return to.read_text("utf-8")


def test_every_text_is_in_it_and_is_text(html: str) -> None:
    texts = [*TEXTS.values(), LONG_LINE]
    page = Page(html, "response")
    assert page.texts == texts
    assert Page(html, "cause").texts == [text[:99] for text in texts]
    for tag, given in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "marquee", "math", "template", "textarea")
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in given)
        assert (given.get("href") or "#").startswith(("#", "data:,"))


def test_it_needs_nothing_else(html: str) -> None:
    for tag, given in Page(html).tags:
        assert ("src" not in given and tag != "link") or given.get("href") == "data:,"
    styles = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "url(" not in styles and "@import" not in styles


def test_its_policy_allows_its_own_scripts_and_no_others(html: str) -> None:
    (policy,) = [given["content"] for tag, given in Page(html).tags if given.get("http-equiv")]
    assert policy is not None and "unsafe" not in policy and policy.startswith("default-src 'none'; ")
    allowed = set(re.findall(r"'sha256-[^']+'", policy))
    run = re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", html, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in [*run, *style]}
    assert allowed == hashes and len(run) == 5
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_links_lead_to_what_is_there(html: str) -> None:
    page = Page(html)
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    wanted = {(given.get("href") or "#")[1:] for tag, given in page.tags if tag == "a"} - {""}
    assert wanted <= set(ids)


def test_holds_what_was_chosen(tmp_path: Path) -> None:
    traces = [trace(f"p{n}", span("teacher", "thinking", f"word{n % 2}"), status=Status.COMPLETE) for n in range(9)]
    run = write(tmp_path / "run", [problem(f"p{n}") for n in range(9)], traces)
    to = tmp_path / "page.html"
    assert write_file(run, to, Chosen(search="word1"), limit=3, index=tmp_path / "index") == Written(3, 3, 1)
    page = Page(to.read_text("utf-8"), "response")
    assert page.texts == ["word1"] * 3
    assert "first 3 of 4 problems" in to.read_text("utf-8")


def test_an_empty_one_says_so(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("p")], [])
    write_file(run, tmp_path / "page.html")
    assert "the run has no traces yet" in (tmp_path / "page.html").read_text("utf-8")


def test_a_place_that_cannot_be_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_file(run, tmp_path / "nowhere" / "page.html", Chosen(status=("failed",)), index=IN_MEMORY)


def test_traces_of_a_problem_stand_side_by_side(tmp_path: Path) -> None:
    traces = [trace("p", span("student", "style", f"{n}"), sample=n) for n in range(2)]
    write_file(write(tmp_path / "run", [problem("p")], traces), tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text("utf-8"), "response", "problem")
    assert page.texts[1:] == ["0", "1"]
    assert any(given.get("class") == "sheets several" for _, given in page.tags)
