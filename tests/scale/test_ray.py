"""A run on a real Ray cluster of two machines, which are lost, killed and headless."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from bench.ray import (
    SHARDS,
    Machines,
    by_one_process,
    by_shards,
    ended,
    kept,
    machines,
    started,
    texts,
    until,
    until_decoded,
    with_one_lost,
    words,
)
from bench.simulated import faults, traces
from bench.simulator import SIMULATOR, Pair, problems, simulated_pairs, write_problems

from antiphon.scale.cluster import known

pytestmark = [
    pytest.mark.live,  # one after the other: Ray gives up if its own processes need more than some seconds to begin
    pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs the simulated pair, which is not here"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.usefixtures("none_left"),
]
COUNT = 24
NEVER = "Problem 00007"
"""What the text of one problem says, whose trace is not to end as long as this is a fault: nor can the run."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with simulated_pairs(tmp_path_factory.mktemp("pair")) as (pair,):
        yield pair


@pytest.fixture(scope="module")
def some(pair: Pair) -> list:
    return problems(pair.tokenizer.parent, COUNT, spans=16)


@pytest.fixture
def file(tmp_path: Path, some: list) -> Path:
    return write_problems(tmp_path / "problems.jsonl", some)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_workers_that_are_killed_again_and_again(
    pair: Pair, some: list, file: Path, cluster: Machines, tmp_path: Path
) -> None:
    pair.reset()
    line = words(tmp_path / "whole", file, pair, "--ray", cluster.address, "--shards", SHARDS, "--snapshot", 1)
    process = started(line)
    for moment in (500, 1_500, 3_000):
        until_decoded(pair, moment, process)
        until(lambda: cluster.kill_shards(0), process)
    _, said = ended(process)
    assert "goes on from its last snapshot" in said
    assert faults(traces(tmp_path / "whole"), some) == []


def test_a_lost_machine_costs_an_interval_at_most(
    pair: Pair, some: list, file: Path, cluster: Machines, tmp_path: Path
) -> None:
    one, needed, _ = by_one_process(tmp_path, file, pair)
    loss = with_one_lost(tmp_path, file, pair, cluster, snapshot=1, moment=0.4 * needed)
    assert faults(loss.found, some) == []
    assert "was lost with its process or machine" in loss.said
    assert texts(loss.found) == texts(one) == texts(by_shards(tmp_path, file, pair))
    # What is written past the cuts is not the same in two runs, though nearly.
    assert loss.decoded - needed < loss.unsure + 0.05 * needed


def test_a_head_that_dies_is_named_and_the_same_command_goes_on(
    pair: Pair, some: list, file: Path, tmp_path: Path
) -> None:
    pair.reset()
    pair.fault("hang", match=NEVER)
    line = words(tmp_path / "whole", file, pair, "--snapshot", 1)
    with machines(tmp_path / "first", 1) as cluster:
        process = started([*line, "--ray", cluster.address, "--shards", "2"])
        until(lambda: kept(tmp_path / "whole") >= COUNT // 4, process)
        cluster.lose_head()
        _, said = ended(process, code=3)
    assert "the head of the Ray cluster" in said
    before = {trace.key: trace.spans for trace in traces(tmp_path / "whole") if trace.status is not None}
    assert COUNT // 4 <= len(before) < COUNT
    pair.reset()
    ended(started([*line, "--ray", "local"]))
    found = traces(tmp_path / "whole")
    assert faults(found, some) == []
    assert before.items() <= {trace.key: trace.spans for trace in found}.items()


def test_an_address_where_nothing_is(file: Path, pair: Pair, tmp_path: Path) -> None:
    began = time.monotonic()
    _, said = ended(started(words(tmp_path / "whole", file, pair, "--ray", "127.0.0.1:9")), code=3)
    assert time.monotonic() - began < 60, "Ray alone tries for four minutes"
    (line,) = said.splitlines()
    assert "there is no Ray cluster at 127.0.0.1:9" in line


def test_ray_tells_where_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert known(ray) == "127.0.0.1:9"
