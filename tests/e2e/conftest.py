"""A real browser, and the real command serving real run directories to it.

The browser is the machine's own chromium, found on PATH or named by CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

Serve = Callable[..., str]


@pytest.fixture(scope="module")  # no longer: its driver keeps an event loop in this thread
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        # As root, and in most containers, Chromium has no sandbox of its own.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def serving(cache: Path, *arguments: object) -> Iterator[str]:
    """The command, and the address that it tells."""
    command = [sys.executable, "-m", "antiphon", "view", *map(str, arguments)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Watched:
    """A page of which all complaints and all requests are kept."""

    def __init__(self, page: Page):
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@contextmanager
def opened(browser: Browser, **options: object) -> Iterator[Watched]:
    """A page that must have nothing to complain of when it is closed."""
    with browser.new_context(**options) as context:  # type: ignore[arg-type]
        watched = Watched(context.new_page())
        yield watched
        assert watched.complaints == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser, viewport={"width": 1280, "height": 800}) as watched:
        yield watched.page


def barriers(page: Page, within: str | None = None) -> list[tuple[str, list[str]]]:
    """What axe finds on a page, or in a part of it, that keeps people out: each rule that is broken seriously, and
    where first."""
    found = Axe().run(page, context=within).response["violations"]
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
