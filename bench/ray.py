"""A run on a Ray cluster of two machines, on this one, of which one is lost in mid-run: what is lost with it?

python -m bench.ray                       512 problems of the simulated pair, and the same by shards and by one process
python -m bench.ray --problems 64 --snapshot 2

A machine here is a raylet with a temporary folder of its own. It is killed with -9, all that runs on it too, its folder
removed, and a new one added.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.problem import Problem
from antiphon.scale.snapshot import restored
from antiphon.trace import Trace
from bench.simulated import PIECEMEAL, ROOT, faults, traces
from bench.simulator import Pair, flags, problems, simulated_pairs, write_problems

SHARDS = 4
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": "120",
}
_STARTED: list[subprocess.Popen[str]] = []


class Machines:
    """A cluster whose head takes no work; its machines by number, each with a temporary folder of its own."""

    def __init__(self, folder: Path):
        os.environ.update(QUIET)
        from ray.cluster_utils import Cluster

        self._folder = folder
        without = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "env_vars": QUIET, **without})
        self._nodes: dict[int, Any] = {}

    @property
    def address(self) -> str:
        """For `--ray`."""
        return str(self._cluster.address)

    def disk(self, number: int) -> Path:
        """A machine's temporary folder."""
        return self._folder / f"machine-{number}"

    def add(self, number: int, cores: int = 2) -> None:
        """Another machine."""
        self.disk(number).mkdir(parents=True)
        self._nodes[number] = self._cluster.add_node(
            num_cpus=cores, env_vars={**QUIET, "TMPDIR": str(self.disk(number))}
        )

    def kill_shards(self, number: int) -> int:
        """Kills the processes on a machine that write a shard; how many there were."""
        return self._kill(number, "ray::Shard")

    def kill_workers(self) -> int:
        """Kills the processes on all machines that Ray Data gives work; how many there were."""
        return sum(self._kill(number, "ray::MapWorker") for number in self._nodes)

    def _kill(self, number: int, titled: str) -> int:
        return _killed(pid for pid, title in self._processes(number).items() if title.startswith(titled))

    def lose(self, number: int) -> None:
        """Kills a machine with all that runs on it, and removes its disk."""
        processes = self._processes(number)
        self._cluster.remove_node(self._nodes.pop(number), allow_graceful=False)
        _killed(processes)
        shutil.rmtree(self.disk(number))

    def lose_head(self) -> None:
        """Kills the head."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def end(self) -> None:
        """Ends the cluster."""
        self._cluster.shutdown()

    def _processes(self, number: int) -> dict[int, str]:
        """What runs on a machine, with titles: shards, and Ray's own agents, without which the machine ends itself."""
        ((raylet,),) = (self._nodes[number].all_processes["raylet"],)
        found = {}
        for pid in Path(f"/proc/{raylet.process.pid}/task/{raylet.process.pid}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                found[int(pid)] = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
        return found


def _killed(processes: Iterable[int]) -> int:
    count = 0
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            count += 1
    return count


class Moment(NamedTuple):
    """What servers had written, by the clock that dates files."""

    time: float
    decoded: int


@dataclass(frozen=True)
class Loss:
    """What came of a run that lost a machine.

    Attributes:
        decoded: by the servers in the whole run.
        interval: of these in the last interval before the loss, on both machines.
        unsure: of these between the loss and the moment that all snapshots before the last hold: no more can be lost.
        said: by the command.
    """

    found: list[Trace]
    decoded: int
    interval: int
    unsure: int
    said: str


@contextmanager
def machines(folder: Path, count: int = 2) -> Iterator[Machines]:
    """So many, for the time of the context."""
    cluster = Machines(folder)
    try:
        for number in range(count):
            cluster.add(number)
        yield cluster
    finally:
        cluster.end()


def words(directory: Path, file: Path, pair: Pair, *more: object, **settings: Any) -> list[str]:
    """The command on a pair."""
    values = flags(pair, "ids", **{**PIECEMEAL, **settings})
    given = (word for name, value in values.items() for word in ("--set", f"{name}={value}"))
    return [sys.executable, "-m", "antiphon", *map(str, ("synth", file, "--run", directory, "--json", *given, *more))]


def started(line: Sequence[str]) -> subprocess.Popen[str]:
    """Begins a command."""
    environment = {**os.environ, **QUIET}
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    _STARTED.append(process)
    return process


def kill_started() -> None:
    """Kills the commands that were begun and have not ended: whoever fails meanwhile leaves them with a cluster's
    cores."""
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What a command said.

    Raises:
        RuntimeError: it ended otherwise than it should.
    """
    out, err = process.communicate()
    if process.returncode != code:
        raise RuntimeError(f"ended with {process.returncode}, not {code}:\n{out}\n{err}")
    return out, err


def until_decoded(pair: Pair, tokens: float, process: subprocess.Popen[str]) -> list[Moment]:
    """Waits until the servers have written so much, or the process has ended; what they had written when."""
    seen = [Moment(time.time(), pair.decoded)]
    while seen[-1].decoded < tokens and process.poll() is None:
        time.sleep(0.05)  # the moment is counted in tokens; this only paces the look
        seen.append(Moment(time.time(), pair.decoded))
    return seen


def until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits until something has happened, or the process has ended."""
    while not happened() and process.poll() is None:
        time.sleep(0.2)  # likewise


def kept(directory: Path) -> int:
    """How many finished traces the snapshots of a run hold."""
    count = 0
    with tempfile.TemporaryDirectory() as scratch:
        for folder in (directory / "shards").glob("*-of-*"):
            if restored(folder, part := Path(scratch) / folder.name):
                count += sum(trace.status is not None for trace in traces(part))
    return count


def texts(found: Sequence[Trace]) -> dict[str, tuple[Any, ...]]:
    """What traces are, whoever wrote them when."""
    return {str(trace.key): (trace.status, trace.response) for trace in found}


def by_one_process(folder: Path, file: Path, pair: Pair) -> tuple[list[Trace], int, float]:
    """As one process writes them; tokens that servers decoded, seconds."""
    pair.reset()
    began = time.monotonic()
    ended(started(words(folder / "one", file, pair)))
    return traces(folder / "one"), pair.decoded, time.monotonic() - began


def by_shards(folder: Path, file: Path, pair: Pair) -> list[Trace]:
    """As `--shard I/N` and `merge` do."""
    shards = [folder / f"shard-{index}" for index in range(SHARDS)]
    for index, shard in enumerate(shards):
        ended(started(words(shard, file, pair, "--shard", f"{index}/{SHARDS}")))
    ended(started([sys.executable, "-m", "antiphon", "merge", *map(str, shards), "--to", str(folder / "joined")]))
    return traces(folder / "joined")


def with_one_lost(folder: Path, file: Path, pair: Pair, cluster: Machines, *, snapshot: float, moment: float) -> Loss:
    """On a cluster of two machines, of which one is lost when so many tokens are decoded, and a new one comes."""
    pair.reset()
    more = ("--ray", cluster.address, "--shards", SHARDS, "--snapshot", snapshot)
    process = started(words(folder / "whole", file, pair, *more))
    seen = until_decoded(pair, moment, process)
    kept = min(map(_last_but_one, (folder / "whole" / "shards").glob("*-of-*")), default=0.0)
    cluster.lose(1)
    lost = pair.decoded
    cluster.add(2)
    _, said = ended(process)
    before, sure = (
        max((each.decoded for each in seen if each.time <= time), default=0)
        for time in (seen[-1].time - snapshot, kept)
    )
    return Loss(traces(folder / "whole"), pair.decoded, seen[-1].decoded - before, lost - sure, said)


def _last_but_one(shard: Path) -> float:
    """When a shard's last snapshot but one was in its place; the last was begun after that."""
    files = sorted(shard.glob("*.sqlite.zst"))
    return files[-2].stat().st_mtime if len(files) > 1 else 0.0


def measured(folder: Path, pair: Pair, some: Sequence[Problem], snapshot: float) -> dict[str, Any]:
    """The whole of it."""
    file = write_problems(folder / "problems.jsonl", some)
    one, needed, seconds = by_one_process(folder, file, pair)
    shards = by_shards(folder, file, pair)
    with machines(folder) as cluster:
        began = time.monotonic()
        loss = with_one_lost(folder, file, pair, cluster, snapshot=snapshot, moment=0.4 * needed)
    return {
        "problems": len(some),
        "faults": faults(loss.found, some),
        "as_one_process": texts(loss.found) == texts(one),
        "as_shards": texts(loss.found) == texts(shards),
        "seconds": {"one_process": round(seconds), "cluster": round(time.monotonic() - began)},
        "decoded_by_one_process": needed,
        "decoded_again": loss.decoded - needed,
        "in_an_interval_on_the_lost_machine": loss.interval // 2,
        "since_the_snapshots_before_the_last": loss.unsure,
        "said": [line for line in loss.said.splitlines() if "lost" in line],
    }


def main() -> None:
    """Prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--spans", type=int, help="pairs of spans in a trace; unset: 50 to 90")
    parser.add_argument("--snapshot", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, simulated_pairs(Path(name)) as (pair,):
        some = problems(Path(name), given.problems, spans=given.spans)
        print(json.dumps(measured(Path(name), pair, some, given.snapshot), indent=2))


if __name__ == "__main__":
    main()
