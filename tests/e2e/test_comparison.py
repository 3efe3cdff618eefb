"""Comparisons as a person has them: the viewer's page and the file, in a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from antiphon.analyse.compare import compare
from antiphon.analyse.report import Comparison
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.source import Side, find
from antiphon.store import Reader
from antiphon.trace import Key
from antiphon.view.file import write_comparison
from tests.analyse.runs import Scoring, model_of
from tests.e2e.conftest import Watched, barriers, opened, serving
from tests.e2e.material import WORDS, pilot, usual
from tests.e2e.test_view import RAN, THEMES, open_all, press, same
from tests.view.hostile import TEXTS
from tests.view.runs import problem, span, trace, write
from tests.view.test_comparison import sides

pytestmark = pytest.mark.e2e

SHARE = "teacher's share of the thinking, C − A"


def compared(of: list[Side], scores: Path | None = None) -> Comparison:
    async def work() -> Comparison:
        scorer = None if scores is None else Scorer(await model_of(Scoring()), scores)
        return await compare(of, scorer=scorer)

    with ThreadPoolExecutor(1) as own:  # in this thread the browser's driver has a loop
        return own.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pilot(tmp_path_factory.mktemp("pilot") / "run")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="module")
def file(run: Path, scores: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    to = tmp_path_factory.mktemp("file") / "page.html"
    write_comparison(compared(find([f"{run}:t0.3", f"{run}:t0.5", f"{run}:t0.7"]), scores), to)
    return to.as_uri()


@pytest.fixture(scope="module")
def address(
    run: Path, scores: Path, file: str, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[str]:
    """The page of comparisons; that there is a file says that there are scores."""
    with serving(tmp_path_factory.mktemp("cache"), run, "--scores", scores) as found:
        with browser.new_context() as context:
            until_compared(context.new_page(), f"{found}compare")
        yield f"{found}compare"


def until_compared(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="How long")).to_be_visible(timeout=60_000)


def traces_of(page: Page, what: str) -> None:
    """Opens what names the traces of a difference, with keys alone."""
    button = page.locator(f"button:has(+ [aria-label='{what}: traces'])".replace("'s share", "\\'s share"))
    button.focus()
    page.keyboard.press("Enter")


def test_the_page_waits_for_what_is_being_compared(run: Path, tmp_path: Path, page: Page) -> None:
    with serving(tmp_path / "cache", run) as address:
        page.goto(address)
        page.get_by_role("link", name="Side by side").click()
        expect(page.get_by_role("heading", name="Whose words")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("link", name="Side by side")).to_have_attribute("aria-current", "page")


def test_a_difference_names_its_traces_and_leads_to_them(page: Page, address: str) -> None:
    page.goto(address)
    traces_of(page, "teacher's share of the thinking, B − A")
    dialog = page.locator(".whence:popover-open")
    expect(dialog).to_contain_text("teacher's share of the thinking, B − A")
    expect(dialog.get_by_role("link")).to_have_count(20)
    name = dialog.get_by_role("link").first.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    variant, _, sample = name.split(" ", 1)[1].partition("/")[2].partition("/")
    expect(page.locator(".sheet h2")).to_have_text(f"{variant}/{sample}")
    page.go_back()
    traces_of(page, "teacher's share of the thinking, B − A")
    page.keyboard.press("Escape")
    expect(page.locator(".whence:popover-open")).to_have_count(0)


def test_what_is_compared_is_chosen(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("Which variants: 3 of 3").click()
    page.get_by_role("checkbox", name="t0.5").uncheck()
    page.get_by_role("combobox", name="Held against").select_option("t0.3")
    page.get_by_role("button", name="Compare these").click()
    expect(page.locator(".legend-of-sides li").nth(1)).to_contain_text("t0.7", timeout=60_000)
    expect(page.locator(".legend-of-sides li").first).to_contain_text("t0.3")
    expect(page.get_by_role("heading", name="Drift of B from A")).to_be_visible()
    page.keyboard.press("l")
    expect(page.get_by_role("heading", level=1)).to_have_text("run")


TITLES = [
    "Teacher's share of the thinking by boundary threshold",
    "Right by boundary threshold",
    "Style (L_Sty) by boundary threshold",
    "Tokens received by boundary threshold",
    "Drift from A",
    "How likely along the response: whole response",
    "How likely along the response: style",
    "How likely along the response: capability",
]


def test_charts_are_drawn_and_told(page: Page, address: str, file: str) -> None:
    for url in (address, file):
        page.goto("about:blank")
        page.goto(url)
        expect(page.locator(".plot canvas")).to_have_count(len(TITLES))
        assert page.locator(".chart h2").all_inner_texts() == TITLES
        painted = page.locator(".plot canvas").evaluate_all(
            "all => all.map(one => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size)"
        )
        assert min(painted) > 5
        page.locator(".chart", has_text=TITLES[0]).get_by_text("The same as a table").click()
        table = page.get_by_role("region", name=f"{TITLES[0]}, as a table")
        assert table.locator("th[scope=row]").all_inner_texts() == ["0.3", "0.5", "0.7"]
        shares = [float(text.split()[0]) for text in table.locator("td").all_inner_texts()]
        assert shares == sorted(shares) and len(shares) == 3


def test_dots_bars_and_dashes_of_drift_are_where_they_belong(page: Page, address: str) -> None:
    """The canvas has the side's colour at its value, at its bounds and at what chance comes to."""
    page.goto(address)
    seen = page.locator(".chart", has_text="Drift from A").evaluate(
        """chart => {
            const told = JSON.parse(chart.querySelector("script").textContent);
            const canvas = chart.querySelector("canvas");
            const probe = document.createElement("i");
            probe.style.color = "var(--student)";
            document.body.append(probe);
            const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
            const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const rows = new Set();
            for (let at = 0; at < data.length; at += 4) {
                if (data[at] === r && data[at + 1] === g && data[at + 2] === b) rows.add(Math.floor(at / 4 / width));
            }
            return { rows: [...rows].sort((a, b) => a - b), values: told.values[0], chance: told.chance[0], height };
        }"""
    )
    rows = seen["rows"]
    groups = 1 + sum(after - before > 2 for before, after in pairwise(rows))
    assert groups >= 2, "values far apart stand far apart"


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_serious_keeps_anybody_out(browser: Browser, address: str, file: str, theme: str) -> None:
    found = []
    with opened(browser, color_scheme=theme, viewport={"width": 1280, "height": 800}) as watched:
        for url in (address, file, f"{file}#t1", f"{file}#p1"):
            watched.page.goto("about:blank")
            watched.page.goto(url)
            open_all(watched.page)
            for opens in (False, True):
                if opens and "#" not in url:
                    watched.page.locator(".difference").first.click()
                found += [(url.split("/")[-1], *barrier) for barrier in barriers(watched.page)]
    assert found == []


@pytest.mark.parametrize("width", [375, 640, 1280, 1920])
def test_nothing_is_wider_than_the_window(browser: Browser, address: str, file: str, width: int) -> None:
    with opened(browser, viewport={"width": width, "height": 700}) as watched:
        for url in (address, file, f"{file}#t1", f"{file}#p1"):
            watched.page.goto(url)
            open_all(watched.page)
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width, url
            if "#" not in url:
                watched.page.locator(".difference").first.click()
                box = watched.page.locator(".whence:popover-open").bounding_box()
                assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_prints_its_tables_and_charts(page: Page, address: str) -> None:
    page.goto(address)
    page.emulate_media(media="print")
    assert not page.locator("header.top").is_visible()
    assert page.locator(".difference").first.evaluate("one => getComputedStyle(one).borderStyle") == "none"
    for wide in page.locator(".compared .wide").all():
        assert wide.evaluate("one => getComputedStyle(one).overflowX") == "visible"
    assert page.pdf()[:4] == b"%PDF"


def test_the_file_works_from_a_disk_without_a_network(browser: Browser, file: str, run: Path) -> None:
    with opened(browser, viewport={"width": 1280, "height": 800}, offline=True) as watched:
        page = watched.page
        page.goto(file)
        assert watched.requests == [file]
        traces_of(page, SHARE)
        link = page.locator(".whence:popover-open a").first
        side, key = link.inner_text().split(" ", 1)
        id, variant, sample = key.rsplit("/", 2)
        link.click()
        expect(page.locator(".sheet:visible")).to_have_count(1)
        expect(page.locator(".sheet:visible h2")).to_have_text(f"{side}: {variant}/{sample}")
        with Reader(run) as reader:
            response = reader.trace(Key(id, variant, int(sample))).response
        assert page.locator(".response:visible").evaluate("one => one.textContent") == response
        page.keyboard.press("s")
        expect(page.locator("#detail")).to_contain_text("student, style; small-student")
        page.get_by_role("link", name="All side by side").click()
        expect(page.locator(".sheet:visible").nth(1)).to_be_visible()
        page.get_by_role("link", name="Side by side", exact=True).click()
        expect(page.get_by_role("heading", name="Whose words")).to_be_visible()
        assert watched.requests == [file]


def test_every_trace_that_a_difference_links_is_in_the_file(page: Page, file: str) -> None:
    page.goto(file)
    missing = page.locator(".whence a").evaluate_all(
        "all => all.filter(one => !document.getElementById(one.hash.slice(1))?.classList.contains('sheet')).length"
    )
    assert missing == 0 and page.locator(".whence a").count() > 200


# -- text that wants to be more


def hostile(directory: Path) -> Path:
    """Hostile texts as problems, responses, and names of variants."""
    texts = list(TEXTS.values())
    traces = [
        trace(
            text, span("student", "style", text), span("teacher", "capability", " ".join(WORDS[:count])), variant=name
        )
        for name, count in ((texts[0], 3), (texts[4], 9), (TEXTS["override to the right"], 12), (TEXTS["NUL"], 5))
        for text in texts
    ]
    return write(directory, [problem(text, text) for text in texts], traces)


def unharmed(watched: Watched) -> None:
    page = watched.page
    assert not page.evaluate(RAN)
    for button in page.locator(".difference").all()[:3]:
        button.click()
        page.locator(".whence:popover-open a").first.hover()
        assert not page.evaluate(RAN)
        page.keyboard.press("Escape")


def test_hostile_texts_in_the_page(browser: Browser, tmp_path: Path) -> None:
    run = hostile(tmp_path / "run")
    with serving(tmp_path / "cache", run) as address, opened(browser) as watched:
        until_compared(watched.page, f"{address}compare")
        unharmed(watched)
        watched.page.locator(".difference").last.click()
        links = watched.page.locator(".whence:popover-open a")
        hrefs = links.evaluate_all("all => all.map(one => one.href)")
        assert len(hrefs) > 5
        for href in hrefs:
            watched.page.goto(href)
            question = watched.page.locator(".question .text").evaluate("one => JSON.stringify(one.textContent)")
            assert any(same(watched.page, ".question .text", [text]) for text in TEXTS.values()), question
            assert not watched.page.evaluate(RAN)


def test_hostile_texts_in_the_file(browser: Browser, tmp_path: Path) -> None:
    made = compared(sides(hostile(tmp_path / "run")))
    counts = write_comparison(made, tmp_path / "page.html")
    with opened(browser, offline=True) as watched:
        watched.page.goto((tmp_path / "page.html").as_uri())
        unharmed(watched)
        shown = watched.page.locator(".problem .question .text")
        assert shown.count() == counts.problems > 40
        texts = set(shown.evaluate_all("all => all.map(one => one.textContent.isWellFormed() ? one.textContent : '')"))
        assert texts - {""} <= {*TEXTS.values()}


def test_many_sides_fit(browser: Browser, tmp_path: Path) -> None:
    """Runs in one comparison, more than there are colours."""
    places = [usual(tmp_path / f"run{number}", problems=6) for number in range(4)]
    with serving(tmp_path / "cache", *places) as address, opened(browser, viewport={"width": 1280, "height": 800}) as w:
        until_compared(w.page, f"{address}compare?" + "&".join(f"side={n}:{v}" for n in range(4) for v in range(2)))
        assert w.page.locator(".legend-of-sides li").count() >= 8
        assert w.page.evaluate("document.documentElement.scrollWidth") <= 1280
        press(w.page, "?")
        expect(w.page.get_by_role("dialog", name=re.compile("Keys"))).to_be_visible()
