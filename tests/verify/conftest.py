"""Processes for judging that the tests of several verifiers share: each takes a second to load its libraries."""

from __future__ import annotations

import pytest

from antiphon.verify.workers import Workers


@pytest.fixture(scope="session")
def workers() -> Workers:
    return Workers(jobs=2)
