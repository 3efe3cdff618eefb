"""Shards of a run as actors of a Ray cluster: machines may come and go.

The driver begins an actor for each shard, and another where one is lost; it watches, sums up, keeps to the limits, and
joins the shards when they have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from antiphon import version
from antiphon.engine.models import open_engine
from antiphon.errors import ClusterError, SettingsError
from antiphon.problem import Problem
from antiphon.problem.shard import Shard as Part
from antiphon.problem.shard import Share, place
from antiphon.scale import cluster
from antiphon.scale.attempts import Attempts, Failure, sum_up
from antiphon.scale.common import Common
from antiphon.scale.shard import CheckMaker, Shard, Task
from antiphon.settings import Settings
from antiphon.store import Reader
from antiphon.store.place import Lock, explained
from antiphon.synth.cast import EngineOpener
from antiphon.synth.run import Run
from antiphon.synth.spend import LimitReached, Spend
from antiphon.trace import Author, Key, Status, Usage

_GLANCE = 0.5  # seconds between two looks at the shards
_PATIENCE = 15.0  # seconds for a shard to say how it is doing
_DEATHS = 5  # of a shard in a row, after which it is given up


@dataclass(slots=True)
class _Working:
    """A shard, the actor that is at it, and what it was asked and has not answered yet."""

    index: int
    make: Callable[[], Any]
    attempts: Attempts = field(default_factory=Attempts)
    actor: Any = None
    work: Any = None
    look: Any = None

    def begin(self) -> None:
        """Another attempt."""
        self.actor, self.look = self.make(), None
        self.work = self.actor.work.remote()


class ClusterRun(Run):
    """As `Run`, in shards on a Ray cluster; `directory` is on a store that all machines see.

    Traces in flight are those of all shards together, and so are the limits, which are looked at twice a second.

    Args:
        address: `host:port` of a cluster's head, `ray://host:port` of its server for clients, `auto` (the cluster that
            Ray knows of), or `local` (one of this machine, for this run alone).
        shards: into how many parts the problems go; unless given as many as the first time, and as machines then.
        snapshot: seconds between two snapshots of a shard: what is lost with a machine at most.
        make_check: makes what judges answers, on each machine.

    Raises:
        SettingsError: what cannot be had in shards is asked for, or the address is none.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        directory: str | Path,
        settings: Settings,
        *,
        address: str,
        shards: int | None = None,
        snapshot: float = 60.0,
        variant: str | None = None,
        retry: Collection[Status] = (),
        open_engine: EngineOpener = open_engine,
        make_check: CheckMaker | None = None,
    ):
        check = None if make_check is None else make_check(problems)
        super().__init__(
            problems, directory, settings, variant=variant, retry=retry, open_engine=open_engine, check=check
        )
        if settings.shard is not None:
            raise SettingsError("shard: a cluster writes all shards; give how many with --shards N")
        if settings.metrics is not None:
            raise SettingsError("metrics: not from a cluster's shards; they are in its logs and on Ray's own pages")
        self._shards, self._snapshot = shards, snapshot
        self._address = cluster.named(address)  # what is none is said before anything is loaded
        self._make_check = make_check
        self._stopping = False
        self._failure: ClusterError | None = None
        self._on_remark: Callable[[str], None] = lambda remark: None
        self._told: set[str] = set()

    def stop(self) -> None:
        self._stopping = True

    async def work(
        self,
        on_finished: Callable[[Key], None] = lambda key: None,
        on_remark: Callable[[str], None] = lambda remark: None,
    ) -> None:
        """As `Run.work`; traces are told of when the shards are joined.

        Raises:
            ClusterError: the cluster is out of reach, or a shard cannot be written. What is kept is joined before.
        """
        self.tally.began = time.monotonic()
        self._on_remark = on_remark
        ray, address = await asyncio.to_thread(cluster.reached, self._address)
        common = Common(self.directory)
        with _locked(common.shards):
            with cluster.connected(ray, address) as head:
                machines = sum(node["Alive"] for node in ray.nodes())
                number = common.divided(self._shards, max(1, machines))
                try:
                    await self._watch(ray, head, self._begun(ray, common.shards, number))
                except ray.exceptions.RayError as error:
                    self._fail(f"Ray gave up: {cluster.line(error)}")
            for remark in await asyncio.to_thread(common.join):
                self._remark(remark)
        if self._failure is not None:
            raise self._failure
        with Reader(self.directory) as reader:
            told = (standing for together in reader.standings() for standing in together)
            finished = {standing.key for standing in told if standing.status is not None}
        for key in self.keys:
            if key in finished:
                on_finished(key)

    def _begun(self, ray: Any, folder: Path, number: int) -> list[_Working]:
        """All shards, at work as soon as there is room for them."""
        task = Task(
            version.__version__,
            folder,
            Path.cwd(),
            number,
            self.settings,
            self.variant,
            tuple(self._retry),
            self._open_engine,
            self._make_check,
            self._snapshot,
        )
        kind = ray.remote(num_cpus=1, max_concurrency=3)(Shard)
        given = ray.put(task)
        shards = [
            _Working(share.shard.index, partial(kind.remote, given, ray.put(problems), share))
            for problems, share in self._divided(number)
        ]
        for shard in shards:
            shard.begin()
        return shards

    def _divided(self, number: int) -> Iterator[tuple[list[Problem], Share]]:
        """Each shard's problems, which are all that its machine holds."""
        parts: list[list[Problem]] = [[] for _ in range(number)]
        for id, problem in self._problems.items():
            parts[place(id, number)].append(problem)
        sizes = tuple(map(len, parts))
        for index, part in enumerate(parts):
            yield part, Share(Part(index, number), sizes)

    async def _watch(self, ray: Any, head: tuple[str, int], shards: Sequence[_Working]) -> None:
        """Until all have ended, or the head is gone."""
        textual: set[Author] = set()
        earlier: dict[Author, Usage] = {}
        spend = self.tally.spend = Spend(
            self.settings, began=self.tally.began, session=self.tally.usage, earlier=earlier, textual=textual
        )
        pulse = cluster.Pulse(head)
        while not all(shard.attempts.ended for shard in shards):
            await asyncio.sleep(_GLANCE)
            if (lost := await pulse.lost()) is not None:
                self._fail(
                    f"{lost}. All that was in a snapshot is kept (one every {self._snapshot:g} s); the same command"
                    " goes on"
                )
                break
            for shard in shards:
                if not shard.attempts.ended:
                    self._look(ray, shard, len(shards))
            sum_up([shard.attempts for shard in shards], self.tally, earlier, textual)
            with contextlib.suppress(LimitReached):
                spend.check()
            if self._stopping or spend.reached:
                self._end(ray, shards, None if self._stopping else spend.reached)
        self.tally.in_flight = 0

    def _look(self, ray: Any, shard: _Working, of: int) -> None:
        """What has come from one shard since the last look."""
        shard.look = shard.look or shard.actor.look.remote()
        ready, _ = ray.wait([shard.work, shard.look], num_returns=2, timeout=0)
        if shard.look in ready:
            self._hear(ray, shard)
        if shard.work not in ready:
            return
        name = f"shard {shard.index}/{of}"
        try:
            failure = ray.get(shard.work)
        except ray.exceptions.RayTaskError as error:
            failure = Failure(f"{name}: {cluster.line(error)}", 1, again=False)
        except ray.exceptions.RayError as error:
            failure = Failure(f"{name} was lost with its process or machine ({cluster.line(error)})", 3, again=True)
        if failure is None:  # how it ended may not have been heard yet
            shard.look = shard.look or shard.actor.look.remote()
            self._hear(ray, shard)
            shard.attempts.ended = True
            ray.kill(shard.actor)
            return
        ray.kill(shard.actor)
        attempts = shard.attempts
        attempts.died()
        if failure.again and not self._stopping and attempts.deaths < _DEATHS:
            self._on_remark(f"{failure.text}; it goes on from its last snapshot")
            shard.begin()
            return
        attempts.ended = True
        if not (failure.again and self._stopping):
            times = f" {attempts.deaths} times in a row, and nothing new was kept" if failure.again else ""
            self._fail(f"{failure.text}{times}", failure.exit_code)

    def _hear(self, ray: Any, shard: _Working) -> None:
        """How a shard is doing; that it is gone is told by its work."""
        look, shard.look = shard.look, None
        with contextlib.suppress(ray.exceptions.RayError):
            state = ray.get(look, timeout=_PATIENCE)
            if state is not None:
                shard.attempts.heard(state)
                for remark in state.remarks:
                    self._remark(remark)

    def _end(self, ray: Any, shards: Sequence[_Working], reached: str | None) -> None:
        """Tells all to end, again and again: one may have begun just now."""
        for shard in shards:
            if shard.attempts.ended:
                continue
            if reached is None and shard.attempts.state is None:  # it does not write yet, or waits for a machine
                ray.kill(shard.actor)
                shard.attempts.ended = True
            else:
                shard.actor.stop.remote(reached)

    def _fail(self, text: str, exit_code: int = ClusterError.exit_code) -> None:
        """The first failure is told, when all else has been ended and joined."""
        self._stopping = True
        if self._failure is None:
            self._failure = ClusterError(text)
            self._failure.exit_code = exit_code

    def _remark(self, text: str) -> None:
        """Tells it, once."""
        if text not in self._told:
            self._told.add(text)
            self._on_remark(text)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps a second driver out, on this machine and where the store knows locks."""
    with explained(folder):
        lock = Lock(folder)
    with lock:
        yield
