"""What notebooks show, in a browser: put into a page of others as a notebook does it, which must not notice."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, Page

import antiphon
from antiphon.trace import Key
from tests.e2e.conftest import Watched, barriers, opened
from tests.e2e.material import usual
from tests.e2e.test_view import RAN, utf_16
from tests.view.hostile import LONG_LINE, TEXTS
from tests.view.runs import span, trace

pytestmark = pytest.mark.e2e

NOTEBOOK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A notebook</title><style>
body { margin: 20px; background: #fff; color: #111; font: 14px/1.4 monospace } h1 { font-size: 30px; margin: 9px }
body[data-jp-theme-light="false"] { background: #111; color: #eee }
table { color: navy } tbody tr:nth-child(odd) { background: #eee } td { text-align: center } a { color: lime }
main { padding: 3px } button { border: 5px solid red } p { margin: 0 0 1em }
</style></head><body><main><h1>Mine</h1><p class="text student">my text</p><button>mine</button>
<a href="#x">mine</a><table class="facts"><tr><td>mine</td></tr></table></main></body></html>"""
OWN = """() => [...document.querySelectorAll("html, body, main, main > *, main > table td")].map((one) => {
  const style = getComputedStyle(one);
  return [...style].filter((name) => !/^(height|block-size|.*origin)$/.test(name)).map((name) => style[name]).join();
})"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A trace and a comparison as outputs."""
    run = usual(tmp_path_factory.mktemp("notebook") / "run")
    places = [f"{run}:teacher_only", f"{run}:tessy"]
    with ThreadPoolExecutor(1) as own:  # in this thread a browser's driver may have a loop
        made = own.submit(lambda: asyncio.run(antiphon.compare(places, boundary="general"))).result()
    with antiphon.read(run) as reader:
        return {"trace": reader.trace(Key("p1", "tessy", 0))._repr_html_(), "comparison": made._repr_html_()}


@pytest.fixture
def notebook(browser: Browser) -> Iterator[Watched]:
    with opened(browser, viewport={"width": 1280, "height": 900}, offline=True) as watched:
        watched.page.set_content(NOTEBOOK)
        yield watched
        assert watched.requests == []


def put(page: Page, html: str) -> None:
    page.evaluate(
        "html => { const one = document.createElement('div'); one.innerHTML = html; document.body.append(one) }", html
    )


def test_the_notebook_does_not_notice(notebook: Watched, shown: dict[str, str]) -> None:
    before = notebook.page.evaluate(OWN)
    for html in shown.values():
        put(notebook.page, html)
    assert notebook.page.evaluate(OWN) == before


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("by", ["system", "notebook"])
@pytest.mark.parametrize("name", ["trace", "comparison"])
def test_in_both_themes_nothing_serious_keeps_anybody_out(
    notebook: Watched, shown: dict[str, str], name: str, by: str, theme: str
) -> None:
    page = notebook.page
    other = {"light": "dark", "dark": "light"}[theme]
    page.emulate_media(color_scheme=theme if by == "system" else other)  # type: ignore[arg-type]
    if by == "notebook":
        page.evaluate(f"document.body.dataset.jpThemeLight = {json.dumps(str(theme == 'light').lower())}")
    put(page, shown[name])
    background = page.locator(".antiphon-output").evaluate("one => getComputedStyle(one).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 300) == (theme == "dark")
    assert barriers(page, ".antiphon-output") == []


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_is_wider_than_the_notebook(notebook: Watched, shown: dict[str, str], width: int) -> None:
    notebook.page.set_viewport_size({"width": width, "height": 700})
    for html in shown.values():
        put(notebook.page, html)
    assert notebook.page.evaluate("document.documentElement.scrollWidth") <= width


def test_looks_need_no_colour_and_no_script(browser: Browser, shown: dict[str, str]) -> None:
    with opened(browser, java_script_enabled=False, offline=True) as watched:
        watched.page.set_content(NOTEBOOK.replace("</main>", shown["trace"] + "</main>"))
        looks = watched.page.locator(".legend .p").evaluate_all(
            "all => all.map(one => { const s = getComputedStyle(one);"
            " return [s.textDecorationLine, s.textDecorationStyle, s.fontStyle, s.fontWeight, s.outlineStyle,"
            " s.fontFamily].join() })"
        )
        assert len(set(looks)) == len(looks) > 4
        assert watched.page.locator(".response").is_visible()


def test_hostile_texts_do_nothing_and_lose_nothing_that_html_can_carry(notebook: Watched) -> None:
    page = notebook.page
    texts = [*TEXTS.values(), LONG_LINE]
    for text in texts:
        name = text[:200]
        put(page, trace(name, span("student", "style", text), variant=name, cause=name)._repr_html_())
    assert not page.evaluate(RAN)
    found = page.locator(".response").evaluate_all("all => all.map(one => JSON.stringify(one.textContent))")
    assert [json.loads(text) for text in found] == [re.sub("[\0\ud800-\udfff]", "", utf_16(text)) for text in texts]
