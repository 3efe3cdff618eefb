from __future__ import annotations

from base64 import b64decode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.http.address import proxy_for, trusted, without_user
from antiphon.engine.http.client import Client
from antiphon.engine.models import shown
from antiphon.errors import SettingsError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(name=WORDS.filter(lambda name: ":" not in name), password=WORDS)
def test_a_name_and_password_go_into_a_header_and_nowhere_else(name: str, password: str) -> None:
    url = f"https://{quote(name, safe='')}:{quote(password, safe='')}@host:8000/teacher"
    plain, header = without_user(url)
    assert plain == shown(url) == "https://host:8000/teacher"
    assert header is not None
    assert b64decode(header.removeprefix("Basic ")).decode() == f"{name}:{password}"


@pytest.mark.parametrize("url", ["http://host:8000/a", "http://[::1]:8000", "http://[::1", "https://host/a@b"])
def test_other_addresses_stay_as_they_are(url: str) -> None:
    assert without_user(url) == (url, None)


def test_a_password_that_is_not_spelled_as_urls_want_it_is_not_shown_either() -> None:
    assert shown("http://me:a@b/c@one/v1,http://me:secret@two") == "http://one/v1,http://two"


def test_a_key_and_a_password_do_not_go_together() -> None:
    with pytest.raises(SettingsError, match=r"^http://host: .* leave one out$") as caught:
        Client("http://me:secret@host", headers={"authorization": "Bearer key"}, timeout=1)
    assert "secret" not in str(caught.value)


class TestProxies:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("http_proxy", "proxy:3128")
        monkeypatch.setenv("https_proxy", "socks5://me:secret@proxy:1080")
        monkeypatch.setenv("no_proxy", "inside.org")

    def test_the_environment_is_heeded(self) -> None:
        assert proxy_for("http://host", None) == "http://proxy:3128"

    @pytest.mark.parametrize(
        "host", ["inside.org", "gpu.inside.org:8000", "localhost:1", "127.0.0.1:1", "[::1]:1", "[::1"]
    )
    def test_not_for_hosts_that_need_none(self, host: str) -> None:
        assert proxy_for(f"http://{host}", None) is None

    def test_the_settings_come_first(self) -> None:
        assert proxy_for("http://127.0.0.1", "http://other:1") == "http://other:1"

    def test_those_that_cannot_be_used_are_named(self) -> None:
        with pytest.raises(SettingsError, match=r"^socks5://proxy:1080: only HTTP proxies"):
            proxy_for("https://host", None)


def test_a_file_without_certificates_is_named(tmp_path: object) -> None:
    with pytest.raises(SettingsError, match=r"^server\.verify: .*: no certificates can be read there"):
        trusted(str(tmp_path))
    assert trusted(False) is False
