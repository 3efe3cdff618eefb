"""Programs that mean harm, or to be judged right without being so: each contained, each judged, nothing left of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from antiphon.verify.code import CodeVerifier
from antiphon.verify.sandbox import Sandbox

from .asking import problem, verdict
from .hostile.programs import PROGRAMS, SLOW, TOGETHER
from .leftovers import nothing_left

SECRET = "4f1c2a77d0"
TESTS = "def check(candidate):\n    assert candidate(1) == 2, 'the tests'"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What is to be found on this machine: a secret in the environment, a file that all may read, listening sockets."""
    folder = tmp_path_factory.mktemp("places")
    file = folder / "secret-of-another.txt"
    file.write_text(SECRET)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTIPHON_TEST_SECRET", SECRET)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        with socket.create_server(("127.0.0.1", 0)) as server:
            free = server.getsockname()[1]
        unix, abstract = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        unix.bind(str(folder / "socket"))
        abstract.bind(f"\0antiphon-{tcp.getsockname()[1]}")
        unix.listen()
        abstract.listen()
        yield {
            "SECRET": SECRET,
            "FILE": str(file),
            "PORT": str(tcp.getsockname()[1]),
            "FREE_PORT": str(free),
            "UNIX": str(folder / "socket"),
            "ABSTRACT": f"antiphon-{tcp.getsockname()[1]}",
        }


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PROGRAMS]
)
def test_it_is_contained_and_judged(name: str, places: Mapping[str, str], sandbox: Sandbox) -> None:
    if name in TOGETHER and "memory of each" in sandbox.holds():
        pytest.skip("no cgroup can be made here")
    code, labels, limits = PROGRAMS[name]
    for place, value in places.items():
        code = code.replace(f"{{{place}}}", value)
    with nothing_left():
        judged = verdict(
            CodeVerifier(sandbox, limits), problem(tests=TESTS, entry_point="f"), f"```python\n{code}\n```"
        )
    assert judged.label in labels, judged
    assert Path(places["FILE"]).read_text() == SECRET
    assert not any(Path(folder, "canary").exists() for folder in ("/", "/usr", "/usr/bin", "/etc", "/dev", "/var/tmp"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(places["FREE_PORT"])), 1)
