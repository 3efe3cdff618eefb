"""The public command as people call it, and the vLLM of the live tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.store import Reader
from antiphon.trace import Trace


def synth(problems: Path, run: Path, *flags: str) -> dict[str, Any]:
    """`antiphon synth`, which must end with exit code 0. Gives what it says as JSON."""
    command = [sys.executable, "-m", "antiphon", "synth", str(problems), "--run", str(run), "--json", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def traces(run: Path, variant: str) -> list[Trace]:
    """Those of one variant, in the order of their keys."""
    with Reader(run) as reader:
        return sorted(reader.traces(variant=variant), key=lambda trace: trace.key)


def vllm_python() -> Path:
    """The Python that has vLLM; skips the test without one."""
    path = os.environ.get("LIVE_VLLM_PYTHON")
    if not path or not Path(path).exists():
        pytest.skip("needs vLLM: LIVE_VLLM_PYTHON names no Python that has it")
    return Path(path)


def hf_form(file: str, folder: Path) -> Path:
    """The model of a GGUF file as a Hugging Face folder, made by `scripts/hf-form`."""
    script = Path(__file__).parents[2] / "scripts" / "hf-form"
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    subprocess.run([script, file, folder], check=True, env={**os.environ, "PATH": path})
    return folder
