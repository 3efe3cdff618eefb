"""The viewer as a person has it: every feature done in a browser, and what must not happen in one."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from antiphon.store import Reader, Store
from antiphon.trace import Key
from antiphon.view.file import write_file
from tests.e2e.conftest import barriers, opened, serving
from tests.e2e.material import hostile, long, usual
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import problem, span, trace, write

pytestmark = pytest.mark.e2e

THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return usual(tmp_path_factory.mktemp("run") / "usual")


@pytest.fixture(scope="module")
def address(run: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("cache"), run) as found:
        with browser.new_context() as context:
            until_indexed(context.new_page(), found)
        yield found


@pytest.fixture(scope="module")
def file(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    to = tmp_path_factory.mktemp("file") / "page.html"
    write_file(run, to)
    return to.as_uri()


def until_indexed(page: Page, address: str) -> None:
    page.goto(address)
    while page.get_by_text("The run is being read").count():
        page.wait_for_timeout(100)
        page.reload()


def show(page: Page, address: str, *keys: str, problem: str = "p1", hash: str = "") -> None:
    query = urlencode([("problem", problem), *(("trace", f"0:{key}") for key in keys)])
    page.goto(f"{address}show?{query}{hash}")


def listed(page: Page) -> str:
    return page.locator(".found").inner_text()


# -- lists


def test_filters_sorting_and_pages(page: Page, address: str) -> None:
    page.goto(address)
    assert listed(page) == "60 problems, 180 traces"
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    page.get_by_text("Filters and order").click()
    page.get_by_role("checkbox", name="too long").check()
    page.get_by_role("button", name="Show").click()
    assert listed(page) == "6 problems, 18 traces"
    page.get_by_label("tessy").check()
    page.get_by_role("combobox", name="Problems").select_option("longest")
    page.get_by_role("button", name="Show").click()
    assert listed(page) == "6 problems, 12 traces"
    longest = [max(numbers(one)) for one in page.locator(".entry").all()]
    assert longest == sorted(longest, reverse=True)
    page.get_by_role("link", name="Show all").click()
    assert listed(page) == "60 problems, 180 traces"


def numbers(entry: object) -> list[int]:
    texts = entry.locator(".length:visible").all_inner_texts()  # type: ignore[attr-defined]
    return [int(re.sub(r"\D", "", text)) for text in texts]


def test_shares_lengths_and_words(page: Page, address: str) -> None:
    page.goto(f"{address}run/0?share_from=100")
    assert listed(page) == "60 problems, 60 traces"
    page.goto(f"{address}run/0?search=%2242+times+7%22&tokens_from=10&verdict=right&verdict=wrong")
    assert listed(page) == "1 problem, 3 traces"


# -- one trace


def test_hover_and_focus_tell_of_a_span(page: Page, address: str) -> None:
    show(page, address, "tessy:0")
    page.locator(".response > .p.teacher").first.hover()
    detail = page.locator("#detail")
    expect(detail).to_contain_text("teacher, capability; big-teacher")
    expect(detail).to_contain_text("confidence of the cut 0.875")
    expect(detail).to_contain_text("Ended: the next word was the other author's to write")
    expect(detail).to_contain_text("ids, sampled: 100 101")
    page.keyboard.press("j")
    expect(detail).to_contain_text("Span 1 of")
    page.keyboard.press("s")
    expect(detail).to_contain_text("student, style; small-student")
    page.keyboard.press("t")
    expect(detail).to_contain_text("big-teacher")
    page.keyboard.press("k")
    expect(detail).to_contain_text("small-student")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_a_span_has_an_address(page: Page, address: str) -> None:
    show(page, address, "tessy:0")
    page.locator(".response > .p").nth(3).click()
    expect(page).to_have_url(re.compile(r"#s1\.4$"))
    page.reload()
    expect(page.locator(".response > .p").nth(3)).to_be_focused()
    expect(page.locator("#detail")).to_contain_text("Span 4 of")


def test_marks_make_colours_needless(page: Page, address: str) -> None:
    show(page, address, "tessy:0")
    style = "span => getComputedStyle(span, '::before').content"
    student = page.locator(".response > .p.student").first
    assert student.evaluate(style) == "none"
    page.keyboard.press("m")
    assert student.evaluate(style) == '"["'
    assert page.locator(".response > .p.teacher").first.evaluate(style) == '"{"'
    expect(page.get_by_role("button", name="Marks")).to_have_attribute("aria-pressed", "true")
    looks = page.locator(".legend .p").evaluate_all(
        "all => all.map(one => { const s = getComputedStyle(one);"
        " return [s.textDecorationLine, s.textDecorationStyle, s.fontStyle, s.fontWeight, s.outlineStyle,"
        " s.fontFamily].join() })"
    )
    assert len(set(looks)) == len(looks) > 4, "each look differs in more than colour"


def test_what_was_rolled_back(page: Page, address: str) -> None:
    show(page, address, "tessy:0")
    mark = page.locator(".response .back").first
    content = "mark => getComputedStyle(mark, '::before').content"
    assert mark.evaluate(content) == "none"
    page.keyboard.press("r")
    assert "rolled back" in mark.evaluate(content)
    mark.hover()
    expect(page.locator("#detail")).to_contain_text("3 tokens of the student were rolled back here")
    expect(page.locator("#detail .text")).to_have_text(" rolled back")
    page.get_by_text(re.compile("^Rolled back: .* tokens$")).click()
    expect(page.locator("td.rejected").first).to_have_text(" rolled back")


def test_the_text_is_the_record(page: Page, address: str, run: Path) -> None:
    show(page, address, "tessy:0")
    with Reader(run) as reader:
        response = reader.trace(Key("p1", "tessy", 0)).response
    for keys in ("", "m", "r"):
        page.keyboard.press(keys) if keys else None
        assert page.locator(".response").evaluate("one => one.textContent") == response


# -- side by side


def test_side_by_side_scrolls_together(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    show(page, address)
    responses = page.locator(".several .response")
    assert responses.count() == 3
    verdicts = page.locator(".sheet .verdict").all_inner_texts()
    assert len(verdicts) == 3 and set(verdicts) <= {"right", "wrong"}
    tall = max(range(3), key=lambda n: responses.nth(n).evaluate("one => one.scrollHeight"))
    responses.nth(tall).hover()
    page.mouse.wheel(0, 10_000)
    for n in range(3):
        expect(responses.nth(n)).to_have_js_property("scrollTop", at_end(responses.nth(n)))


def at_end(response: object) -> int:
    return int(response.evaluate("one => one.scrollHeight - one.clientHeight"))  # type: ignore[attr-defined]


def press(page: Page, key: str) -> None:
    """Once what hears keys is there: it is loaded after the page's text."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def test_traces_are_chosen_and_walked(page: Page, address: str) -> None:
    show(page, address)
    page.get_by_text("Side by side: 3 of 3 traces").click()
    page.get_by_role("checkbox", name="tessy/1").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator(".sheet")).to_have_count(2)
    press(page, "c")
    expect(page).to_have_url(re.compile(r"#s1\.1$"))
    press(page, "c")
    expect(page).to_have_url(re.compile(r"#s2\.1$"))
    press(page, "n")
    expect(page.get_by_role("heading", level=1)).to_have_text("p2")
    press(page, "p")
    expect(page.get_by_role("heading", level=1)).to_have_text("p1")
    press(page, "l")
    expect(page.get_by_role("heading", level=1)).to_have_text("usual")
    press(page, "/")
    expect(page.get_by_label("Words")).to_be_focused()
    page.get_by_label("Words").blur()
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()


# -- charts


def test_charts_are_drawn(page: Page, address: str) -> None:
    page.goto(f"{address}run/0/charts")
    expect(page.locator(".plot canvas")).to_have_count(4)
    painted = page.locator(".plot canvas").evaluate_all(
        "all => all.map(one => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size)"
    )
    assert min(painted) > 5
    page.get_by_text("The same as a table").first.click()
    expect(page.get_by_role("region", name="Lengths, as a table")).to_be_visible()
    expect(page.get_by_role("region", name="Table of variants")).to_contain_text("tessy")


def test_charts_follow_a_run(page: Page, tmp_path: Path) -> None:
    run = write(
        tmp_path / "run",
        [problem("a"), problem("b")],
        [trace("a", span("student", "style", "x")), trace("b", status=None)],
    )
    with serving(tmp_path / "cache", run) as address:
        until_indexed(page, address)
        page.goto(f"{address}run/0/charts")
        expect(page.locator("#live")).to_have_text("2 traces, 1 not finished.")
        write(run, [], [trace("b", span("student", "style", "y"))])
        expect(page.locator("#live")).to_have_text("2 traces, 0 not finished.", timeout=20_000)


# -- themes, sizes, access, print


def every_page(address: str) -> list[str]:
    return [
        f"{address}run/0",
        f"{address}run/0?sort=longest&search=tens",
        f"{address}run/0?search=nowhere",
        f"{address}run/0/charts",
        f"{address}show?problem=p1",
        f"{address}show?problem=p1&trace=0:tessy:0#s1.4",
        f"{address}show?problem=p7&trace=0:tessy:1",
    ]


def open_all(page: Page) -> None:
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_serious_keeps_anybody_out(browser: Browser, address: str, file: str, theme: str) -> None:
    found = []
    with opened(browser, color_scheme=theme, viewport={"width": 1280, "height": 800}) as watched:
        for url in [*every_page(address), file, f"{file}#charts", f"{file}#p2", f"{file}#t2.3"]:
            watched.page.goto("about:blank")
            watched.page.goto(url)
            open_all(watched.page)
            for keys in ("", "mr") if "trace=" in url else ("",):
                for key in keys:
                    watched.page.keyboard.press(key)
                found += [(url.split("/")[-1], *barrier) for barrier in barriers(watched.page)]
    assert found == []


@pytest.mark.parametrize("width", [375, 640, 1280, 1920])
def test_nothing_is_wider_than_the_window(browser: Browser, address: str, file: str, width: int) -> None:
    """640 px is a window of 1280 at 200 %."""
    with opened(browser, viewport={"width": width, "height": 700}) as watched:
        for url in [*every_page(address), file, f"{file}#charts", f"{file}#p2", f"{file}#t2.3"]:
            watched.page.goto(url)
            open_all(watched.page)
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width, url


def test_the_theme_is_chosen_and_kept(page: Page, address: str) -> None:
    page.goto(address)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    dark = page.evaluate(paper)
    assert dark != light
    show(page, address)
    assert page.evaluate(paper) == dark


def test_prints_all_of_a_trace(page: Page, address: str) -> None:
    show(page, address)
    page.emulate_media(media="print")
    for one in page.locator(".several .response").all():
        assert one.evaluate(
            "one => one.scrollHeight <= one.clientHeight + 1 && getComputedStyle(one).overflowY == 'visible'"
        )
    assert not page.locator("header.top").is_visible()
    assert page.pdf()[:4] == b"%PDF"


# -- the file


def test_the_file_works_from_a_disk_without_a_network(browser: Browser, file: str, run: Path) -> None:
    with opened(browser, viewport={"width": 1280, "height": 800}, offline=True) as watched:
        page = watched.page
        page.goto(file)
        assert watched.requests == [file]
        assert listed(page) == "60 problems, 180 traces"
        page.get_by_text("Filters and order").click()
        page.get_by_role("checkbox", name="too long").check()
        assert listed(page) == "6 problems, 18 traces"
        page.get_by_role("checkbox", name="teacher_only").check()
        assert listed(page) == "6 problems, 6 traces"
        page.get_by_role("combobox", name="Problems").select_option("longest")
        longest = [max(numbers(one)) for one in page.locator(".entry:visible").all() if numbers(one)]
        assert longest == sorted(longest, reverse=True)
        page.get_by_role("checkbox", name="too long").uncheck()
        page.get_by_role("checkbox", name="teacher_only").uncheck()
        page.get_by_label("Words").fill('"42 times 7"')
        page.keyboard.press("Enter")
        assert listed(page) == "1 problem, 3 traces"
        page.locator(".entry:visible h3 a").click()
        expect(page.locator(".sheet:visible")).to_have_count(3)
        page.locator(".sheet:visible h2 a").last.click()
        expect(page.locator(".sheet:visible")).to_have_count(1)
        with Reader(run) as reader:
            response = reader.trace(Key("p42", "tessy", 1)).response
        assert page.locator(".response:visible").evaluate("one => one.textContent") == response
        page.keyboard.press("s")
        expect(page.locator("#detail")).to_contain_text("small-student")
        there = page.url
        page.goto("about:blank")
        page.goto(there)
        expect(page.locator("#detail")).to_contain_text("small-student")
        page.keyboard.press("n")
        expect(page.locator("h1:visible")).to_have_text("p43")
        page.get_by_role("link", name="Charts").click()
        expect(page.locator(".plot canvas:visible")).to_have_count(4)
        assert page.locator(".plot canvas").first.evaluate("one => one.width") > 300
        page.keyboard.press("l")
        expect(page.locator("#list")).to_be_visible()
        assert watched.requests == [file, there.split("#")[0]]


# -- text that wants to be more

RAN = "window.ran !== undefined || document.querySelector('main img, main iframe, main form form') !== null"


def test_hostile_texts_do_nothing_and_lose_nothing(browser: Browser, tmp_path: Path) -> None:
    run = hostile(tmp_path / "run")
    texts = [*TEXTS.values(), LONG_LINE]
    with serving(tmp_path / "cache", run) as address, opened(browser) as watched:
        page = watched.page
        until_indexed(page, address)
        for path in ("run/0", "run/0?page=2", "run/0/charts"):
            page.goto(f"{address}{path}")
            assert not page.evaluate(RAN)
        for text in texts:
            name = text[:200]
            query = urlencode({"problem": name, "trace": f"0:{name}:0"}, quote_via=quote, errors="surrogatepass")
            page.goto(f"{address}show?{query}")
            page.locator(".response > .p").first.hover(position={"x": 1, "y": 1}, force=True)
            page.keyboard.press("m")
            page.keyboard.press("r")
            assert not page.evaluate(RAN)
            assert same(page, ".response", [text])
            assert same(page, ".question .text", [text])
            assert same(page, "td.rejected", [text])
            assert same(page, ".cause", [name])
        own = f"http://{urlsplit(address).netloc}/"
        assert all(url.startswith((own, "data:,")) for url in watched.requests)


def test_hostile_texts_in_the_file(browser: Browser, tmp_path: Path) -> None:
    write_file(hostile(tmp_path / "run"), tmp_path / "page.html")
    with opened(browser, offline=True) as watched:
        watched.page.goto((tmp_path / "page.html").as_uri())
        assert not watched.page.evaluate(RAN)
        assert same(watched.page, ".response", [*TEXTS.values(), LONG_LINE])
        assert same(watched.page, "td.rejected", [*TEXTS.values(), LONG_LINE])


def same(page: Page, selector: str, texts: list[str]) -> bool:
    """Whether the elements have these texts, code unit for code unit: lone surrogates do not travel as text."""
    found = page.locator(selector).evaluate_all("all => all.map(one => JSON.stringify(one.textContent))")
    return [json.loads(text) for text in found] == [utf_16(text) for text in texts]


def utf_16(text: str) -> str:
    """A text as scripts see it: a high and a low surrogate that happen to meet are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


# -- others


def test_other_origins_get_nothing(browser: Browser, address: str, tmp_path: Path) -> None:
    """A page of another origin that even knows the address: it can neither read, nor frame, nor run anything of it."""
    other = tmp_path / "other.html"
    other.write_text(f'<iframe src="{address}run/0"></iframe><script src="{address}static/page.js"></script>')
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(other.as_uri())
        assert page.evaluate(f"fetch('{address}run/0').then(() => 'read', () => 'refused')") == "refused"
        page.wait_for_load_state("networkidle")
        assert all("usual" not in frame.content() for frame in page.frames[1:])
        assert page.locator("#theme").count() == 0


def test_another_name_for_this_machine_is_refused(address: str) -> None:
    parts = urlsplit(address)
    assert parts.port is not None and parts.hostname == "127.0.0.1"
    for host, status in ((f"rebound.example:{parts.port}", 421), (f"127.0.0.1:{parts.port}", 200)):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", parts.port)) as connection:
            connection.request("GET", f"{parts.path}run/0", headers={"Host": host})
            assert connection.getresponse().status == status


def test_a_run_that_is_being_written_can_be_looked_at(page: Page, tmp_path: Path) -> None:
    run = write(
        tmp_path / "run", [problem("a")], [trace("a", span("student", "style", "so far", end=None), status=None)]
    )
    with Store.open(run), serving(tmp_path / "cache", run) as address:
        until_indexed(page, address)
        show(page, address, "tessy:0", problem="a")
        expect(page.get_by_text("still being written").first).to_be_visible()
        page.locator(".response > .p").hover()
        expect(page.locator("#detail")).to_contain_text("Ended: still being written")


# -- speed


def test_a_trace_of_40000_tokens_opens_and_scrolls(browser: Browser, tmp_path: Path) -> None:
    """Limits are wide: what it takes where nothing else runs is in docs/view.md."""
    with serving(tmp_path / "cache", long(tmp_path / "run")) as address, opened(browser) as watched:
        page = watched.page
        until_indexed(page, address)
        show(page, address, "tessy:0", problem="long")
        opened_in = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        assert opened_in < 6000
        frames = page.evaluate(
            """async () => {
                const times = [];
                for (let at = 0; at < 60; at++) {
                    scrollBy({ top: 400, behavior: "instant" });
                    times.push(await new Promise(requestAnimationFrame));
                }
                return times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b);
            }"""
        )
        print(f"opened in {opened_in:.0f} ms; frames of {frames[29]:.0f} ms, longest {frames[-1]:.0f} ms")
        assert frames[29] < 100
