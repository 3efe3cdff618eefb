"""Many traces at once, on one run directory: no barrier, nothing finished is ever lost."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from antiphon import events
from antiphon.engine.models import open_engine
from antiphon.errors import AntiphonError, EngineUnavailable, SettingsError, StoreError
from antiphon.plural import many
from antiphon.problem import Problem
from antiphon.problem.shard import Shard, Share
from antiphon.settings import Settings
from antiphon.store import Asked, Reader, Store
from antiphon.store.place import DATABASE
from antiphon.synth.ahead import Settled
from antiphon.synth.cast import Cast, EngineOpener, assemble, chosen_method
from antiphon.synth.composing import Composer
from antiphon.synth.crew import Crew
from antiphon.synth.given import find
from antiphon.synth.outage import Outage
from antiphon.synth.sampling import Check, Every, Sampling, UntilRight
from antiphon.synth.score import Both, Listener
from antiphon.synth.session import LoopTime
from antiphon.synth.spend import LimitReached, Spend, prices
from antiphon.synth.tally import Tally
from antiphon.trace import Author, Key, Status, Trace, Usage

_log = logging.getLogger(__name__)


class Run:
    """One variant's traces of some problems, in one run directory.

    Iterate over it (`for` or `async for`, also where an event loop already runs) to write what is missing and get
    every finished trace: those of earlier sessions first, then each as it ends. Leaving the loop early stops the run
    and keeps everything; a later `Run` on the same directory goes on.

    At a limit (`settings.max`) no further turn is begun; those in flight end, and the run with them. All that is kept
    stays, unfinished traces are pending, and `tally.spend.stopped` says why.

    Args:
        share: where the problems are those of `settings.shard` alone, what they are of the whole; unless given they are
            the whole's, of which the shard's are written.
        variant: its name in the run directory; the method's unless given.
        retry: statuses whose traces are written anew.
        listener: hears all traces as they are written.
        open_engine: gives the engine for a model's name.
        check: judges answers, with `settings.until_right`, and is not asked otherwise. Traces are given, then, when
            they are judged.

    Raises:
        SettingsError: a limit on the cost, and no prices; `until_right`, and no check; or a shard that is none.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        directory: str | Path,
        settings: Settings,
        *,
        share: Share | None = None,
        variant: str | None = None,
        retry: Collection[Status] = (),
        listener: Listener | None = None,
        open_engine: EngineOpener = open_engine,
        check: Check | None = None,
    ):
        self.directory = Path(directory)
        self.settings = settings
        prices(settings)  # what is wrong with them is said before anything is loaded
        if settings.until_right is not None and check is None:
            raise SettingsError("until_right: nothing was given that tells which answers are right (check=)")
        self.variant = variant or settings.method
        self.tally = Tally()
        self.repaired: str | None = None
        """What was found torn in the run directory and mended, if anything."""
        self.ahead: Mapping[tuple[Author, str], Settled] = {}
        """How far requests run ahead, by role and server, as far as that is settled (`run_ahead`)."""
        self.admitted = ""
        """What changed the number of traces in flight, in words (`antiphon.synth.admission`)."""
        self.share = share
        """What this run writes of the problems, where that is a shard."""
        self.cast: Cast | None = None
        """The voices, once they are there, for those who watch."""
        self._problems: Mapping[str, Problem] = {problem.id: problem for problem in problems[: settings.limit]}
        if settings.shard is not None and share is None:
            shard = Shard.parse(settings.shard)
            self.share = Share.of(shard, self._problems)
            self._problems = {id: problem for id, problem in self._problems.items() if id in shard}
        self._retry = retry
        self._listener = self.tally if listener is None else Both(self.tally, listener)
        self._open_engine = open_engine
        self._check = check
        self._crew = Crew()
        self._sources: set[tuple[str, int]] | None = None

    @property
    def keys(self) -> list[Key]:
        """All traces of this run, finished or not, in the order of the problems; with `until_right` also those that
        may not become necessary."""
        settings = self.settings
        samples = settings.samples if settings.until_right is None else settings.max_samples
        keys = (Key(problem, self.variant, sample) for problem in self._problems for sample in range(samples))
        return [key for key in keys if self._sources is None or (key.problem, key.sample) in self._sources]

    def stop(self) -> None:
        """Stops the run soon, from any thread; what was kept so far stays, traces in flight stay pending."""
        self._crew.stop()

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
        self.tally.began = time.monotonic()
        self._take_up()
        chosen = chosen_method(self.settings)
        given = find(chosen, self.settings, self.directory, self.variant, self._problems.values())
        cast = await assemble(self.settings, given=given, listener=self._listener, open_engine=self._open_engine)
        self.cast = cast
        try:
            for remark in cast.remarks:
                on_remark(remark)
            with Store.open(self.directory) as store, Reader(self.directory) as reader:
                self.repaired = self.repaired or store.repaired
                store.set_share(self.share)
                store.add_problems(self._problems.values())
                self._problems = Asked(self._problems, reader)
                store.add_variant(self.variant, cast.shaping, cast.about)
                if given.source is not None:
                    self._keep_to(reader, given.source, on_remark)
                sampling = self._sampling(store, reader)
                spend = self.tally.spend = self._spend(cast, reader)
                composer = Composer(
                    cast,
                    self._problems,
                    store,
                    reader,
                    self.variant,
                    source=given.source,
                    candidates=self.settings.candidates,
                    before_turn=spend.check,
                )
                for key in sampling.done:
                    on_finished(key)
                self._tell_of_session("session_began", planned=self.tally.planned, before=self.tally.before)
                loop = LoopTime()
                try:
                    await self._perform(sampling, store, cast, spend, composer, on_finished)
                finally:
                    self.ahead = cast.score.run_ahead.settled
                    self.admitted = cast.score.admission.told
                    self._tell_of_session(
                        "session_ended", **{status.value: n for status, n in self.tally.finished.items()}
                    )
                    if self.tally.turns:
                        store.add_session(self.variant, loop.session(self.tally))
                    await store.flush()
        finally:
            await cast.close()

    def _take_up(self) -> None:
        """Refuses a directory of another shard, or one that is being written, before models are loaded; mends what was
        left torn there."""
        if (self.directory / DATABASE).exists():
            with Store.open(self.directory) as store:
                store.set_share(self.share)
                self.repaired = store.repaired

    def _tell_of_session(self, event: str, **counts: int) -> None:
        events.happened(event, run=str(self.directory), variant=self.variant, **counts)

    def _keep_to(self, reader: Reader, source: str, on_remark: Callable[[str], None]) -> None:
        """Only to what the source has a complete trace of."""
        asked = len(self.keys)
        self._sources = {
            (standing.key.problem, standing.key.sample)
            for together in reader.standings(variant=source)
            for standing in together
            if standing.status is Status.COMPLETE
        }
        if lacking := asked - len(self.keys):
            of_all = f"{lacking:,} of {many(asked, 'trace')}"
            on_remark(f"{of_all} not written: the variant {source} has none that is complete")

    def _sampling(self, store: Store, reader: Reader) -> Sampling:
        wanted, most = self.settings.until_right, self.settings.max_samples
        if wanted is None or self._check is None:
            return Every(store, self.tally, self.keys, self.variant, self._retry)
        return UntilRight(
            store,
            reader,
            self.tally,
            self._problems,
            self.variant,
            self._retry,
            wanted=wanted,
            most=most,
            check=self._check,
        )

    def _spend(self, cast: Cast, reader: Reader) -> Spend:
        own = {self.variant, *(f"{self.variant}.{part}" for part in cast.parts)}
        earlier: dict[Author, Usage] = reader.call_totals(self.variant)
        for variant in own.intersection(known.name for known in reader.variants()):
            for role, usage in reader.totals(variant).items():
                earlier[role] = earlier.get(role, Usage()) + usage
        textual = [role for role, voice in cast.score.voices.items() if not voice.counts_tokens]
        began, session = self.tally.began, self.tally.usage
        return Spend(self.settings, began=began, session=session, earlier=earlier, textual=textual)

    async def _perform(
        self,
        sampling: Sampling,
        store: Store,
        cast: Cast,
        spend: Spend,
        composer: Composer,
        on_finished: Callable[[Key], None],
    ) -> None:
        outage = Outage((*cast.engines, *cast.predictors), self.settings.outage)
        places = min(self.settings.concurrency, sampling.at_once, cast.room or sampling.at_once)
        cast.score.run_ahead.in_flight = max(1, places)
        cast.score.admission.open(places)
        self.tally.places = places
        # As many again may be judged, or wait for that, while as many are written.
        workers = min(places if self.settings.until_right is None else 2 * places, sampling.at_once)
        await self._crew.work(
            lambda: self._worker(sampling, store, cast, outage, spend, composer, on_finished), workers
        )

    async def _worker(
        self,
        sampling: Sampling,
        store: Store,
        cast: Cast,
        outage: Outage,
        spend: Spend,
        composer: Composer,
        on_finished: Callable[[Key], None],
    ) -> None:
        try:
            while (todo := await sampling.next()) is not None:
                key, status = todo
                if status is None:
                    async with cast.score.admission.place():
                        await outage.clear()
                        spend.check()
                        self.tally.in_flight += 1
                        try:
                            with events.concerning(key):
                                status = await self._write(key, store, outage, composer)
                        finally:
                            self.tally.in_flight -= 1
                await sampling.finished(key, status)
                on_finished(key)
        except LimitReached:
            await sampling.stop()

    async def _write(self, key: Key, store: Store, outage: Outage, composer: Composer) -> Status:
        """One trace to its end, through outages; how it ended.

        Raises:
            LimitReached: it stays as it is, pending.
        """
        while True:
            try:
                status, cause = await composer.write(key)
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
                await store.recorder(key).finish(status, cause=cause)
            except Exception as error:  # a fault of ours, or of a predictor, must not take the others down
                _log.exception("trace %s failed", key)
                status, cause = Status.FAILED, f"unexpected {type(error).__name__}: {error}"
                await store.recorder(key).finish(status, cause=cause)
            self.tally.finished[status] += 1
            if cause:
                self.tally.causes[cause] += 1
            if status is Status.FAILED:
                events.warned("trace_failed", cause=cause)
            return status

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
