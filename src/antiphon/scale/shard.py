"""One shard's run on a machine of many, which has no state but what is in files.

It makes the shard's run directory on its machine's own disk from the snapshots on the common store, writes it as
`antiphon synth --shard` does, and takes a snapshot now and then. One that is lost is begun anew wherever there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import gettempdir

from antiphon import version
from antiphon.errors import AntiphonError, StoreBusy, StoreError, UsageError
from antiphon.events import written_to
from antiphon.problem import Problem
from antiphon.problem.shard import Share
from antiphon.scale.attempts import Failure, State
from antiphon.scale.snapshot import Snapshots, TakenOver
from antiphon.settings import Limits, Settings
from antiphon.store import Reader
from antiphon.store.place import DATABASE
from antiphon.synth.cast import EngineOpener
from antiphon.synth.run import Run
from antiphon.synth.sampling import Check
from antiphon.trace import Status

CheckMaker = Callable[[Sequence[Problem]], Check]
"""Gives what judges the answers to problems."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all shards are given.

    Attributes:
        version: of who gives it.
        common: the folder of the snapshots of all shards.
        working: where relative paths begin.
        shards: how many there are.
        snapshot: seconds between two snapshots.
    """

    version: str
    common: Path
    working: Path
    shards: int
    settings: Settings
    variant: str
    retry: tuple[Status, ...]
    open_engine: EngineOpener
    make_check: CheckMaker | None
    snapshot: float


class Shard:
    """One attempt at a shard. `work` takes as long as it takes; the others are called meanwhile, from other threads.

    Args:
        problems: the shard's own.
        share: what they are of the whole.
    """

    def __init__(self, task: Task, problems: Sequence[Problem], share: Share):
        self._task, self._problems, self._share, self._index = task, problems, share, share.shard.index
        self._run: Run | None = None
        self._there: Mapping[Status | None, int] = {}
        self._last: Mapping[Status | None, int] | None = None
        self._remarks: list[str] = []
        self._stopped = False
        self._taken_over: TakenOver | None = None

    def work(self) -> Failure | None:
        """Writes the shard to its end; None, or why it was not reached."""
        host = socket.gethostname()
        if self._task.version != version.__version__:
            here, there = version.__version__, self._task.version
            says = f"{host} has antiphon {here}, the command was given to {there}; install the same on all machines"
            return Failure(says, UsageError.exit_code, again=False)
        try:
            self._work()
        except AntiphonError as error:
            says = f"shard {self._index}/{self._task.shards} on {host}: {error}"
            return Failure(says, error.exit_code, again=isinstance(error, StoreBusy))
        return None

    def look(self) -> State | None:
        """How it is doing; None before writing begins."""
        run = self._run
        if run is None or run.tally.spend is None:
            return None
        tally, spend = run.tally, run.tally.spend
        return State(
            there=self._there,
            now=_counts(run) if self._last is None else self._last,
            planned=tally.planned,
            before=tally.before,
            in_flight=tally.in_flight,
            places=tally.places,
            turns=tally.turns,
            causes=dict(tally.causes),
            labels=dict(tally.labels),
            aim=None if tally.aim is None else astuple(tally.aim),
            usage=dict(tally.usage),
            earlier=dict(spend.earlier),
            textual=tuple(spend.textual),
            silent=tally.silent,
            remarks=tuple(self._remarks),
        )

    def stop(self, reached: str | None) -> None:
        """Ends it soon, with everything kept; `reached`: as that limit does, else as an interrupt."""
        self._stopped = self._stopped or reached is None
        run = self._run
        if run is not None and reached is None:
            run.stop()
        elif run is not None and run.tally.spend is not None:
            run.tally.spend.reached = run.tally.spend.reached or reached

    def _work(self) -> None:
        task = self._task
        with contextlib.suppress(OSError):  # what is not found from there is named by who needs it
            os.chdir(task.working)
        common = hashlib.sha256(os.fsencode(task.common)).hexdigest()[:16]
        name = f"{self._index}-of-{task.shards}"
        local = Path(gettempdir()) / f"antiphon-{os.getuid()}" / common / name
        snapshots = Snapshots(local, task.common / name)
        snapshots.claim()
        settings = _of_shard(task.settings, self._index, task.shards)
        run = Run(
            self._problems,
            local,
            settings,
            share=self._share,
            variant=task.variant,
            retry=task.retry,
            open_engine=task.open_engine,
            check=None if task.make_check is None else task.make_check(self._problems),
        )
        self._there = {status: count for status, count in _counts(run).items() if status not in task.retry}
        self._run = run
        if self._stopped:
            run.stop()
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(snapshots, run, over), name="antiphon-snapshots")
        keeper.start()
        try:
            with contextlib.ExitStack() as around:
                if settings.log is not None:
                    around.enter_context(written_to(Path(settings.log), self._remarks.append))
                asyncio.run(run.work(on_remark=self._remarks.append))
        finally:
            over.set()
            keeper.join()
            with contextlib.closing(snapshots):
                if self._taken_over is None:
                    snapshots.take()
        if self._taken_over is not None:
            raise self._taken_over
        self._last = _counts(run)
        snapshots.discard()

    def _keep(self, snapshots: Snapshots, run: Run, over: threading.Event) -> None:
        """Takes a snapshot now and then, in a thread of its own; a store that fails may come back."""
        while not over.wait(self._task.snapshot):
            try:
                snapshots.take()
            except TakenOver as error:
                self._taken_over = error
                run.stop()
                return
            except StoreError as error:
                self._remarks.append(f"shard {self._index}/{self._task.shards}: no snapshot could be taken: {error}")


def _of_shard(settings: Settings, index: int, of: int) -> Settings:
    """A shard's own settings: its part of what is in flight, its own log; limits are the driver's."""
    share, more = divmod(settings.concurrency, of)
    log = None if settings.log is None else Path(settings.log)
    return settings.model_copy(
        update={
            "shard": f"{index}/{of}",
            "concurrency": max(1, share + (index < more)),
            "max": Limits(),
            "log": None if log is None else str(log.with_name(f"{log.stem}-{index}-of-{of}{log.suffix}")),
        }
    )


def _counts(run: Run) -> dict[Status | None, int]:
    """The variant's traces by status."""
    if not (run.directory / DATABASE).exists():
        return {}
    with Reader(run.directory) as reader:
        known = {variant.name for variant in reader.variants()}
        return dict(reader.counts(run.variant)) if run.variant in known else {}
