"""The scripted pair behind the embedded models' names."""

from __future__ import annotations

import pytest

from tests.cli.pair import Pair, install


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    return install(Pair(), monkeypatch.setattr)
