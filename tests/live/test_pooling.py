"""A token classifier behind vLLM's pooling endpoint, on CPUs, and the same in this process.

LIVE_VLLM_PYTHON=/path/to/bin/python pytest -m live tests/live/test_pooling.py -s
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import perf_counter

import pytest

from antiphon.boundary import load
from antiphon.boundary.base import BoundaryPredictor, Step, Verdict
from antiphon.boundary.words import words
from antiphon.errors import EngineUnavailable
from antiphon.trace import Author
from tests.boundary.classifiers import make
from tests.boundary.contract import whole
from tests.conftest import SHARED
from tests.live.command import vllm_python

pytestmark = [pytest.mark.live, pytest.mark.slow]

TEXTS = 40


@pytest.fixture(scope="module", params=["Qwen3, two words later", "Qwen3, before the word"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-shaped classifier with random weights, and Qwen3's tokenizer where that is here."""
    real = SHARED / "tokenizers" / "qwen3"
    says = {"lookahead": 2, "end": 2} if "later" in request.param else {"label_offset": 1}
    shape = {"hidden_size": 64, "head_dim": 64, "intermediate_size": 64}
    target = tmp_path_factory.mktemp("pooling") / "tagger"
    return make(target, says=says, tokenizer=real if real.is_dir() else None, **shape)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    python = vllm_python()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--runner", "pooling"]
    command += ["--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "8", "--enforce-eager"]
    command += ["--block-size", "32", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    began = perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if "startup complete" in line:
            break
    else:
        pytest.fail("vLLM ended:\n" + "".join(said[-30:]))
    reading = Thread(target=said.extend, args=(process.stdout,), daemon=True)  # else a full pipe would hold it up
    reading.start()
    print(f"ready after {perf_counter() - began:.0f} s: {' '.join(command)}")
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        reading.join()
        process.stdout.close()


def texts() -> list[str]:
    path = SHARED / "style_spans.jsonl"
    if not path.exists():
        return ["Okay, so let me check 3 + 4 = 7.\n\nWait, that is 好的 f(x) = 2. " * 40] * 2
    lines = path.read_text("utf-8").splitlines()[: TEXTS + 30]
    found = [json.loads(line)["text"] for line in lines]
    return [*found[:TEXTS], "\n\n".join(found[TEXTS:])]  # the last is longer than many windows


async def judged(predictor: BoundaryPredictor, text: str) -> list[Verdict]:
    """A few words at a time."""
    session, verdicts, at = predictor.session(Author.STUDENT), [], 0
    for _, end in [*words(text)[9::10], (0, len(text))]:
        verdicts += (await predictor.advance([Step(session, text[at:end], end == len(text))]))[0]
        at = end
    return whole(verdicts)


def test_the_server_says_what_this_process_says(
    folder: Path, server: tuple[str, subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, process = server
    here, there = load(str(folder)), load(f"remote:{url}?tokenizer={folder}")

    async def both() -> tuple[list[list[Verdict]], list[list[Verdict]], float]:
        given = texts()
        local = await asyncio.gather(*(judged(here, text) for text in given))
        began = perf_counter()
        remote = await asyncio.gather(*(judged(there, text) for text in given))
        return local, remote, perf_counter() - began

    local, remote, seconds = asyncio.run(both())
    pairs = [pair for one, other in zip(local, remote, strict=True) for pair in zip(one, other, strict=True)]
    with capsys.disabled():
        moved = sum(one != other for one, other in pairs)
        print(f"\n{len(pairs)} words in {seconds:.1f} s, {moved} with another confidence, {_style(local):.0%} style")
    assert 0.02 < _style(local) < 0.98
    for one, other in pairs:
        assert one[:3] == other[:3]
        assert abs(one.confidence - other.confidence) < 0.04  # a step of the grid at most

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(EngineUnavailable, match=url):
        asyncio.run(judged(there, "Okay, so let me check"))
    asyncio.run(there.close())


def _style(said: list[list[Verdict]]) -> float:
    verdicts = [verdict for each in said for verdict in each]
    return sum(verdict.style for verdict in verdicts) / len(verdicts)
