"""Figures for Prometheus: those of the tally, while a run works and when it is over; and where they are to be had."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

import pytest
from bench.pair import Shape, engines, problems, settings

from antiphon.errors import MissingDependency, UsageError
from antiphon.operate.metrics import Metrics
from antiphon.synth.run import Run
from antiphon.trace import Author, Status, Turn

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")

Figures = dict[tuple[str, ...], float]


def scraped(url: str) -> Figures:
    """All samples by name and the values of their labels."""
    with urllib.request.urlopen(url, timeout=5) as reply:
        text = reply.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


class Looking(Metrics):
    """Looks at itself in the middle of a run."""

    def __init__(self, after: int):
        super().__init__()
        self.left = after
        self.url = ""
        self.seen: Figures = {}

    def turned(self, turn: Turn) -> None:
        super().turned(turn)
        self.left -= 1
        if self.left == 0:
            self.seen = scraped(self.url)


def test_the_figures_are_the_tallys(tmp_path: Path) -> None:
    metrics = Looking(after=20)
    run = Run(
        problems(6),
        tmp_path / "run",
        settings(concurrency=2),
        listener=metrics,
        open_engine=engines(Shape(thinking=56, answer=5), 3),
    )
    with metrics.served(run, "0") as metrics.url:
        assert metrics.url.startswith("http://127.0.0.1:")
        before = scraped(metrics.url)
        asyncio.run(run.work())
        after = scraped(metrics.url)
    assert before["antiphon_traces_planned",] == before["antiphon_traces_finished_total", "complete"] == 0
    assert before.keys() >= {("antiphon_traces_finished_total", status) for status in Status}
    half = metrics.seen
    assert half["antiphon_traces_in_flight",] == 2
    assert half["antiphon_traces_planned",] == 6 > half["antiphon_traces_finished_total", "complete"]
    assert half["antiphon_turn_seconds_count", "student"] + half["antiphon_turn_seconds_count", "teacher"] == 20
    assert after["antiphon_traces_finished_total", "complete"] == 6
    assert after["antiphon_traces_in_flight",] == after["antiphon_silent",] == 0
    for role in (Author.STUDENT, Author.TEACHER):
        usage = run.tally.usage[role]
        assert after["antiphon_requests_total", role] == usage.requests
        for what in ("received", "kept", "thrown_away"):
            assert after["antiphon_tokens_total", role, what] == getattr(usage, what)
        assert after["antiphon_turn_seconds_sum", role] == pytest.approx(usage.seconds)


def test_a_place_that_is_taken_or_none(tmp_path: Path) -> None:
    run = Run(problems(1), tmp_path / "run", settings(), open_engine=engines(Shape(thinking=8, answer=2), 3))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"--metrics {port}: nobody can listen there: Address already in use"),
            Metrics().served(run, str(port)),
        ):
            pass
    for place in ("http://x", "70000", "here:there", ":9464"):
        with pytest.raises(UsageError, match="give a port, or an address and a port"), Metrics().served(run, place):
            pass


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match=r"--metrics needs prometheus-client; .*antiphon\[watch\]"):
        Metrics()
