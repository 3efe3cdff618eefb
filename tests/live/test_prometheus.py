"""A real Prometheus (Debian's package `prometheus`) reads a run's figures while it works."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from bench.pair import Shape, engines, problems, settings

from antiphon.synth.run import Run
from antiphon.trace import Author, Turn

pytestmark = pytest.mark.live

PATH = f"{os.environ['PATH']}:/usr/bin:/usr/sbin"
PROMETHEUS, PROMTOOL = (shutil.which(name, path=PATH) for name in ("prometheus", "promtool"))
CONFIGURATION = """
global: {{ scrape_interval: 500ms }}
scrape_configs:
  - job_name: antiphon
    static_configs: [ {{ targets: ["{target}"] }} ]
"""
PATIENCE = 600  # looks, a tenth of a second apart


class Prometheus:
    """A running one."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> float | None:
        """The value of an expression; None while it has none."""
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=5) as reply:
                found = json.load(reply)["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    def until(self, query: str, expected: float) -> None:
        """Returns when an expression has this value."""
        for _ in range(PATIENCE):
            if (value := self.ask(query)) == expected:
                return
            Event().wait(0.1)
        pytest.fail(f"{query} is {value}, not {expected}")


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Reads the figures at a place twice a second."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(target=target))
    command = [str(PROMETHEUS), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait()


@pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus: apt-get install prometheus")
def test_a_run_is_watched(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'antiphon[watch]'")
    from antiphon.operate.metrics import Metrics

    class Watched(Metrics):
        """Waits in the middle of the run until Prometheus has seen that it is there."""

        turns = 0

        def turned(self, turn: Turn) -> None:
            super().turned(turn)
            self.turns += 1
            if self.turns == 60:
                seen.until("sum(antiphon_turn_seconds_count)", 60)
                half.append(run.tally.done)
                seen.until("antiphon_traces_planned", 24)
                seen.until("antiphon_traces_in_flight", run.tally.in_flight)
                seen.until('antiphon_traces_finished_total{status="complete"}', run.tally.done)

    half: list[int] = []
    metrics = Watched()
    run = Run(
        problems(24),
        tmp_path / "run",
        settings(concurrency=8),
        listener=metrics,
        open_engine=engines(Shape(thinking=56, answer=5), 3),
    )
    with metrics.served(run, "0") as url, prometheus(tmp_path, urllib.parse.urlsplit(url).netloc) as seen:
        seen.until('up{job="antiphon"}', 1)
        asyncio.run(run.work())
        seen.until('antiphon_traces_finished_total{status="complete"}', 24)
        for role in (Author.STUDENT, Author.TEACHER):
            usage = run.tally.usage[role]
            for what in ("received", "kept", "thrown_away"):
                seen.until(f'antiphon_tokens_total{{role="{role}",what="{what}"}}', getattr(usage, what))
        seen.until("sum(antiphon_turn_seconds_count)", metrics.turns)
        seen.until("antiphon_traces_in_flight", 0)
        seen.until("histogram_quantile(0.9, sum by (le) (antiphon_turn_seconds_bucket)) >= bool 0", 1)
        with urllib.request.urlopen(url, timeout=5) as reply:
            text = reply.read()
    assert len(half) == 1 and half[0] < 24
    linted = subprocess.run([str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, b"", b"")
