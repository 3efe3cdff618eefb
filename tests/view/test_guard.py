"""Who may read, and what every answer forbids."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp

from antiphon.view.app import app
from antiphon.view.guard import HEADERS
from antiphon.view.index import Index
from antiphon.view.runs import Run
from tests.view.runs import PORT, TOKEN, ask, problem, span, trace, write

SECRET = "nobody else may read this"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ASGIApp:
    folder = tmp_path_factory.mktemp("guard")
    directory = write(folder / "run", [problem("p", SECRET)], [trace("p", span("student", "style", SECRET))])
    run = Run(0, directory, folder / "index")
    with Index(folder / "index") as index:
        index.update(run.reader)
    return app([run], token=TOKEN, port=PORT)


PAGES = ["/", "/run/0", "/run/0/charts", "/run/0/figures.json", "/show?problem=p", "/static/page.css"]


@pytest.mark.parametrize("page", PAGES)
def test_whoever_has_the_address_may_read(site: ASGIApp, page: str) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST"):
        answer = ask(site, f"/{TOKEN}{page}", host=f"{host}:{PORT}", sec_fetch_site="same-origin")
        assert answer.status in (200, 307)
        assert all(answer.headers[name.lower()] == value for name, value in HEADERS.items())


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("", {}, 404),
        ("wrong", {}, 404),
        (TOKEN[:-1], {}, 404),
        (f"{TOKEN}x", {}, 404),
        ("töken", {}, 404),
        (TOKEN, {"host": "evil.example"}, 421),
        (TOKEN, {"host": f"evil.example:{PORT}"}, 421),
        (TOKEN, {"host": f"127.0.0.1.evil.example:{PORT}"}, 421),
        (TOKEN, {"host": "127.0.0.1"}, 421),
        (TOKEN, {"host": f"127.0.0.1:{PORT + 1}"}, 421),
        (TOKEN, {"host": ""}, 421),
        (TOKEN, {"origin": "https://evil.example"}, 403),
        (TOKEN, {"origin": "null"}, 403),
        (TOKEN, {"origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
        (TOKEN, {"origin": f"http://localhost:{PORT}"}, 403),
        (TOKEN, {"sec_fetch_site": "cross-site"}, 403),
        (TOKEN, {"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_nobody_else_may(site: ASGIApp, page: str, token: str, headers: dict[str, str], status: int) -> None:
    answer = ask(site, f"/{token}{page}", **headers)
    assert answer.status == status
    assert SECRET not in answer.text and TOKEN not in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert all(answer.headers[name.lower()] == value for name, value in HEADERS.items())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(site: ASGIApp, method: str) -> None:
    assert ask(site, f"/{TOKEN}/run/0", method=method).status == 405


@pytest.mark.parametrize(
    "name",
    [
        "../guard.py",
        "../../../../etc/passwd",
        "/etc/passwd",
        "..%2fguard.py",
        "uplot/../../guard.py",
        "page.css/",
        "PAGE.CSS",
        "",
        ".",
        "\0",
        "uplot/LICENSE",
    ],
)
def test_only_the_files_of_pages_are_given(site: ASGIApp, name: str) -> None:
    answer = ask(site, f"/{TOKEN}/static/{name}")
    assert answer.status == 404
    assert b"class Guard" not in answer.body and b"root:" not in answer.body


def test_frames_and_foreign_code_are_forbidden() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and HEADERS["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
