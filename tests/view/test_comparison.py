"""A comparison as a page: in the viewer, and in one file; its charts; the process that makes it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from antiphon.analyse.compare import compare
from antiphon.analyse.report import Comparison
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.source import RunSide, Side, find
from antiphon.errors import UsageError
from antiphon.store import Reader
from antiphon.trace import Key
from antiphon.view import comparing, file
from antiphon.view.app import app
from antiphon.view.comparing import Asked, Comparisons
from antiphon.view.comparison import charts, most_telling
from antiphon.view.file import write_comparison
from antiphon.view.runs import Run
from tests.analyse.runs import Scoring, model_of
from tests.e2e.material import pilot
from tests.view.hostile import TEXTS
from tests.view.runs import PORT, TOKEN, Answer, Page, ask, problem, span, trace, write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pilot(tmp_path_factory.mktemp("comparison") / "run")


@pytest.fixture(scope="module")
def scores(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of likelihoods of the run, as the command keeps them."""
    folder = tmp_path_factory.mktemp("scores")

    async def work() -> None:
        await compare(find([str(run)]), scorer=Scorer(await model_of(Scoring()), folder))

    asyncio.run(work())
    return folder


@pytest.fixture(scope="module")
def made(run: Path) -> Comparison:
    return asyncio.run(compare(find([f"{run}:t0.3", f"{run}:t0.5", f"{run}:t0.7"])))


def sides(directory: Path) -> list[Side]:
    """Whatever the variants are called."""
    with Reader(directory) as reader:
        return [RunSide(str(directory), reader, variant) for variant in reader.variants()]


# -- charts


def test_charts_of_a_pilot_and_of_drift(made: Comparison) -> None:
    share, right, tokens, drift = charts(made)
    assert [chart.title for chart in (share, right, tokens)] == [
        "Teacher's share of the thinking by boundary threshold",
        "Right by boundary threshold",
        "Tokens received by boundary threshold",
    ]
    assert share.at == (0.3, 0.5, 0.7) and share.unit == "%"
    ((_, shares),) = share.series
    assert sorted(filter(None, shares)) == list(shares) and all(25 < value < 75 for value in shares if value)
    (bounds,) = share.bounds
    assert all(pair and pair[0] <= value <= pair[1] for pair, value in zip(bounds, shares, strict=True) if value)
    assert [name for name, _ in drift.series] == ["B", "C"] and drift.labels[-1] == "told apart"
    assert "by chance" in drift.cell(0, 0) and " to " in drift.cell(0, 0)
    assert drift.cell(0, 3).count("by chance") == 0, "the similarity on the same problem is not tested"


def test_what_a_script_gets_is_json(made: Comparison) -> None:
    for chart in charts(made):
        told = json.loads(json.dumps(chart.for_script))
        assert len(told["names"]) == len(told["values"]) and all(len(one) == len(told["at"]) for one in told["values"])


# -- the file


def written(made: Comparison, to: Path) -> tuple[file.Written, Page]:
    counts = write_comparison(made, to)
    return counts, Page(to.read_text("utf-8"), "response", "whence")


def test_the_file_links_to_the_traces_in_it(made: Comparison, tmp_path: Path) -> None:
    counts, page = written(made, tmp_path / "page.html")
    ids = {given["id"] for _, given in page.tags if "id" in given}
    links = [(given.get("href") or "#")[1:] for tag, given in page.tags if tag == "a"]
    assert {link for link in links if link} <= ids
    assert len(page.texts) > counts.traces > 20 and counts.left_out == 0
    opened = {given["popovertarget"] for _, given in page.tags if "popovertarget" in given}
    assert opened and opened <= ids
    with Reader(Path(made.sides[0].place)) as reader:
        response = reader.trace(Key("p1", "t0.3", 0)).response
    assert response in page.texts


def test_a_file_that_would_grow_too_large_names_the_others(
    made: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "COMPARED", 5)
    counts, page = written(made, tmp_path / "page.html")
    first = [(part.side, part.key) for part in most_telling(made)][:5]
    assert counts.traces == 5 and counts.left_out > 20 and len(set(first)) == 5
    assert f"{counts.left_out} more are named only" in (tmp_path / "page.html").read_text("utf-8")
    assert len([tag for tag, given in page.tags if "sheet" in (given.get("class") or "").split()]) == 5


def test_the_largest_differences_come_first(made: Comparison) -> None:
    (table,) = [table for table in made.tables if table.name == "ownership"]
    (row,) = [row for row in table.rows if row.name == "teacher's share of the thinking"]
    change = row.changes[2]
    assert change is not None and change.star
    order = [(part.side, part.key) for part in most_telling(made)]
    assert len(order) == len(set(order))
    assert order.index(change.traces[0][:2]) < order.index(change.traces[-1][:2])


def test_hostile_texts_in_the_file(tmp_path: Path) -> None:
    texts = list(TEXTS.values())
    traces = [
        trace(text, span("student", "style", text), span("teacher", "capability", "and " * (number + 1)), variant=name)
        for name, number in (("one" + texts[0], 0), ("two" + texts[1], 3))
        for text in texts
    ]
    directory = write(tmp_path / "run", [problem(text, text) for text in texts], traces)
    data = tmp_path / "data.jsonl"
    rows = [
        {"problem": text, "response": f"<think>\n{text} {text}\n</think>\n\n{text}"} for text in texts if text.strip()
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    made = asyncio.run(compare([*sides(directory), *find([str(data)])]))
    counts, page = written(made, tmp_path / "page.html")
    assert counts.traces > 2 * len(texts)
    responses = [text for text in page.texts if text.endswith("and " * 4)]
    assert set(responses) <= {text + "and " * 4 for text in texts} and len(responses) > 20
    for tag, given in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "marquee", "math", "template", "textarea")
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in given)
        assert (given.get("href") or "#").startswith(("#", "data:,"))


def test_data_in_files_are_shown_too(tmp_path: Path) -> None:
    for name, word in (("one", "Okay"), ("two", "We proceed")):
        rows = [{"problem": f"{n}", "response": f"<think>\n{word} {n}.\n</think>\n\n{n}"} for n in range(8)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    made = asyncio.run(compare(find([str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")])))
    counts, page = written(made, tmp_path / "page.html")
    assert counts.problems == 8 and any("We proceed 3." in text for text in page.texts)


def test_a_place_that_cannot_be_written(made: Comparison, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_comparison(made, tmp_path / "nowhere" / "page.html")


# -- in the viewer


def site(run: Path, folder: Path, scores: Path | None = None) -> tuple[Callable[[str], Answer], Comparisons]:
    comparisons = Comparisons(None, scores or folder / "none")
    pages = app([Run(0, run, folder / "index")], token=TOKEN, port=PORT, comparisons=comparisons)
    return (lambda path: ask(pages, f"/{TOKEN}{path}")), comparisons


def until_made(get: Callable[[str], Answer], path: str) -> Answer:
    while (answer := get(path)).status == 202:  # each answer waits for it a while
        assert "These are being compared" in answer.text
    return answer


def test_the_page_of_a_run(run: Path, scores: Path, tmp_path: Path) -> None:
    get, comparisons = site(run, tmp_path, scores)
    answer = until_made(get, "/compare?first=0:1")
    assert answer.status == 200
    page = Page(answer.text, "legend-of-sides", "whence")
    assert "t0.3" in page.texts[0].splitlines()[1], "the one that was asked for is first"
    titles = [given["data-title"] for _, given in page.tags if "data-title" in given]
    assert "Style (L_Sty) by boundary threshold" in titles and "How likely along the response: style" in titles
    links = [given["href"] for tag, given in page.tags if tag == "a" and "&trace=" in (given.get("href") or "")]
    assert len(links) > 100
    for link in links[:3]:
        shown = get((link or "").removeprefix(f"/{TOKEN}"))
        key = parse_qs(urlsplit(link or "").query)["trace"][0]
        assert shown.status == 200 and key.split(":")[1] in shown.text
    began = time.perf_counter()
    assert get("/compare?first=0:1").text == answer.text
    assert time.perf_counter() - began < 1, "it is kept"
    comparisons.close()


def test_without_scores_there_is_no_likelihood(run: Path, tmp_path: Path) -> None:
    get, comparisons = site(run, tmp_path)
    answer = until_made(get, "/compare?side=0:0&side=0:2")
    assert "How likely" not in answer.text and "could not be scored" not in answer.text
    comparisons.close()


def test_a_run_that_has_gone_on_is_compared_anew_when_asked(tmp_path: Path) -> None:
    def more(sample: int) -> Path:
        traces = [trace("p", span("student", "style", "x"), variant=name, sample=sample) for name in ("a", "b")]
        return write(tmp_path / "run", [problem("p")] if not sample else [], traces)

    get, comparisons = site(more(0), tmp_path)
    assert "has gone on" not in until_made(get, "/compare").text
    more(1)
    text = until_made(get, "/compare").text
    (anew,) = [given["href"] for tag, given in Page(text).tags if (given.get("href") or "").endswith("anew=")]
    there = get((anew or "").removeprefix(f"/{TOKEN}"))
    assert there.status == 307
    again = until_made(get, there.headers["location"].removeprefix(f"/{TOKEN}"))
    assert "has gone on" not in again.text and "2 traces" in again.text
    comparisons.close()


@pytest.mark.parametrize(
    ("path", "says"),
    [("/compare?side=0:9", "no variant"), ("/compare?side=../x", "no variant"), ("/compare?first=7:0", "no variant")],
)
def test_what_is_not_there_is_explained(run: Path, tmp_path: Path, path: str, says: str) -> None:
    get, _ = site(run, tmp_path)
    answer = get(path)
    assert answer.status == 404 and says in answer.text


def test_an_empty_run_has_nothing_to_compare(tmp_path: Path) -> None:
    get, _ = site(write(tmp_path / "run", [problem("p")], []), tmp_path)
    answer = get("/compare")
    assert answer.status == 404 and "nothing to compare" in answer.text


def test_hostile_names_in_the_page(tmp_path: Path) -> None:
    names = list(TEXTS.values())[:6]
    traces = [trace(p, span("student", "style", p), variant=name) for name in names for p in ("/a/b", "c\0<b>")]
    get, comparisons = site(write(tmp_path / "run", [problem("/a/b"), problem("c\0<b>")], traces), tmp_path)
    answer = until_made(get, "/compare")
    page = Page(answer.text)
    assert answer.status == 200
    for tag, given in page.tags:
        assert tag not in ("iframe", "object", "embed", "img", "base", "marquee", "math", "template", "textarea")
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in given)
    links = [given["href"] or "" for tag, given in page.tags if tag == "a" and "&trace=" in (given.get("href") or "")]
    assert all(get(link.removeprefix(f"/{TOKEN}")).status == 200 for link in links[:4])
    comparisons.close()


# -- the process


def test_a_comparison_that_fails_says_why(tmp_path: Path) -> None:
    comparisons = Comparisons(None, tmp_path)
    with pytest.raises(UsageError, match="is not a run directory"):
        comparisons.get(Asked(((str(tmp_path), "a"),)), (0,), wait=60)
    comparisons.close()


def test_a_large_run_is_compared_by_some_of_its_problems(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "_PROBLEMS", 5)
    asked = Asked(((str(run), "t0.3"), (str(run), "t0.7")))
    made = asyncio.run(comparing._compare(asked))
    assert [side.problems for side in made.sides] == [5, 5] and made.drifts[0].paired
    assert made.remarks[0] == "these are 5 of the problems, chosen by chance; antiphon compare takes all 12"
