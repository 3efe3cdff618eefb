"""A run on a cluster whose machines are threads: what comes of them, and what is said when they are lost."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from antiphon.engine.scripted import Fault
from antiphon.problem import Problem
from antiphon.problem.shard import Share, place
from antiphon.scale.shard import Shard, Task
from antiphon.store import Reader
from antiphon.trace import Span
from tests.cli.conftest import MODELS, Outcome, asked, command, write_lines
from tests.cli.pair import Pair
from tests.cli.pair import install as install_pair
from tests.scale.fake_ray import FakeRay

__all__ = ["command"]  # a fixture of the command's tests
COUNT = 8


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "problems.jsonl", [asked(300 + 7 * number, 4) for number in range(COUNT)])


@pytest.fixture
def synth(command: Callable[..., Outcome], pair: Pair, ray: FakeRay, problems: Path) -> Callable[..., Outcome]:
    """The command on the cluster."""

    def run(directory: Path, *more: object, code: int = 0) -> Outcome:
        done = command("synth", problems, "--run", directory, *MODELS, "--ray", "auto", *more)
        assert done.code == code, done.err
        return done

    return run


@pytest.fixture
def nobody() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def texts(directory: Path) -> dict[str, tuple[Span, ...]]:
    """The finished traces."""
    with Reader(directory) as reader:
        return {str(trace.key): trace.spans for trace in reader.traces() if trace.status is not None}


def lose_at(ray: FakeRay, monkeypatch: pytest.MonkeyPatch, chosen: Callable[[int, int], bool], looks: int = 1) -> None:
    """Machines are cut off at one of the first looks at them; `chosen` by how many attempts there were, and shard."""
    seen: dict[int, int] = {}
    look = Shard.look

    def looked(self: Any) -> Any:
        state = look(self)
        actor = next((each for each in ray.actors if each._object is self), None)
        if state is not None and actor is not None and chosen(ray.actors.index(actor), self._index):
            seen[id(self)] = seen.get(id(self), 0) + 1
            if seen[id(self)] == looks:
                actor.lose()
        return state

    monkeypatch.setattr(Shard, "look", looked)


def test_shards_on_machines_are_what_one_process_writes(
    command: Callable[..., Outcome], synth: Callable[..., Outcome], problems: Path, tmp_path: Path
) -> None:
    done = synth(tmp_path / "whole", "--json", "--concurrency", "5").json
    assert done["finished"] == {"complete": COUNT} == done["traces"]
    assert (done["planned"], done["before"], done["problems"]) == (COUNT, 0, COUNT)
    assert sorted(path.name for path in (tmp_path / "whole" / "shards").glob("*-of-*")) == ["0-of-2", "1-of-2"]
    assert command("synth", problems, "--run", tmp_path / "one", *MODELS).code == 0
    assert texts(tmp_path / "whole") == texts(tmp_path / "one")
    again = synth(tmp_path / "whole", "--json").json
    assert (again["planned"], again["before"], again["finished"]) == (0, COUNT, {})
    assert not list((tmp_path / "disks").glob("*/*/*/*-of-*")), "what is on the common store is nowhere else"


def test_a_machine_is_given_its_shards_problems_and_no_others(synth: Callable[..., Outcome], tmp_path: Path) -> None:
    given: list[tuple[set[str], Share]] = []

    class Watched(Shard):
        def __init__(self, task: Task, problems: Sequence[Problem], share: Share):
            given.append(({problem.id for problem in problems}, share))
            super().__init__(task, problems, share)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("antiphon.scale.ray.Shard", Watched)
        synth(tmp_path / "whole", "--shards", 3, "--limit", COUNT - 1)
    assert sum(len(ids) for ids, _ in given) == COUNT - 1
    for ids, share in given:
        assert all(id in share.shard for id in ids) and share.problems[share.shard.index] == len(ids)


def test_a_lost_machine_is_fenced_and_nothing_is_lost_or_double(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pair(Pair(delay=0.002), monkeypatch.setattr)
    lose_at(ray, monkeypatch, lambda attempt, shard: attempt < 2 and shard == 0)
    done = synth(tmp_path / "whole", "--json", "--snapshot", "1")
    assert "shard 0/2 was lost with its process or machine" in done.err
    assert "goes on from its last snapshot" in done.err
    assert done.json["finished"] == {"complete": COUNT}
    assert len(texts(tmp_path / "whole")) == COUNT


def test_a_shard_that_was_taken_over_gives_its_database_back(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pair(Pair(delay=0.002), monkeypatch.setattr)
    lose_at(ray, monkeypatch, lambda attempt, shard: attempt < 2 and shard == 0)
    connect, opened = sqlite3.connect, []

    def connected(*given: Any, check_same_thread: bool = True, **more: Any) -> sqlite3.Connection:
        connection = connect(*given, check_same_thread=check_same_thread, **more)
        if not check_same_thread:
            opened.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connected)
    synth(tmp_path / "whole")
    for thread in chain.from_iterable(actor.threads for actor in ray.actors):
        thread.join()
    assert len(opened) > 1
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_a_shard_that_dies_again_and_again_is_given_up_and_the_others_are_kept(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Shard.work

    def dying(self: Any) -> Any:
        if self._index == 0:
            raise ray.exceptions.RayActorError("The actor died: worker was killed.")
        return work(self)

    monkeypatch.setattr(Shard, "work", dying)
    monkeypatch.setattr(ray.exceptions, "RayTaskError", KeyError)  # a death is no error of a task
    done = synth(tmp_path / "whole", code=3)
    assert "5 times in a row, and nothing new was kept" in done.err
    ids = {f"{300 + 7 * number}x4" for number in range(COUNT)}
    kept = {key.split("/")[0] for key in texts(tmp_path / "whole")}
    assert kept <= {id for id in ids if place(id, 2) == 1}


def test_other_versions_on_machines_are_named(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Shard.__init__

    def older(self: Any, task: Any, *more: Any) -> None:
        from dataclasses import replace

        given(self, replace(task, version="0.0.1"), *more)

    monkeypatch.setattr(Shard, "__init__", older)
    done = synth(tmp_path / "whole", code=2)
    assert "the command was given to 0.0.1; install the same" in done.err
    assert not texts(tmp_path / "whole")


def test_a_machine_that_does_not_see_the_store_is_named(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Shard.__init__

    def elsewhere(self: Any, task: Any, *more: Any) -> None:
        from dataclasses import replace

        given(self, replace(task, common=tmp_path / "not" / "mounted"), *more)

    monkeypatch.setattr(Shard, "__init__", elsewhere)
    done = synth(tmp_path / "whole", code=2)
    assert "is not there on this machine; it has to be on a store that all machines see" in done.err


def test_a_head_that_dies_is_named_and_the_same_command_goes_on(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("antiphon.scale.cluster._PATIENCE", 0.2)
        patched.setattr("antiphon.scale.cluster.answers", lambda head: False)
        install_pair(Pair(delay=0.005), patched.setattr)
        done = synth(tmp_path / "whole", code=3)
        assert "the head of the Ray cluster" in done.err
        assert "the same command goes on" in done.err
    synth(tmp_path / "whole")
    assert len(texts(tmp_path / "whole")) == COUNT


def test_an_interrupt_keeps_everything(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pair(Pair(delay=0.01), monkeypatch.setattr)
    look, first = Shard.look, threading.Lock()

    def interrupted(self: Any) -> Any:
        state = look(self)
        if state is not None and state.turns and first.acquire(blocking=False):  # a second signal ends at once
            os.kill(os.getpid(), signal.SIGTERM)
        return state

    monkeypatch.setattr(Shard, "look", interrupted)
    done = synth(tmp_path / "whole", code=130)
    assert "Everything is kept" in done.err
    synth(tmp_path / "whole")
    assert len(texts(tmp_path / "whole")) == COUNT


def test_a_limit_is_kept_over_all_shards(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pair(Pair(delay=0.01), monkeypatch.setattr)
    done = synth(tmp_path / "whole", "--max-tokens-total", "300", "--concurrency", "2", "--json").json
    assert done["reached"] == "max.tokens_total"
    assert done["spent"]["tokens"] >= 300
    assert "pending" in done["traces"]
    rest = synth(tmp_path / "whole", "--json").json
    assert rest["traces"] == {"complete": COUNT}
    assert rest["spent"]["tokens"] > done["spent"]["tokens"]


def test_a_silent_engine_ends_it_as_it_ends_a_plain_run(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pair(Pair(faults=lambda request: Fault("gone")), monkeypatch.setattr)
    done = synth(tmp_path / "whole", "--set", "outage=0.2", code=3)
    assert "shard" in done.err
    assert "lab:teacher" in done.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--shard", "0/2"), "give how many with --shards"),
        (("--metrics", "9090"), "not from a cluster's shards"),
    ],
)
def test_what_cannot_be_had_is_refused(
    flags: tuple[str, ...], says: str, synth: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert says in synth(tmp_path / "whole", *flags, code=2).err


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_an_address_where_nothing_listens(
    address: str, synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, nobody: int
) -> None:
    address = address.format(nobody)
    done = synth(tmp_path / "whole", "--ray", address, code=3)
    (line,) = done.err.splitlines()
    assert f"there is no Ray cluster at {address} (" in line
    assert "ray start --head" in line
    assert not (tmp_path / "whole").exists()
    assert not ray.options, "Ray itself tries for minutes"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots"])
def test_a_host_that_is_none(host: str, synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path) -> None:
    (line,) = synth(tmp_path / "whole", "--ray", f"{host}:6379", code=3).err.splitlines()
    assert f"there is no Ray cluster at {host}:6379 (" in line
    assert not ray.options


@pytest.mark.parametrize(
    ("address", "says"),
    [("{}:{}", "wants RAY_AUTH_MODE=token"), ("local", "cannot begin a cluster"), ("auto", "is no")],
)
def test_a_cluster_that_ray_cannot_use(
    address: str,
    says: str,
    synth: Callable[..., Outcome],
    ray: FakeRay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(**_: object) -> None:
        raise ConnectionError("it does not let us in\nfor a reason")

    monkeypatch.setattr(ray, "init", refused)
    address = address.format(*ray.head.getsockname())
    (line,) = synth(tmp_path / "whole", "--ray", address, code=3).err.splitlines()
    assert says in line
    assert "it does not let us in" in line


def test_auto_is_what_the_environment_names(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"ray://127.0.0.1:{nobody}")
    assert f"there is no Ray cluster at ray://127.0.0.1:{nobody} (" in synth(tmp_path / "whole", code=3).err
    synth(tmp_path / "whole", "--ray", "{}:{}".format(*ray.head.getsockname()))
    assert len(texts(tmp_path / "whole")) == COUNT, "what is given on the command line comes first"


def test_auto_is_a_cluster_that_has_died_since(
    synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = SimpleNamespace(get_ray_address_from_environment=lambda address, folder: f"127.0.0.1:{nobody}")
    monkeypatch.setattr(ray, "_private", SimpleNamespace(services=services), raising=False)
    assert f"there is no Ray cluster at 127.0.0.1:{nobody} (" in synth(tmp_path / "whole", code=3).err
    assert not ray.options


@pytest.mark.parametrize("address", ["head", "http://head:8265", "head:", ":6379", "head:gcs", "", "ray://head"])
def test_what_is_no_address(address: str, synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path) -> None:
    done = synth(tmp_path / "whole", "--ray", address, code=2)
    assert f"--ray {address}: give host:port" in done.err
    assert not ray.options


def test_flags_of_a_cluster_alone(command: Callable[..., Outcome], problems: Path, tmp_path: Path) -> None:
    done = command("synth", problems, "--run", tmp_path / "one", *MODELS, "--shards", "2")
    assert done.code == 2
    assert "--shards: it is for --ray" in done.err


def test_a_folder_with_something_else_in_it(synth: Callable[..., Outcome], ray: FakeRay, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "thesis.tex").write_text("...")
    assert "is not empty (there is thesis.tex)" in synth(tmp_path / "whole", code=2).err
    assert not ray.actors


def test_a_run_that_one_process_wrote(
    command: Callable[..., Outcome], synth: Callable[..., Outcome], problems: Path, tmp_path: Path
) -> None:
    assert command("synth", problems, "--run", tmp_path / "one", *MODELS).code == 0
    assert "was not made by merging" in synth(tmp_path / "one", code=2).err


def test_another_division_is_refused(synth: Callable[..., Outcome], tmp_path: Path) -> None:
    synth(tmp_path / "whole", "--shards", "3")
    assert "is divided into 3 shards, not 2" in synth(tmp_path / "whole", "--shards", "2", code=2).err
    synth(tmp_path / "whole")


def test_a_store_without_locks_and_databases(
    synth: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nhost:/export {tmp_path / 'nfs'} nfs4 rw 0 0\n")
    for module in ("antiphon.store.place", "antiphon.scale.common"):
        monkeypatch.setattr(f"{module}.MOUNTS", mounts)
    (tmp_path / "nfs").mkdir()
    synth(tmp_path / "nfs" / "whole")
    synth(tmp_path / "nfs" / "whole")
    assert len(texts(tmp_path / "nfs" / "whole")) == COUNT
    assert {path.name for path in (tmp_path / "nfs" / "whole").iterdir()} == {"run.sqlite", "shards"}
    (tmp_path / "nfs" / "thesis").mkdir()
    (tmp_path / "nfs" / "thesis" / "one.tex").write_text("...")
    assert "is not empty" in synth(tmp_path / "nfs" / "thesis", code=2).err


def test_without_ray_what_to_install_is_said(
    command: Callable[..., Outcome], pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    done = command("synth", problems, "--run", tmp_path / "whole", *MODELS, "--ray", "auto")
    assert done.code == 2
    assert "pip install 'antiphon[ray]'" in done.err
    assert not (tmp_path / "whole").exists()
