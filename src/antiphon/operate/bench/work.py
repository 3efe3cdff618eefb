"""A run that is watched while it writes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import antiphon.boundary
from antiphon.boundary.making.judge import speed
from antiphon.boundary.words import words
from antiphon.engine.base import Engine
from antiphon.engine.http import HttpEngine
from antiphon.engine.http.faults import Fault, Refused
from antiphon.errors import AntiphonError, EngineUnavailable, UsageError
from antiphon.operate.bench.counters import Counted, counted
from antiphon.operate.bench.figures import Figures, Noted, Reading, Seat, figures, window
from antiphon.operate.bench.watch import Moment, Watch
from antiphon.plural import many
from antiphon.problem import Problem
from antiphon.settings import Role, Settings
from antiphon.store import Reader
from antiphon.synth.cast import EngineOpener
from antiphon.synth.methods import method
from antiphon.synth.run import Run
from antiphon.synth.session import coreless
from antiphon.trace import Author

_GLANCE = 0.1  # seconds between two looks at the run, at most
_ASKED = 2.0  # and between two questions to a server
_LEAST = 5  # looks at least
_READ = 20_000  # characters of thinking on which predictors are timed


class Bench:
    """Writes traces of problems for a while, and measures. Use once.

    Args:
        directory: the run directory; a run in it is taken up.
        seconds: from the first trace on (loading is not counted) until the run is stopped; it may end before.
        open_engine: gives the engine for a model's name.

    Attributes:
        run: what writes; its `stop` ends the bench early.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        directory: Path,
        settings: Settings,
        *,
        seconds: float,
        open_engine: EngineOpener,
    ):
        self._watch = Watch()
        self._moments: list[Moment] = []
        self._counted: dict[str, list[tuple[float, Counted]]] = defaultdict(list)
        self._settings = settings
        self._seconds = seconds
        self._open_engine = open_engine
        self._roles: dict[Author, Role] = {
            role: getattr(settings, role.value) for role in method(settings.method).roles
        }
        self._engines: dict[Author, Engine] = {}
        self._seats: dict[Author, Seat] = {}
        plain = settings.model_copy(update={"until_right": None})  # which answers are right does not matter here
        self.run = Run(problems, directory, plain, listener=self._watch, open_engine=self._open)

    async def work(self, on_remark: Callable[[str], None] = lambda remark: None) -> Figures:
        """Writes, and tells what was measured.

        Args:
            on_remark: see `Run.work`.

        Raises:
            AntiphonError: as `Run.work`.
            UsageError: nothing was left to write, or it was written before anything could be measured.
        EngineUnavailable: no server answered in time.
        """
        looking = asyncio.create_task(self._look())
        try:
            await self.run.work(on_remark=on_remark)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        self._require_enough()
        boundary = self._settings.boundary
        pages = {role: str(getattr(boundary, role.value)) for role in self._roles}
        readings = {page: await self._read(page) for page in dict.fromkeys(pages.values())}
        noted = Noted(
            turns=self._watch.turns,
            moments=self._moments,
            counted=self._counted,
            judged=self._watch.judged,
            readings={role: reading for role, page in pages.items() if (reading := readings[page]) is not None},
        )
        settings = self._settings
        return figures(
            noted,
            self._seats,
            concurrency=settings.concurrency,
            run_ahead=settings.run_ahead,
            planned=self.run.tally.planned,
        )

    def _open(self, reference: str, **how: object) -> Engine:
        engine = self._open_engine(reference, **how)
        for author, role in self._roles.items():
            if role.model == reference and all(getattr(role, name) == value for name, value in how.items()):
                self._engines[author] = engine
        return engine

    def _require_enough(self) -> None:
        """Raises:
        UsageError, EngineUnavailable: there is nothing to measure.
        """
        tally = self.run.tally
        if not tally.planned:
            raise UsageError(f"{self.run.directory}: all traces of these problems are finished; give others")
        if tally.silent and not any(heard.turn.received for heard in self._watch.turns):
            raise EngineUnavailable(f"no token in {self._seconds:g} s: a server does not answer; ask antiphon doctor")
        span = window(self._moments) if self._moments else None
        if span is None or sum(span.begin <= moment.time <= span.end for moment in self._moments) < _LEAST:
            causes = "".join(f"; {count} x {cause}" for cause, count in tally.causes.most_common(1))
            raise UsageError(
                f"{tally.done} of {many(tally.planned, 'trace')} over before anything could be measured; give more "
                f"problems, or --samples N{causes}"
            )

    async def _look(self) -> None:
        """Noted how the run stands from its first trace on, and stops it in time."""
        while not self.run.tally.planned:  # noqa: ASYNC110 - a tally has no event to wait for
            await asyncio.sleep(_GLANCE)
        glance = min(_GLANCE, self._seconds / 50)
        self._seats = {role: await _seat(self._engines[role]) for role in self._roles}
        asking = asyncio.create_task(self._ask())
        try:
            began = due = time.monotonic()
            while (now := time.monotonic()) - began < self._seconds:
                self._note(now, late=now - due)
                due = now + glance
                await asyncio.sleep(glance)
            self._note(now, late=now - due)
        finally:
            self.run.stop()
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    def _note(self, now: float, *, late: float) -> None:
        tally = self.run.tally
        self._moments.append(
            Moment(
                now,
                tally.in_flight,
                process=time.process_time(),
                loop=time.thread_time(),
                coreless=coreless(),
                late=max(0.0, late),
                silent=tally.silent,
            )
        )

    async def _ask(self) -> None:
        """Asks the servers for their counters, again and again."""
        engines = [engine for engine in dict.fromkeys(self._engines.values()) if isinstance(engine, HttpEngine)]
        clients = {client: engine.wire.kind for engine in engines for client in engine.clients}
        while clients:
            for client, kind in list(clients.items()):
                try:
                    told = counted(await client.text("/metrics"), kind)
                except Refused:
                    told = None
                except Fault:  # it may be gone for now
                    continue
                if told is None:
                    del clients[client]
                else:
                    self._counted[client.shown].append((time.monotonic(), told))
            await asyncio.sleep(min(_ASKED, self._seconds / 20))

    async def _read(self, boundary: str) -> Reading | None:
        """How fast a predictor reads what was written, alone; None where the method has none, or nothing was."""
        if not method(self._settings.method).predicted:
            return None
        text = self._thinking()
        try:
            predictor = antiphon.boundary.load(boundary)
            try:
                read = words(text)
                if not read:
                    return None
                rate = (await speed(predictor, [text])).online
                return Reading(len(read) / len(text) / rate, predictor.lookahead)
            finally:
                await predictor.close()
        except AntiphonError:
            return None

    def _thinking(self) -> str:
        texts: list[str] = []
        with Reader(self.run.directory) as reader:
            for trace in reader.traces(variant=self.run.variant):
                texts.append(trace.thinking)
                if sum(map(len, texts)) >= _READ:
                    break
        return "\n\n".join(texts)[:_READ]


async def _seat(engine: Engine) -> Seat:
    can = await engine.capabilities()
    return Seat(
        kind=engine.wire.kind if isinstance(engine, HttpEngine) else None,
        slots=can.slots,
        textual=not can.ids and can.continues,
        launched=engine.launched is not None,
    )
