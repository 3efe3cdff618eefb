"""A run on a real Ray cluster of two machines, which are lost, killed and headless."""

from __future__ import annotations

import os
import signal
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
    machines,
    started,
    texts,
    until_decoded,
    with_one_lost,
    words,
)
from bench.simulated import faults, traces
from bench.simulator import SIMULATOR, Pair, problems, simulated_pairs, write_problems

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs the simulated pair, which is not here"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
COUNT = 32


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with simulated_pairs(tmp_path_factory.mktemp("pair")) as (pair,):
        yield pair


@pytest.fixture(scope="module")
def some(pair: Pair) -> list:
    return problems(pair.tokenizer.parent, COUNT, spans=20)


@pytest.fixture
def file(tmp_path: Path, some: list) -> Path:
    return write_problems(tmp_path / "problems.jsonl", some)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Machines]:
    with machines(tmp_path) as cluster:
        yield cluster


def test_a_lost_machine_costs_an_interval_at_most(
    pair: Pair, some: list, file: Path, cluster: Machines, tmp_path: Path
) -> None:
    one, needed, seconds = by_one_process(tmp_path, file, pair)
    found, decoded, said = with_one_lost(tmp_path, file, pair, cluster, snapshot=1, moment=0.4 * needed)
    assert faults(found, some) == []
    assert "was lost with its process or machine" in said
    assert texts(found) == texts(one) == texts(by_shards(tmp_path, file, pair))
    # Two snapshots are an interval apart, and what the time of one takes; half of it was on the lost machine.
    assert decoded - needed < 2 * (needed / seconds) + 0.1 * needed


def test_workers_that_are_killed_again_and_again(
    pair: Pair, some: list, file: Path, cluster: Machines, tmp_path: Path
) -> None:
    pair.reset()
    line = words(tmp_path / "whole", file, pair, "--ray", cluster.address, "--shards", SHARDS, "--snapshot", 1)
    process = started(line)
    for moment in (500, 1_500, 3_000):
        until_decoded(pair, moment, process)
        for pid in cluster.workers(0):
            os.kill(pid, signal.SIGKILL)
    _, said = ended(process)
    assert "goes on from its last snapshot" in said
    assert faults(traces(tmp_path / "whole"), some) == []


def test_a_head_that_dies_is_named_and_the_same_command_goes_on(
    pair: Pair, some: list, file: Path, tmp_path: Path
) -> None:
    pair.reset()
    line = words(tmp_path / "whole", file, pair, "--snapshot", 1)
    with machines(tmp_path / "first") as cluster:
        process = started([*line, "--ray", cluster.address, "--shards", str(SHARDS)])
        until_decoded(pair, 2_000, process)
        cluster.lose_head()
        _, said = ended(process, code=3)
    assert "the head of the Ray cluster" in said
    kept = {trace.key for trace in traces(tmp_path / "whole")}
    ended(started([*line, "--ray", "local"]))
    found = traces(tmp_path / "whole")
    assert faults(found, some) == []
    assert kept <= {trace.key for trace in found}


def test_an_address_where_nothing_is(file: Path, pair: Pair, tmp_path: Path) -> None:
    _, said = ended(started(words(tmp_path / "whole", file, pair, "--ray", "127.0.0.1:9")), code=3)
    assert "there is no Ray cluster at 127.0.0.1:9" in said
    assert "Traceback" not in said
