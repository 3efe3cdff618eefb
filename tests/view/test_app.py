"""The pages: what stands on them, whatever the run is like."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from starlette.types import ASGIApp

from antiphon.store import Store, place, schema
from antiphon.trace import Author, Key, Label, Status, Trace, Turn, Verdict
from antiphon.view.app import app
from antiphon.view.index import Index
from antiphon.view.runs import Run
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import PORT, TOKEN, Answer, Page, ask, problem, span, trace, write

Ask = Callable[..., Answer]


def site(folder: Path, *directories: Path) -> ASGIApp:
    runs = []
    for number, directory in enumerate(directories):
        run = Run(number, directory, folder / f"index-{number}")
        try:
            with Index(run.place) as index:
                while index.update(run.reader):
                    pass
        except OSError:
            pass  # the page says it
        runs.append(run)
    return app(runs, token=TOKEN, port=PORT)


def page(site: ASGIApp, path: str) -> Answer:
    answer = ask(site, f"/{TOKEN}{path}")
    Page(answer.text)  # every element is closed
    return answer


def both(texts: Sequence[str]) -> list[Trace]:
    """A trace in turns of each text, and one by the teacher alone."""
    return [
        each
        for number, text in enumerate(texts)
        for each in (
            trace(
                f"p{number}",
                span("none", "marker", "<think>\n"),
                span("student", "style", text),
                span("teacher", "capability", text, confidence=None),
                verdicts=(Verdict("exact", "1", Label.RIGHT, "as asked"),),
                closed_by=Author.TEACHER,
            ),
            trace(f"p{number}", span("teacher", "thinking", text), variant="teacher_only", status=Status.TOO_LONG),
        )
    ]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> ASGIApp:
    folder = tmp_path_factory.mktemp("three")
    texts = ["Okay, let me see", "Wait, check it", "So the answer"]
    problems = [problem(f"p{number}", f"Question {number}?") for number in range(3)]
    turns = {
        Key("p0", "tessy", 0): [
            Turn(Author.STUDENT, "here", 8, 7, 4, 4, True, 0.1, span=1, rejected=" times 4"),
            Turn(Author.TEACHER, "there", 8, 8, 8, 4, False, 0.1, span=2),
        ]
    }
    return site(folder, write(folder / "run", problems, both(texts), turns))


def test_one_run_is_shown_at_once(three: ASGIApp) -> None:
    answer = ask(three, f"/{TOKEN}/")
    assert (answer.status, answer.headers["location"]) == (307, f"/{TOKEN}/run/0")


def test_the_list(three: ASGIApp) -> None:
    text = page(three, "/run/0").text
    assert "3 problems, 6 traces" in text and "Question 2?" in text
    assert text.count("right</span>") == 3 and text.count("cut off</span>") == 3
    assert "student 50 %, teacher 50 %" in text


def test_the_list_is_filtered_by_its_address(three: ASGIApp) -> None:
    text = page(three, "/run/0?variant=tessy&search=wait&status=complete").text
    assert "1 problem, 1 trace" in text
    assert 'value="wait"' in text and 'value="tessy" checked' in text


def test_nothing_found_says_so(three: ASGIApp) -> None:
    text = page(three, "/run/0?search=nowhere").text
    assert "No trace is so." in text and "0 problems, 0 traces" in text


def test_a_wrong_filter_is_explained(three: ASGIApp) -> None:
    answer = page(three, "/run/0?status=odd")
    assert answer.status == 404 and "no status &#39;odd&#39;; there are complete" in answer.text


def test_traces_side_by_side(three: ASGIApp) -> None:
    answer = page(three, "/show?problem=p1")
    assert Page(answer.text, "response").texts == ["Wait, check it", "<think>\nWait, check itWait, check it"]
    assert "sheets several" in answer.text
    assert "exact 1" in answer.text and "as asked" in answer.text and "thinking closed by the teacher" in answer.text
    assert [tag for tag, given in Page(answer.text).tags if given.get("rel") in ("prev", "next")] == ["a", "a"]


def test_one_trace_and_what_is_told_of_its_spans(three: ASGIApp) -> None:
    text = page(three, "/show?problem=p0&trace=0:tessy:0").text
    assert Page(text, "response").texts == ["<think>\nOkay, let me seeOkay, let me see"]
    details = json.loads(Page(text, "details").texts[0])
    assert details["models"] == {"student": "small-student", "teacher": "big-teacher"}
    end, confidence, words, ids_from, reencoded, ids = details["spans"][1]
    assert end.startswith("the next word") and (confidence, words, ids_from, reencoded) == (0.875, 4, "sampled", 0)
    assert ids == [100, 101, 102, 103]
    assert details["spans"][2][1] is None


def test_the_legend_names_what_occurs(three: ASGIApp) -> None:
    text = page(three, "/show?problem=p0&trace=0:tessy:0").text
    assert [
        unescape(one).split("\n")[0] for one in Page(text, "legend").texts[0].strip().splitlines() if one.strip()
    ] == [
        "nobody: marker ",
        "student: style […]",
        "teacher: capability {…}",
        "⌫ rolled back, in tokens",
        "Marks",
        "Rolled back: text",
    ]


def test_what_was_rolled_back_stands_where_it_was(three: ASGIApp) -> None:
    text = page(three, "/show?problem=p0&trace=0:tessy:0").text
    (mark,) = [given for _, given in Page(text).tags if given.get("class") == "back student"]
    assert (mark["data-text"], mark["data-count"], mark["data-turn"]) == (" times 4", "3", "1")
    assert text.index("Okay, let me see<span") < text.index('class="p teacher capability">Okay')
    assert Page(text, "rejected").texts == [" times 4"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/show?problem=p9", "there is no trace of a problem &#39;p9&#39;"),
        ("/show?problem=p0&trace=0:nobody:0", "there is no trace p0/nobody/0"),
        ("/show?problem=p0&trace=0:tessy:9", "there is no trace p0/tessy/9"),
        ("/show?problem=p0&trace=tessy", "names no trace; write run:variant:sample"),
        ("/show?problem=p0&trace=7:tessy:0", "there is no run 7"),
        ("/show?problem=%ff", "the address is damaged"),
        ("/show", "there is no trace of a problem"),
        ("/run/1", "there is no run 1"),
        ("/run/0?page=0x", "no whole number"),
        ("/nowhere", "There is no such page"),
    ],
)
def test_what_is_not_there_is_explained(three: ASGIApp, path: str, says: str) -> None:
    answer = page(three, path)
    assert answer.status == 404 and says in answer.text


def test_charts_and_their_tables(three: ASGIApp) -> None:
    text = page(three, "/run/0/charts").text
    for title in ("Lengths", "the teacher&#39;s share", "the student&#39;s share", "Progress"):
        assert title in text
    figures = json.loads(ask(three, f"/{TOKEN}/run/0/figures.json").text)
    lengths = figures["charts"]["Lengths"]
    assert (figures["traces"], figures["pending"]) == (6, 0)
    assert sum(map(sum, lengths["values"])) == 6 and lengths["names"] == ["teacher_only", "tessy"]
    assert figures["charts"]["Progress"]["values"][0][-1] == 3
    for author in ("teacher", "student"):
        assert sum(map(sum, figures["charts"][f"Who wrote it: the {author}'s share"]["values"])) == 6


def test_several_runs_beside_each_other(tmp_path: Path) -> None:
    directories = [
        write(tmp_path / name, [problem("p")], [trace("p", span("student", "style", f"by {name}"))])
        for name in ("one", "two")
    ]
    both = site(tmp_path, *directories)
    text = page(both, "/").text
    assert "one" in text and "two" in text and text.count("1 complete") == 2
    assert Page(page(both, "/show?problem=p&run=1").text, "response").texts == ["by one", "by two"]
    assert Page(page(both, "/show?problem=p&trace=1:tessy:0").text, "response").texts == ["by two"]


# -- runs that have little to show


def test_an_empty_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "run") as store:
        store.add_problems([problem("p")])
    empty = site(tmp_path, tmp_path / "run")
    assert "1 problem and no traces yet" in page(empty, "/run/0").text
    assert "No trace is finished yet" in page(empty, "/run/0/charts").text
    assert "none yet" in page(site(tmp_path, tmp_path / "run", tmp_path / "run"), "/").text


def test_a_run_of_failures(tmp_path: Path) -> None:
    traces = [trace("p", status=Status.FAILED, cause="the server refused <it>", sample=sample) for sample in range(3)]
    text = page(site(tmp_path, write(tmp_path / "run", [problem("p")], traces)), "/run/0").text
    assert "No trace of this run is complete" in text and "3 × the server refused &lt;it&gt;" in text


def test_a_run_that_is_being_written(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run",
        [problem("p"), problem("q")],
        [trace("p", span("student", "style", "so far", end=None), status=None), trace("q", status=None)],
    )
    with Store.open(run):
        writing = site(tmp_path, run)
        assert "2 of 2 traces not finished" in page(writing, "/run/0").text
        text = page(writing, "/show?problem=p&trace=0:tessy:0").text
        assert Page(text, "response").texts == ["so far"] and "still being written" in text
        assert "Nothing of it is written yet" in page(writing, "/show?problem=q").text
        assert "data-figures" in page(writing, "/run/0/charts").text


def test_what_the_index_does_not_know_yet_is_counted(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("p")], [trace("p", span("student", "style", "x"))])
    old = site(tmp_path, run)
    write(run, [problem("q")], [trace("q", status=None)])
    text = page(old, "/run/0").text
    assert "1 of 2 traces listed" in text


def test_traces_that_are_not_in_the_index_yet(tmp_path: Path) -> None:
    run = Run(0, write(tmp_path / "run", [problem("p")], [trace("p", span("student", "style", "x"))]), tmp_path / "i")
    fresh = app([run], token=TOKEN, port=PORT)
    assert "0 of 1 trace listed" in page(fresh, "/run/0").text
    assert Page(page(fresh, "/show?problem=p&trace=0:tessy:0").text, "response").texts == ["x"]
    assert page(fresh, "/run/0/charts").status == 200


def set_version(run: Path, version: int) -> None:
    with sqlite3.connect(run / "run.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_a_run_of_a_newer_version(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("p")], [trace("p")])
    set_version(run, 99)
    newer = site(tmp_path, run)
    for path in ("/run/0", "/run/0/charts", "/show?problem=p&trace=0:tessy:0"):
        answer = page(newer, path)
        assert answer.status == 503 and "was written by a newer version" in answer.text
    assert "was written by a newer version" in page(site(tmp_path, run, run), "/").text


def test_a_run_of_an_older_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write(tmp_path / "run", [problem("p")], [trace("p", span("student", "style", "x"))])
    newer = [*schema.MIGRATIONS, lambda connection: connection.execute("ALTER TABLE traces ADD COLUMN price REAL")]
    for module in (schema, place):
        monkeypatch.setattr(module, "MIGRATIONS", newer)
    assert "1 problem, 1 trace" in page(site(tmp_path, run), "/run/0").text
    with sqlite3.connect(run / "run.sqlite") as connection:
        assert connection.execute("SELECT price FROM traces").fetchall() == [(None,)]
    connection.close()


def test_something_else_than_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    answer = page(site(tmp_path, tmp_path / "run"), "/run/0")
    assert answer.status == 503 and "is not a run directory" in answer.text


# -- text that wants to be more


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ASGIApp:
    """Every hostile text wherever a run can have one."""
    folder = tmp_path_factory.mktemp("hostile")
    problems, traces, turns = [], [], {}
    for text in TEXTS.values():
        problems.append(problem(text, text))
        verdicts = (Verdict(text, text, Label.WRONG, text),)
        each = trace(text, span("student", "style", text), variant=text, verdicts=verdicts, cause=text)
        traces.append(each)
        turns[each.key] = [Turn(Author.STUDENT, text, 2, 2, 1, 1, True, 0.1, span=0, rejected=text)]
    return site(folder, write(folder / "run", problems, traces, turns))


def safe(html: str) -> None:
    """Nothing of a page is anybody's but ours."""
    for tag, given in Page(html).tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "marquee", "math", "template", "textarea")
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in given)
        assert not (given.get("href") or "").startswith(("javascript", "http"))
        if tag == "script":
            assert given.get("type") in ("module", "application/json") or "uplot" in (given["src"] or "")
            assert given.get("type") == "application/json" or (given["src"] or "").startswith(f"/{TOKEN}/static/")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_texts_in_a_trace(hostile: ASGIApp, text: str) -> None:
    address = urlencode({"problem": text, "trace": f"0:{text}:0"}, quote_via=quote, errors="surrogatepass")
    answer = page(hostile, f"/show?{address}")
    assert answer.status == 200
    safe(answer.text)
    assert Page(answer.text, "response").texts == [text]
    assert Page(answer.text, "rejected", "text").texts.count(text) == 2  # the question, and what was rolled back
    assert Page(answer.text, "cause").texts == [text]
    assert text in Page(answer.text, "judged").texts[0]


def test_hostile_texts_in_lists_and_charts(hostile: ASGIApp) -> None:
    for path in ("/run/0", "/run/0?page=2", "/run/0/charts"):
        answer = page(hostile, path)
        assert answer.status == 200
        safe(answer.text)
    for text in TEXTS.values():
        query = urlencode({"variant": text, "search": text}, errors="surrogatepass")
        answer = page(hostile, f"/run/0?{query}")
        safe(answer.text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_links_lead_to_what_they_name(hostile: ASGIApp, text: str) -> None:
    listed = page(hostile, f"/run/0?{urlencode({'variant': text}, errors='surrogatepass')}").text
    (link,) = [
        given["href"] for tag, given in Page(listed).tags if tag == "a" and "&trace=" in (given.get("href") or "")
    ]
    assert link is not None
    answer = ask(hostile, link)
    assert Page(answer.text, "response").texts == [text]


def test_a_line_of_a_million_characters(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("p", LONG_LINE)], [trace("p", span("student", "style", LONG_LINE))])
    long = site(tmp_path, run)
    assert Page(page(long, "/show?problem=p").text, "response").texts == [LONG_LINE]
    assert len(page(long, "/run/0").body) < 20_000
