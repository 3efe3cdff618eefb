"""What the tests of several verifiers share: processes for judging, each of which takes a second to load its libraries,
and a sandbox."""

from __future__ import annotations

import os
import subprocess

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
        if _shuts_in():
            raise  # the fault is ours
        pytest.skip(str(error))
    return sandbox


def _shuts_in() -> bool:
    """Whether bubblewrap shuts anything in on this machine."""
    other = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*other, "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "true"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
