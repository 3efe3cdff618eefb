"""Where a sandbox cannot be had, or only in part: what is said, and what holds."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.verify.sandbox import MIB, Limits, Program, Sandbox, isolation
from tests.verify.boxes import SMALL, as_root, run

ROOT = Path(__file__).parents[2]


ASKS = """
import asyncio, os, sys
from antiphon.errors import UsageError
from antiphon.verify.sandbox import Limits, Program, Sandbox
sandbox = Sandbox(1)
try:
    sandbox.require()
except UsageError as error:
    print(error)
    sys.exit(2)
print(sandbox.holds())
bomb = Program((sandbox.python, "-c", "import os\\nwhile True: os.fork()"), limits=Limits(processes=8, wall=10))
done = asyncio.run(sandbox.run(bomb))
assert b"BlockingIOError" in done.stderr, done
sleeper = asyncio.run(sandbox.run(Program(("sleep", "1000"), limits=Limits(wall=0.2))))
assert sleeper.timed_out, sleeper
"""


def elsewhere(*around: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Asks for a sandbox, and holds two hostile programs in it, under another command."""
    return subprocess.run(
        [*around, sys.executable, "-c", ASKS],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_runs_unsafe_unless_asked() -> None:
    assert not Sandbox().unsafe
    assert Sandbox(unsafe=True).reads_our_bytecode
    assert isolation.Isolation(None, True).python == "/usr/bin/python3"


def test_processes_of_others_count_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where programs run as we do, a limit on processes would count all that are ours."""
    asked: list[dict[str, bool]] = []

    def restrained(limits: Limits, **how: bool) -> list[str]:
        asked.append(how)
        return isolation.restrained(limits, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("antiphon.verify.sandbox.pool.restrained", restrained)
    assert run(Sandbox(unsafe=True), "true").status == 0
    assert asked == [{"memory": True, "processes": False}]
    limited, unlimited = (isolation.restrained(SMALL, memory=False, processes=each) for each in (True, False))
    assert set(limited) - set(unlimited) == {"--nproc=16"}


def test_what_is_no_text_is_no_fault_of_the_sandbox(sandbox: Sandbox) -> None:
    printed = isolation._tried(isolation.isolation(), "printf", r"\377ok")
    assert printed == ("", "\ufffdok")


def test_a_place_holds_no_more_than_its_disk(sandbox: Sandbox) -> None:
    limits = Limits(disk=4 * MIB)
    for folder in ("/tmp", "/dev/shm"):
        script = f"for n in 1 2 3 4 5 6; do head -c 1048576 /dev/zero >{folder}/$n || exit 9; done"
        assert run(sandbox, "sh", "-c", script, limits=limits).status == 9


def test_what_is_to_be_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    isolation.isolation.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="which needs bwrap; install it with: apt-get install bubblewrap"):
        Sandbox().require()
    Sandbox(unsafe=True).require()


def test_what_is_to_be_allowed_is_said(sandbox: Sandbox) -> None:
    without_namespaces = ("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns")
    done = elsewhere(*without_namespaces)
    assert done.returncode == 2, done
    assert "user.max_user_namespaces" in done.stdout or "--security-opt" in done.stdout
    in_container = elsewhere(*without_namespaces, KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert "--security-opt seccomp=unconfined" in in_container.stdout
    assert len(in_container.stdout.splitlines()) == 1


def test_a_bubblewrap_too_old_is_said(sandbox: Sandbox) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        old = Path(folder, "bwrap")
        old.write_text("#!/bin/sh\necho 'bwrap: Unknown option --disable-userns' >&2\nexit 1\n")
        for path in (old, old.parent):
            path.chmod(0o755)
        done = elsewhere("env", f"PATH={folder}:{os.environ['PATH']}")
    assert done.returncode == 2, done
    assert "needs bubblewrap 0.8 or newer" in done.stdout


@as_root
def test_a_container_that_masks_proc_has_a_sandbox_without_it(sandbox: Sandbox) -> None:
    masked = next(path for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list") if Path(path).exists())
    done = elsewhere("unshare", "--mount", "sh", "-c", f'mount --bind /dev/null {masked} && exec "$@"', "sh")
    assert done.returncode == 0, done
    assert "shut in by bubblewrap" in done.stdout


@as_root
def test_another_user_than_root_has_one_too(sandbox: Sandbox) -> None:
    drop = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups")
    probe = subprocess.run([*drop, "/usr/bin/python3", "-c", "import antiphon"], env={"PYTHONPATH": str(ROOT / "src")})
    if probe.returncode != 0:
        pytest.skip("another user cannot read this checkout, or has no Python for it")
    done = subprocess.run(
        [*drop, "/usr/bin/python3", "-B", "-c", ASKS],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    assert "this user in a namespace" in done.stdout
    assert "memory of each process only" in done.stdout


def test_a_sandbox_that_breaks_later_is_an_error_and_no_verdict(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "UID", "no number")
    with pytest.raises(UsageError, match="does not start a program any more"):
        asyncio.run(sandbox.run(Program(("true",))))
