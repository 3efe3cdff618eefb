"""Training taggers: what they learn, how an interrupted training goes on, and what cannot be trained on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from antiphon.boundary import load
from antiphon.boundary.making.fitting import TaggerTraining
from antiphon.boundary.making.marked import MarkedText, write_marked
from antiphon.boundary.making.split import problem_digests
from antiphon.boundary.making.train_tagger import STATE, Epoch, Step, train_tagger
from antiphon.cli.app import app
from antiphon.errors import ModelError, SettingsError, UsageError
from antiphon.trace import Author
from tests.boundary.classifiers import make
from tests.full_device import FULL, ROOM

pytestmark = pytest.mark.usefixtures("one_thread")

BASE = Path(str(files("antiphon.lab") / "models" / "student"))
HOW = TaggerTraining(epochs=2, rate=3e-3, batch=4, held_out=0.2, save_every=3, lookahead=1, tokens=600)
_STYLE = ["Okay, so", "Hmm, wait,", "Let me think.", "But maybe", "So"]
_CONTENT = ["3 + 4 = 7.", "the sum is 12", "x is even", "we add 5 to both", "f(x) = 2"]


def marked_texts(number: int, phrases: int = 5) -> list[MarkedText]:
    """Texts in which style and content take turns, two to a problem."""
    random, made = Random(0), []
    for n in range(number):
        text, spans = "", []
        for phrase in range(phrases * 2):
            words = random.choice(_CONTENT if phrase % 2 else _STYLE)
            text += random.choice([" ", "\n\n"]) if text else ""
            if phrase % 2 == 0:
                spans.append((len(text), len(text) + len(words)))
            text += words
        made.append(MarkedText(f"t{n}", text, tuple(spans), f"p{n // 2}"))
    return made


TEXTS = marked_texts(24)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> tuple[Path, list[Epoch]]:
    folder = tmp_path_factory.mktemp("trained") / "tagger"
    return folder, train_tagger(TEXTS, BASE, folder, HOW)


def test_it_learns_and_is_a_predictor(trained: tuple[Path, list[Epoch]]) -> None:
    folder, curve = trained
    assert [epoch.epoch for epoch in curve] == [1, 2]
    assert curve[1].loss < curve[0].loss
    assert all(epoch.held_out is not None and 0 <= epoch.held_out.precision <= 1 for epoch in curve)
    tagger = load(str(folder))
    assert tagger.lookahead == 1
    right = words = 0
    for text in TEXTS:
        session = tagger.session(Author.TEACHER)
        said = [verdict.style for verdict in session.feed(text.text) + session.finish()]
        right += sum(a == b for a, b in zip(said, text.classes, strict=True))
        words += len(said)
    assert right / words > 0.8
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]


def test_the_figures_held_out_are_those_of_the_predictor(trained: tuple[Path, list[Epoch]]) -> None:
    from antiphon.boundary.making.scores import compare, figures, total
    from antiphon.boundary.making.split import held_out

    folder, curve = trained
    kept, held = held_out(TEXTS, HOW.held_out, HOW.seed)
    tagger = load(str(folder))
    assert tagger.trained_on == problem_digests(kept)  # type: ignore[attr-defined]

    def said(text: str) -> list[bool]:
        session = tagger.session(Author.STUDENT)
        return [verdict.style for verdict in session.feed(text) + session.finish()]

    found = figures(total(compare(said(item.text), item.classes) for item in held))
    assert found == pytest.approx(curve[-1].held_out, abs=0.02)  # words at the threshold are rounded there


def test_the_curve_is_written(trained: tuple[Path, list[Epoch]]) -> None:
    folder, curve = trained
    about = json.loads((folder / "training.json").read_text("utf-8"))
    assert [row["loss"] for row in about["epochs"]] == [epoch.loss for epoch in curve]
    assert about["settings"]["rate"] == HOW.rate
    assert about["texts"] == {"trained_on": 18, "held_out": 6}
    assert len(about["losses"]) == 2 * -(-18 // HOW.batch)


@pytest.mark.parametrize("after", [1, 3, 5, 7])
def test_an_interrupted_training_comes_to_the_same(
    after: int, trained: tuple[Path, list[Epoch]], tmp_path: Path
) -> None:
    def interrupt(step: Step) -> None:
        steps.append(step.step)
        if step.step == after:
            raise KeyboardInterrupt

    steps: list[int] = []
    folder = tmp_path / "tagger"
    with pytest.raises(KeyboardInterrupt):
        train_tagger(TEXTS, BASE, folder, HOW, on_step=interrupt)
    steps.clear()
    told: list[Epoch] = []
    curve = train_tagger(
        TEXTS,
        BASE,
        folder,
        replace(HOW, save_every=2),
        on_step=lambda step: steps.append(step.step),
        on_epoch=told.append,
    )
    saved = max(n for n in (0, 3, 5, 6) if n < after)  # every third step, and each epoch's end
    assert steps == list(range(saved + 1, 11))
    assert told == curve == trained[1]
    for name in ("model.safetensors", "config.json", "training.json"):
        assert (folder / name).read_bytes() == (trained[0] / name).read_bytes()
    assert not (folder / STATE).exists()


def test_a_half_written_state_is_not_read(trained: tuple[Path, list[Epoch]], tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    folder.mkdir()
    (folder / f"{STATE}.part").write_bytes(b"half of it")
    (folder / "made.part").mkdir()
    assert train_tagger(TEXTS, BASE, folder, HOW) == trained[1]


def _stopped(folder: Path, how: TaggerTraining = HOW, texts: Sequence[MarkedText] = TEXTS) -> None:
    def stop(step: Step) -> None:
        if step.step > how.save_every:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tagger(texts, BASE, folder, how, on_step=stop)


def test_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    how = replace(HOW, save_every=1)
    _stopped(folder, how)
    with pytest.raises(SettingsError, match=r"begun there with other rate 0\.003, seed 0; name another folder or del"):
        train_tagger(TEXTS, BASE, folder, replace(how, rate=1e-3, seed=1))
    with pytest.raises(SettingsError, match="begun there with other data; name"):
        train_tagger(TEXTS[:-2], BASE, folder, how)
    (folder / STATE).write_bytes(b"no state")
    with pytest.raises(SettingsError, match="no state of a training"):
        train_tagger(TEXTS, BASE, folder, how)


def test_a_model_is_not_overwritten(trained: tuple[Path, list[Epoch]]) -> None:
    with pytest.raises(SettingsError, match="a model stands there already; name another folder"):
        train_tagger(TEXTS, BASE, trained[0], HOW)


def test_a_classifier_can_be_trained_further_and_keeps_its_labels(tmp_path: Path) -> None:
    base = make(tmp_path / "base", labels={0: "style", 1: "capability"}, seed=1)
    curve = train_tagger(TEXTS, base, tmp_path / "further", replace(HOW, lookahead=-1, held_out=0, window=128))
    assert curve[1].loss < curve[0].loss
    tagger = load(str(tmp_path / "further"))
    assert tagger.lookahead == -1
    session = tagger.session(Author.STUDENT)
    verdicts = [v for item in TEXTS[:1] for v in session.feed(item.text) if v.end > v.start]
    assert len(verdicts) > 10


def test_texts_longer_than_a_window_are_learned_whole(tmp_path: Path) -> None:
    long = marked_texts(10, phrases=60)
    how = replace(HOW, window=128, held_out=0, epochs=1)
    seen = []
    train_tagger(long, BASE, tmp_path / "tagger", how, on_step=seen.append)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "too little to train on, 0 texts of 0 problems"),
        (TEXTS[:8], "8 texts of 4 problems;"),
        ([replace(item, style=()) for item in TEXTS], "0 of .* words are style"),
        ([replace(item, style=((0, len(item.text)),)) for item in TEXTS], "0 of .* words are capability"),
        (TEXTS[:10], "the data, less what is held out: too little to train on, 8 texts of 4 problems"),
    ],
)
def test_what_cannot_be_trained_on(texts: list[MarkedText], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        train_tagger(texts, BASE, tmp_path / "tagger", HOW)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tagger").exists()


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        train_tagger(TEXTS, tmp_path / "nothing" / "at" / "all", tmp_path / "tagger", HOW)
    three = make(tmp_path / "three", labels={0: "a", 1: "b", 2: "c"})
    with pytest.raises(ModelError, match="3 labels"):
        train_tagger(TEXTS, three, tmp_path / "tagger", HOW)


def test_a_rate_that_is_too_high(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the loss is no number at step [0-9]: give a lower rate than 1e"):
        train_tagger(TEXTS, BASE, tmp_path / "tagger", replace(HOW, rate=1e30, warmup=0))


def test_a_taggers_training_that_does_not_go_into_a_device_goes_on_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = replace(HOW, save_every=1)
    with monkeypatch.context() as patch:
        step, steps = torch.optim.AdamW.step, iter(range(3))

        def third(self: Any, *given: Any) -> Any:
            if next(steps) == 2:
                raise FULL
            return step(self, *given)

        patch.setattr(torch.optim.AdamW, "step", third)
        with pytest.raises(SettingsError) as refused:
            train_tagger(TEXTS, BASE, tmp_path / "tagger", how)
    assert str(refused.value).startswith(f"step 3: {ROOM}; the same training goes on")
    told: list[int] = []
    train_tagger(TEXTS, BASE, tmp_path / "tagger", how, on_step=lambda now: told.append(now.step))
    assert told[0] == 3, "the two steps before are kept"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="file: cannot be written: File exists"):
        train_tagger(TEXTS, BASE, tmp_path / "file", HOW)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SettingsError, match="tagger: cannot be written: No space left on device"):
        train_tagger(TEXTS, BASE, tmp_path / "tagger", HOW)


@given(st.sampled_from(["epochs", "batch", "save_every", "lookahead", "rate", "held_out", "warmup", "decay"]))
def test_settings_out_of_range(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        TaggerTraining(**{name: -2})


def test_the_command(tmp_path: Path) -> None:
    data, to = tmp_path / "marked.jsonl", tmp_path / "tagger"
    write_marked(data, TEXTS)
    command = ["boundary", "train", "--kind", "tagger", "--data", str(data), "--to", str(to)]
    command += ["--held-out", "0.2", "--json"]
    fast = ["--rate", "3e-3", "--batch", "9", "--epochs", "1", "--lookahead", "0", "--device", "cpu"]
    done = CliRunner().invoke(app, [*command, "--base", str(BASE), *fast])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"][0]["epoch"] == 1
    assert "epoch 1: loss 0." in done.stderr
    assert "style F1" in done.stderr
    for flags, words in [
        (["--base", str(BASE)], "a model stands there already"),
        ([], "--base: of which model?"),
        (["--kind", "oracle"], "'oracle' is not a kind that is trained"),
    ]:
        refused = CliRunner().invoke(app, [*command, *flags])
        assert refused.exit_code == 2
        assert words in " ".join(refused.stderr.replace("│", " ").split())


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "marked.jsonl"
    write_marked(data, TEXTS)

    def run(to: Path, kill: bool) -> subprocess.CompletedProcess[str]:
        command = ["boundary", "train", "--kind", "tagger", "--data", str(data), "--to", str(to)]
        command += ["--base", str(BASE), "--rate", "3e-3"]
        code = "from antiphon.cli import main\n"
        if kill:  # while the second epoch's state is being written
            code += (
                "import os, signal, torch\nreal, calls = torch.save, []\n"
                "def save(*given):\n    calls.append(1)\n    real(*given)\n"
                "    len(calls) == 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
                "torch.save = save\n"
            )
        script = f"{code}import sys\nsys.argv = ['antiphon', *{command!r}]\nmain()\n"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)

    assert run(tmp_path / "whole", kill=False).returncode == 0
    assert run(tmp_path / "killed", kill=True).returncode == -signal.SIGKILL
    assert {file.name for file in (tmp_path / "killed").iterdir()} == {STATE, f"{STATE}.part"}
    done = run(tmp_path / "killed", kill=False)
    assert done.returncode == 0, done.stderr
    for name in ("model.safetensors", "training.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
