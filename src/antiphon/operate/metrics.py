"""Figures of a run that Prometheus reads while it works.

They are the tally's and the servers' own, read when somebody asks. Only how turns' times are spread is counted here,
from the same events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from antiphon.errors import MissingDependency, UsageError
from antiphon.synth.run import Run
from antiphon.synth.score import Listener
from antiphon.trace import Status, Turn
from antiphon.version import __version__

_HOST = "127.0.0.1"
_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0)
"""Upper ends of the classes of a turn's time."""


class Metrics(Listener):
    """Hand it to a run as its listener, then `served`.

    Raises:
        MissingDependency: Prometheus' own library is not installed.
    """

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Histogram
        except ImportError:
            raise MissingDependency("prometheus-client", "watch", "--metrics") from None
        self._registry = CollectorRegistry()
        self._turns = Histogram(
            "antiphon_turn_seconds",
            "Time of a turn at its server.",
            ("role",),
            registry=self._registry,
            buckets=_SECONDS,
        )

    def turned(self, turn: Turn) -> None:
        self._turns.labels(turn.role).observe(turn.seconds)

    @contextmanager
    def served(self, run: Run, place: str) -> Iterator[str]:
        """Answers at a place while the context lasts.

        Args:
            place: a port (0: any that is free) of this machine, for itself alone; or an address and a port
                (`0.0.0.0:9464`, `[::]:9464`).

        Returns:
            The URL.

        Raises:
            UsageError: it is no such place, or it is taken.
        """
        from prometheus_client import start_http_server

        named = re.fullmatch(r"(?:\[([^\]]+)\]:|([^:]+):)?(\d{1,5})", place)
        if named is None or int(named[3]) > 65535:
            raise UsageError(f"--metrics {place}: give a port, or an address and a port: 0.0.0.0:9464")
        host = named[1] or named[2] or _HOST
        self._registry.register(_Figures(run))
        try:
            server, thread = start_http_server(int(named[3]), host, self._registry)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"--metrics {place}: nobody can listen there: {why}; give another port") from None
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{server.server_port}/metrics"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Figures:
    """What the run itself counts, as prometheus_client asks for it."""

    def __init__(self, run: Run):
        self._run = run

    def collect(self) -> Iterator[Any]:
        """All figures as they are now. Called in a thread of its own."""
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge
        from prometheus_client.core import InfoMetricFamily as Info

        run, tally = self._run, self._run.tally
        settings = run.settings
        yield Info(
            "antiphon_run",
            "What is run.",
            value={"version": __version__, "variant": run.variant, "method": settings.method},
        )
        for name, text, value in (
            ("planned", "Traces that this session is to finish.", tally.planned),
            ("before", "Traces that were finished before this session.", tally.before),
            ("in_flight", "Traces being written.", tally.in_flight),
            ("waiting", "Traces that wait for a place.", 0 if run.cast is None else run.cast.score.admission.waiting),
        ):
            yield Gauge(f"antiphon_traces_{name}", text, value)
        finished = Counter("antiphon_traces_finished", "Traces finished in this session.", labels=("status",))
        for status in Status:
            finished.add_metric((status,), tally.finished[status])
        yield finished
        verdicts = Counter("antiphon_verdicts", "Verdicts of this session.", labels=("label",))
        for label, count in dict(tally.labels).items():
            verdicts.add_metric((label,), count)
        yield verdicts
        tokens = Counter("antiphon_tokens", "Tokens that came, and what became of them.", labels=("role", "what"))
        prompts = Counter("antiphon_prompt_tokens", "Tokens of all prompts, the prefix each time.", labels=("role",))
        cached = Counter("antiphon_cached_tokens", "Of these, from the cache, as far as told.", labels=("role",))
        requests = Counter("antiphon_requests", "Requests to servers.", labels=("role",))
        for role, usage in tally.usage.items():
            for what in ("received", "kept", "thrown_away"):
                tokens.add_metric((role, what), getattr(usage, what))
            prompts.add_metric((role,), usage.prompt)
            cached.add_metric((role,), usage.cached or 0)
            requests.add_metric((role,), usage.requests)
        yield from (tokens, prompts, cached, requests)
        yield Gauge("antiphon_silent", "1 while an engine does not answer and is waited for.", int(tally.silent))
        yield from self._servers()

    def _servers(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge

        labels = ("role", "server")
        up = Gauge("antiphon_server_up", "1 if a server answered when it was last asked.", labels=labels)
        sequences = Gauge("antiphon_server_sequences", "Traces whose prefix a server keeps.", labels=labels)
        retries = Counter("antiphon_server_retries", "Requests that failed there and were tried again.", labels=labels)
        voices = {} if self._run.cast is None else self._run.cast.score.voices
        for role, voice in voices.items():
            for server in voice.engine.servers:
                up.add_metric((role, server.address), int(server.up))
                sequences.add_metric((role, server.address), server.sequences)
                retries.add_metric((role, server.address), server.retries)
        yield from (up, sequences, retries)
