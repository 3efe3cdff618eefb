"""What the tests of several verifiers share: processes for judging, each of which takes a second to load its libraries,
and a sandbox."""

from __future__ import annotations

import pytest

from antiphon.errors import UsageError
from antiphon.verify.sandbox import Sandbox
from antiphon.verify.workers import Workers


@pytest.fixture(scope="session")
def workers() -> Workers:
    return Workers(jobs=2)


@pytest.fixture
def sandbox() -> Sandbox:
    """A sandbox for one event loop; a test that needs it is skipped where there can be none."""
    sandbox = Sandbox(jobs=2)
    try:
        sandbox.require()
    except UsageError as error:
        pytest.skip(str(error))
    return sandbox
