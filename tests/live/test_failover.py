"""Servers that die in mid-run and come back: nothing is lost, whether others serve meanwhile or nobody does.

The command runs on simulated servers, some of which live in a process that is killed with -9 and started again.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from bench.simulated import Command, faults, traces
from bench.simulator import SIMULATOR, Pair, problems, serve, simulated_pairs, unserved_pairs

from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Author

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs ../shared, which is not here"),
]

ROLES = (Author.TEACHER, Author.STUDENT)


class Mortal:
    """A pair whose servers, one process, can be killed and started again at the same addresses."""

    def __init__(self, folder: Path):
        (self.pair,) = unserved_pairs(folder)
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, swapped: bool = False) -> None:
        """Starts both. `swapped`: each serves the other's model."""
        pair = self.pair
        self._process = serve([Pair(pair.student, pair.teacher, pair.tokenizer) if swapped else pair])

    def kill(self) -> None:
        """Ends both at once, as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(scope="module")
def lasting(folder: Path) -> Iterator[Pair]:
    with simulated_pairs(folder) as (pair,):
        yield pair


@pytest.fixture
def mortal(folder: Path) -> Iterator[Mortal]:
    pair = Mortal(folder)
    pair.start()
    yield pair
    pair.kill()


def until(condition: Callable[[], bool], command: subprocess.Popen[str]) -> None:
    """Returns when a condition holds, which must be before the command ends."""
    while not condition():
        assert command.poll() is None, "the run was over too early"
        time.sleep(0.02)  # moments are counted in tokens; this only paces the look


def ended(command: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said on standard error."""
    _, error = command.communicate()
    return command.returncode, error


def servers_of(directory: Path, role: Author) -> list[list[str]]:
    """Of each trace the servers of a role's turns, in order, each named once for as long as it was stayed with."""
    with Reader(directory) as reader:
        written = [[turn.server for turn in reader.turns(trace.key) if turn.role is role] for trace in reader.traces()]
    return [[server for server, _ in groupby(servers)] for servers in written]


def test_one_of_two_is_drained_to_the_other_and_taken_back(
    lasting: Pair, mortal: Mortal, folder: Path, tmp_path: Path
) -> None:
    some = problems(folder, 40, spans=24, answer=80)
    lasting.reset()
    both = {f"{role}.model": f"{getattr(lasting, role).url},{getattr(mortal.pair, role).url}" for role in ROLES}
    command = Command(tmp_path / "command", lasting, some, "ids", **both, concurrency=8)
    running = command.start()
    until(lambda: mortal.pair.decoded > 1_200, running)  # about a third of its first four traces
    mortal.kill()
    drained = lasting.decoded
    until(lambda: lasting.decoded > drained + 1_000, running)
    mortal.start()
    assert ended(running) == (0, "")
    assert faults(traces(command.directory), some) == []
    for role in ROLES:
        first, second = (getattr(pair, role) for pair in (lasting, mortal.pair))
        ways = servers_of(command.directory, role)
        print(role, {" ".join(way): ways.count(way) for way in ways}, second.stats()["decoded_tokens"])
        assert second.stats()["decoded_tokens"] > 500  # counted since it was started again
        # It was left in mid-trace; nobody else moved, neither then nor when it came back.
        assert [second.url, first.url] in ways
        assert all(way in ([first.url], [second.url], [second.url, first.url]) for way in ways)


@pytest.fixture
def some(folder: Path, mortal: Mortal) -> list[Problem]:
    return problems(folder, 16, spans=6, answer=80)


def test_a_server_without_others_is_waited_for(mortal: Mortal, some: list[Problem], tmp_path: Path) -> None:
    command = Command(tmp_path / "command", mortal.pair, some, "ids")
    running = command.start()
    until(lambda: mortal.pair.decoded > 1_000, running)
    mortal.kill()
    mortal.start()
    assert ended(running) == (0, "")
    assert faults(traces(command.directory), some) == []
    assert mortal.pair.decoded > 500


def test_one_that_comes_back_with_another_model_is_not_taken_back(
    mortal: Mortal, some: list[Problem], tmp_path: Path
) -> None:
    command = Command(tmp_path / "command", mortal.pair, some, "ids", outage=4)
    running = command.start()
    until(lambda: mortal.pair.decoded > 1_000, running)
    mortal.kill()
    mortal.start(swapped=True)
    code, error = ended(running)
    print(error)
    assert code == 3
    assert error.count("\n") == 1
    assert "it serves teacher now, and this run began with student" in error
    assert "all traces kept" in error
    mortal.kill()
    mortal.start()
    assert command.run().returncode == 0
    assert faults(traces(command.directory), some) == []
