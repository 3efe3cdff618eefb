"""`antiphon compare`, as its users call it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, THINKING, Scoring, write_run
from tests.cli.conftest import Command, write_lines

HOSTILE = "\x1b[31mWait\x1b[0m \u202e<script>alert(1)</script>\x00 \ud800 ok"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    names = [f"p{n}\u202e\x1b[2J" for n in range(12)]
    spans = [(STUDENT, STYLE, f"{HOSTILE}, "), (TEACHER, CAPABILITY, "3+4=7. "), (STUDENT, ANSWER, "7")]
    alone = [(TEACHER, THINKING, "We proceed. 3+4=7."), (TEACHER, ANSWER, "7")]
    directory = write_run(tmp_path / "run", {(name, 0): spans for name in names})
    return write_run(directory, {(name, 0): alone for name in names}, variant="teacher_only")


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> list[Scoring]:
    """Every model that is named scores."""
    from antiphon.engine import models

    opened: list[Scoring] = []

    def open_engine(reference: str, **_: object) -> Scoring:
        opened.append(Scoring(scoring="mute" not in reference))
        return opened[-1]

    monkeypatch.setattr(models, "open_engine", open_engine)
    return opened


def test_two_variants_beside_each_other(command: Command, run: Path, tmp_path: Path, scorer: list[Scoring]) -> None:
    scores = ("--scores", tmp_path / "scores", "--boundary", "general")
    done = command("compare", run, "--under", "some:model", *scores)
    assert done.code == 0
    for shown in ("A  ", "B  ", "tessy", "teacher_only", "L_Sty", "B - A", "Drift of B from A", "student's share"):
        assert shown in done.out
    assert not set("\x1b\x00\u202e\ud800") & set(done.out + done.err)
    assert len(scorer[0].scored) == 24
    again = command("compare", run, "--under", "some:model", *scores)
    assert again.out == done.out and not scorer[1].scored


def test_for_programs(command: Command, run: Path) -> None:
    done = command("compare", f"{run}:tessy", f"{run}:teacher_only", "--boundary", "none", "--json")
    assert done.code == 0
    told = done.json
    assert [side["variant"] for side in told["sides"]] == ["tessy", "teacher_only"]
    (shares,) = [
        row for table in told["tables"] for row in table["rows"] if row["name"] == "student's share of the thinking"
    ]
    change = shares["changes"][1]
    assert change["star"] and change["paired"] and change["problems"] == 12
    side, key, _ = change["traces"][0]
    assert key.startswith("p") and side in (0, 1) and "\x1b[2J" in key, "the key as it is"
    assert told["marks"] is None and told["under"] is None


def test_as_a_page(command: Command, run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = command("compare", run, "--boundary", "general", "--html", page)
    assert done.code == 0 and "words of thinking" in done.out
    said, written = re.search(r"(\d+) traces that contribute most to differences", done.out), page.read_text("utf-8")
    assert said is not None and written.count('<article class="sheet"') == int(said[1]) >= 20
    done = command("compare", run, "--boundary", "general", "--json", "--html", page)
    assert done.code == 0 and done.json["pilot"] is None


def test_a_page_that_cannot_be_written_is_said_before_anything_is_measured(
    command: Command, run: Path, tmp_path: Path, scorer: list[Scoring]
) -> None:
    done = command("compare", run, "--under", "some:model", "--html", tmp_path / "no" / "page.html")
    assert done.code == 2 and "there is no folder" in " ".join(done.err.split()) and not scorer


def test_a_file_of_hostile_text_alone(command: Command, tmp_path: Path) -> None:
    rows = [{"problem": f"{n} {HOSTILE}", "response": f"<think>\n{HOSTILE}\n</think>\n\n{HOSTILE}"} for n in range(3)]
    file = write_lines(tmp_path / "data.jsonl", rows)
    done = command("compare", file, "--boundary", "general")
    assert done.code == 0 and "words of thinking" in done.out
    assert not set("\x1b\x00\u202e\ud800") & set(done.out + done.err)


def test_wrong_use_is_one_clear_line(command: Command, run: Path, tmp_path: Path, scorer: list[Scoring]) -> None:
    for arguments, says in (
        ((tmp_path / "missing",), "DIRECTORY:VARIANT"),
        ((f"{run}:none",), "it holds tessy, teacher_only"),
        ((run, "--under", "mute", "--scores", tmp_path / "s"), "cannot tell how likely"),
        ((run, "--status", "good"), "there is no such status"),
        ((run, "--boundary", "none-such"), "none-such"),
    ):
        done = command("compare", *arguments)
        assert done.code == 2 and says in " ".join(done.err.split())
        assert "Traceback" not in done.err
