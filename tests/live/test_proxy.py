"""The command through a real nginx to the simulated pair: the right result, or one line that says what to change.

Debian's `nginx-light` is enough. Each way has its own path before the API's, so all runs show that it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bench.simulated import Command, faults, traces
from bench.simulator import SIMULATOR, Form, Pair, problems, statement

from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Status
from tests.live.nginx import KEY, PASSWORD, USER, Nginx, missing, nginx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs ../shared, which is not here"),
    pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}, which is not installed"),
]

ROLES = ("teacher", "student")


class End(NamedTuple):
    """How the command ended."""

    code: int
    said: str
    error: str
    directory: Path


class Through:
    """Runs the command through the proxy."""

    def __init__(self, proxy: Nginx, pair: Pair, some: list[Problem], folder: Path):
        self.proxy, self.pair, self.some, self._folder = proxy, pair, some, folder

    def __call__(
        self, way: str, form: Form = "ids", *, tls: bool = False, user: str = "", url: str = "", **server: Any
    ) -> End:
        """One run by a way; `server` are settings of the connection to both roles, `url` stands for both addresses."""
        settings = {f"{role}.model": url or self.proxy.url(way, role, tls=tls, user=user) for role in ROLES}
        settings |= {f"{role}.server.{name}": value for role in ROLES for name, value in server.items()}
        command = Command(self._folder, self.pair, self.some, form, **settings)
        ended = command.run()
        return End(ended.returncode, ended.stdout, ended.stderr, command.directory)

    def right(self, end: End) -> None:
        """The run is as the script has it, and nothing was said about it."""
        assert end.error == ""
        assert end.code == 0
        assert faults(traces(end.directory), self.some) == []


def refused(end: End, code: int = 2) -> str:
    """The one line that the command ended with, nothing being spent."""
    assert end.code == code
    assert end.said == ""
    assert end.error.startswith("error: ")
    assert end.error.count("\n") == 1
    assert not end.directory.exists()
    print(end.error)
    return end.error


@pytest.fixture(scope="module")
def proxy(folder: Path, pair: Pair) -> Iterator[Nginx]:
    with nginx(folder / "nginx", pair) as running:
        yield running


@pytest.fixture
def through(proxy: Nginx, pair: Pair, folder: Path, tmp_path: Path) -> Through:
    pair.reset()
    proxy.forget()
    return Through(proxy, pair, problems(folder, 6, spans=3, answer=60), tmp_path / "command")


@pytest.mark.parametrize("form", ["ids", "text"])
@pytest.mark.parametrize("way", ["plain", "buffered"])
def test_a_run_is_right_whether_streams_arrive_at_once_or_late(through: Through, way: str, form: Form) -> None:
    through.right(through(way, form))
    lines = through.proxy.log(way)
    assert all(line.path.startswith((f"/{way}/teacher/", f"/{way}/student/")) for line in lines)
    assert len({line.connection for line in lines}) < len(lines)  # some were used again


def test_a_run_is_right_where_each_request_needs_a_connection_of_its_own(through: Through) -> None:
    through.right(through("closing"))
    lines = through.proxy.log("closing")
    assert len({line.connection for line in lines}) == len(lines)


# -- a proxy that gives up after 2 s


def statuses(through: Through) -> list[int]:
    return [line.status for line in through.proxy.log("impatient")]


def test_what_it_gave_up_is_asked_again(through: Through) -> None:
    through.pair.fault("hang", match="Problem", count=2)
    through.right(through("impatient", retries=2))
    assert statuses(through).count(504) == 4


def test_a_stream_that_it_cut_is_taken_up(through: Through) -> None:
    through.pair.fault("mid-hang", match="Problem", count=4)
    through.right(through("impatient", retries=2))
    assert [server.stats()["fault_mid-hang"] for server in through.pair.servers] == [4, 4]


def test_a_problem_that_takes_it_too_long_fails_alone(through: Through) -> None:
    slow = through.some[2]
    through.pair.fault("hang", match=statement(slow)[:13])
    end = through("impatient", retries=1)
    assert (end.code, end.error) == (1, "")
    written = {trace.key.problem: trace for trace in traces(end.directory)}
    failed = written.pop(slow.id)
    assert failed.status is Status.FAILED
    assert "HTTP 504" in failed.cause
    assert "nginx: proxy_read_timeout" in failed.cause
    assert faults(list(written.values()), [each for each in through.some if each is not slow]) == []


def test_if_it_waits_for_nothing_the_run_does_not_begin(through: Through) -> None:
    through.pair.fault("hang")
    error = refused(through("impatient"), 3)
    assert "/impatient/student: HTTP 504: a web page (504 Gateway Time-out)" in error
    assert "a proxy gave up waiting for the server; let it wait longer (nginx: proxy_read_timeout)" in error


# -- a proxy that takes no long requests, or has nobody behind it


def test_a_request_too_long_for_it_fails_its_trace(through: Through) -> None:
    end = through("narrow")
    assert (end.code, end.error) == (1, "")
    written = traces(end.directory)
    assert {trace.status for trace in written} == {Status.FAILED}
    assert all("takes no request of this length (nginx: client_max_body_size)" in trace.cause for trace in written)


def test_nobody_behind_it_is_told_from_nobody_there(through: Through) -> None:
    assert "502 Bad Gateway); a proxy reaches no server behind it" in refused(through("astray"), 3)


# -- TLS


def test_a_certificate_that_nobody_signed_is_refused(through: Through) -> None:
    error = refused(through("plain", tls=True))
    assert "its certificate is not trusted (self-signed certificate)" in error
    assert "server.verify = PATH" in error
    assert through.proxy.log("plain") == []


@pytest.mark.parametrize("verify", ["the certificate", "false"])
def test_and_taken_if_the_settings_say_so(through: Through, verify: str) -> None:
    through.right(through("plain", tls=True, verify=verify.replace("the certificate", str(through.proxy.certificate))))


def test_the_wrong_scheme_is_named(through: Through) -> None:
    proxy = through.proxy
    error = refused(through("plain", url=f"https://127.0.0.1:{proxy.plain}/plain/student"))
    assert "is it an http:// address?" in error
    error = refused(through("plain", url=f"http://127.0.0.1:{proxy.tls}/plain/student"))
    assert "The plain HTTP request was sent to HTTPS port" in error


def test_a_redirection_is_named(through: Through) -> None:
    error = refused(through("moved"))
    assert f"it sends on to https://127.0.0.1:{through.proxy.tls}/moved/student/v1/models; give that address" in error


# -- who may use it


def test_a_name_and_password_in_the_url_are_sent_and_never_shown(through: Through) -> None:
    end = through("basic", user=f"{USER}:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@")
    through.right(end)
    with Reader(end.directory) as reader:
        told = [
            end.said,
            *map(str, reader.variants()),
            *(turn.server for turn in reader.turns(next(reader.traces()).key)),
        ]
    stored = [path.read_bytes() for path in end.directory.rglob("*") if path.is_file()]
    assert "127.0.0.1" in told[-1]
    assert not any(secret in text for text in told for secret in ("sesame", f"{USER}:"))
    assert not any(b"sesame" in data for data in stored)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "it wants a name and password: give them in the URL"),
        (f"{USER}:secret@", "it refuses the name and password in its URL"),
    ],
)
def test_without_them_or_with_others_one_line_says_so(through: Through, user: str, expected: str) -> None:
    error = refused(through("basic", user=user))
    assert expected in error
    assert "secret" not in error


def test_a_key_is_sent(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_BOTH", KEY)
    through.right(through("keyed", key="KEY_OF_BOTH"))


def test_without_it_or_with_another_one_line_says_so(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_BOTH", "secret")
    assert "set server.key to the name of the environment variable that holds one" in refused(through("keyed"))
    error = refused(through("keyed", key="KEY_OF_BOTH"))
    assert "the variable KEY_OF_BOTH holds the key that it refuses" in error
    assert "secret" not in error


def test_a_key_and_a_password_cannot_both_be_sent(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_BOTH", KEY)
    error = refused(through("basic", user=f"{USER}:secret@", key="KEY_OF_BOTH"))
    assert "leave one out" in error
    assert "secret" not in error
