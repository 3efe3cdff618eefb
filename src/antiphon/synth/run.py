"""Many traces at once, on one run directory: no barrier, nothing finished is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from antiphon.engine.models import open_engine
from antiphon.errors import AntiphonError, EngineUnavailable, StoreError
from antiphon.problem import Problem
from antiphon.settings import Settings
from antiphon.store import Reader, Store
from antiphon.synth.ahead import Settled
from antiphon.synth.cast import Cast, EngineOpener, assemble
from antiphon.synth.outage import Outage
from antiphon.synth.reply import writer_for
from antiphon.synth.score import Listener
from antiphon.synth.spend import LimitReached, Spend, prices
from antiphon.trace import Author, Key, Kind, Status, Trace, Turn, Usage

_log = logging.getLogger(__name__)


class Tally(Listener):
    """What this session has done so far. Read it at any time.

    Attributes:
        planned: traces that this session is to finish.
        before: traces that were finished earlier.
        finished: traces by status, `causes` failures by cause.
        usage: what each role has cost.
        in_flight: traces being written now.
        spend: what the variant has cost in all sessions, and which limit stopped the run; None before writing begins.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.planned = self.before = self.in_flight = 0
        self.finished: Counter[Status] = Counter()
        self.causes: Counter[str] = Counter()
        self.usage = {Author.STUDENT: Usage(), Author.TEACHER: Usage()}
        self.spend: Spend | None = None
        self.silent = False
        """Whether an engine does not answer and is being waited for."""

    def turned(self, turn: Turn) -> None:
        self.usage[turn.role] += turn.usage

    @property
    def done(self) -> int:
        """Traces finished in this session."""
        return sum(self.finished.values())


class _Both(Listener):
    """Tells two listeners."""

    def __init__(self, first: Listener, second: Listener):
        self._listeners = (first, second)

    def proposed(self, author: Author, kind: Kind, text: str) -> None:
        for listener in self._listeners:
            listener.proposed(author, kind, text)

    def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
        for listener in self._listeners:
            listener.kept(author, kind, text, forced=forced)

    def rolled_back(self, author: Author, text: str) -> None:
        for listener in self._listeners:
            listener.rolled_back(author, text)

    def turned(self, turn: Turn) -> None:
        for listener in self._listeners:
            listener.turned(turn)


class Run:
    """One variant's traces of some problems, in one run directory.

    Iterate over it (`for` or `async for`, also where an event loop already runs) to write what is missing and get
    every finished trace: those of earlier sessions first, then each as it ends. Leaving the loop early stops the run
    and keeps everything; a later `Run` on the same directory goes on.

    At a limit (`settings.max`) no further turn is begun; those in flight end, and the run with them. All that is kept
    stays, unfinished traces are pending, and `tally.spend.stopped` says why.

    Args:
        variant: its name in the run directory; the method's unless given.
        retry: statuses whose traces are written anew.
        listener: hears all traces as they are written.
        open_engine: gives the engine for a model's name.

    Raises:
        SettingsError: a limit on the cost, and no prices.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        directory: str | Path,
        settings: Settings,
        *,
        variant: str | None = None,
        retry: Collection[Status] = (),
        listener: Listener | None = None,
        open_engine: EngineOpener = open_engine,
    ):
        self.directory = Path(directory)
        self.settings = settings
        prices(settings)  # what is wrong with them is said before anything is loaded
        self.variant = variant or settings.method
        self.tally = Tally()
        self.repaired: str | None = None
        """What was found torn in the run directory and mended, if anything."""
        self.ahead: Mapping[tuple[Author, str], Settled] = {}
        """How far requests run ahead, by role and server, as far as that is settled (`run_ahead`)."""
        self._problems = {problem.id: problem for problem in problems[: settings.limit]}
        self._retry = retry
        self._listener = self.tally if listener is None else _Both(self.tally, listener)
        self._open_engine = open_engine
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def keys(self) -> list[Key]:
        """All traces of this run, finished or not, in the order of the problems."""
        return [
            Key(problem, self.variant, sample) for problem in self._problems for sample in range(self.settings.samples)
        ]

    def stop(self) -> None:
        """Stops the run soon, from any thread; what was kept so far stays, traces in flight stay pending."""
        self._stopped = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is over already
                self._loop.call_soon_threadsafe(self._cancel)

    async def work(
        self,
        on_finished: Callable[[Key], None] = lambda key: None,
        on_remark: Callable[[str], None] = lambda remark: None,
    ) -> None:
        """Writes all that is missing.

        Args:
            on_finished: called with each trace's key once the trace is durable.
            on_remark: called with what a user should know of the models, before a token is spent.

        Raises:
            UsageError, StoreError: before a token is spent where it can be known.
            EngineUnavailable: an engine stayed silent too long; its traces are pending.
        """
        self._loop = asyncio.get_running_loop()
        self.tally.began = time.monotonic()
        cast = await assemble(self.settings, listener=self._listener, open_engine=self._open_engine)
        try:
            for remark in cast.remarks:
                on_remark(remark)
            with Store.open(self.directory) as store:
                self.repaired = store.repaired
                store.add_problems(self._problems.values())
                store.add_variant(self.variant, cast.shaping, cast.about)
                keys = self.keys
                store.plan(keys)
                wanted = set(keys)
                pending = deque(k for k in store.pending(self.variant, retry=self._retry) if k in wanted)
                self.tally.planned = len(pending)
                self.tally.before = len(keys) - len(pending)
                spend = self.tally.spend = self._spend(cast)
                for key in wanted.difference(pending):
                    on_finished(key)
                try:
                    await self._perform(pending, store, cast, spend, on_finished)
                finally:
                    self.ahead = cast.score.run_ahead.settled
                    await store.flush()
        finally:
            await cast.close()

    def _spend(self, cast: Cast) -> Spend:
        with Reader(self.directory) as reader:
            earlier = reader.totals(self.variant)
        textual = [role for role, voice in cast.score.voices.items() if not voice.counts_tokens]
        began, session = self.tally.began, self.tally.usage
        return Spend(self.settings, began=began, session=session, earlier=earlier, textual=textual)

    async def _perform(
        self, pending: deque[Key], store: Store, cast: Cast, spend: Spend, on_finished: Callable[[Key], None]
    ) -> None:
        outage = Outage((*cast.engines, *cast.predictors), self.settings.outage)
        workers = min(self.settings.concurrency, len(pending), cast.room or len(pending))
        cast.score.run_ahead.in_flight = max(1, workers)
        self._tasks = [
            asyncio.create_task(self._worker(pending, store, cast, outage, spend, on_finished)) for _ in range(workers)
        ]
        if self._stopped:
            self._cancel()
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self._cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _worker(
        self,
        pending: deque[Key],
        store: Store,
        cast: Cast,
        outage: Outage,
        spend: Spend,
        on_finished: Callable[[Key], None],
    ) -> None:
        with contextlib.suppress(LimitReached):
            while pending:
                await outage.clear()
                spend.check()
                key = pending.popleft()
                self.tally.in_flight += 1
                try:
                    await self._write(key, store, cast, outage, spend)
                finally:
                    self.tally.in_flight -= 1
                on_finished(key)

    async def _write(self, key: Key, store: Store, cast: Cast, outage: Outage, spend: Spend) -> None:
        """One trace to its end, through outages.

        Raises:
            LimitReached: it stays as it is, pending.
        """
        while True:
            saved = store.saved(key)
            recorder = store.recorder(key)
            try:
                writer = writer_for(cast.score)
                problem = self._problems[key.problem]
                status, cause = await writer(cast.score, problem, key, recorder, saved, spend.check).write()
            except EngineUnavailable as error:
                await store.flush()
                self.tally.silent = True
                await outage.reported(error)
                self.tally.silent = False
                continue
            except (StoreError, LimitReached):
                raise
            except AntiphonError as error:
                status, cause = Status.FAILED, str(error)
                await recorder.finish(status, cause=cause)
            except Exception as error:  # a fault of ours, or of a predictor, must not take the others down
                _log.exception("trace %s failed", key)
                status, cause = Status.FAILED, f"unexpected {type(error).__name__}: {error}"
                await recorder.finish(status, cause=cause)
            self.tally.finished[status] += 1
            if cause:
                self.tally.causes[cause] += 1
            return

    async def __aiter__(self) -> AsyncIterator[Trace]:
        finished: asyncio.Queue[Key | None] = asyncio.Queue()
        work = asyncio.create_task(self.work(finished.put_nowait))
        work.add_done_callback(lambda _: finished.put_nowait(None))
        reader: Reader | None = None
        try:
            while (key := await finished.get()) is not None:
                reader = reader or Reader(self.directory)
                yield reader.trace(key)
        finally:
            if not work.done():
                self.stop()
            if reader is not None:
                reader.close()
            await work

    def __iter__(self) -> Iterator[Trace]:
        """As `__aiter__`, with an event loop of its own in a thread of its own."""
        finished: queue.Queue[Key | BaseException | None] = queue.Queue()

        def work() -> None:
            try:
                asyncio.run(self.work(finished.put))
                finished.put(None)
            except BaseException as error:
                finished.put(error)

        thread = threading.Thread(target=work, name="antiphon-run", daemon=True)
        thread.start()
        reader: Reader | None = None
        try:
            while (item := finished.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                reader = reader or Reader(self.directory)
                yield reader.trace(item)
        finally:
            self.stop()
            thread.join()
            if reader is not None:
                reader.close()
