"""Trains a token classifier on marked texts: the paper's predictor, a small causal model with a head of two labels.

What it is shown is what `antiphon.boundary.tagging` will show it: the same tokens of words, the same windows, labels at
the same places. Batch size, learning rate and epochs are the paper's (arXiv 2604.14164); it says nothing more, so the
rest is ours: AdamW, gradients clipped at norm 1, the rate warmed up and then falling to nothing.

A training that was killed goes on from the last state in its folder, and comes to the same weights.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from antiphon.boundary.checkpoint import (
    KEY,
    TRAINING,
    Checkpoint,
    Layout,
    architecture_of,
    checked_layout,
    find_folder,
    first_id,
    read_config,
    read_tokens,
    style_label,
)
from antiphon.boundary.classifier import load_classifier, quiet
from antiphon.boundary.making.epochs import Epoch
from antiphon.boundary.making.fitting import Example, Fitting, TaggerTraining, Text
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import Figures
from antiphon.boundary.making.split import held_out, problem_digests, require_trainable
from antiphon.boundary.tagging import Query, TaggerPredictor
from antiphon.engine.model_files import hashed
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.errors import ModelError, SettingsError
from antiphon.trace import Author

STATE = "training.pt"
"""In the predictor's folder: what an unfinished training goes on from."""

_LABELS = {0: "capability", 1: "style"}
_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json", "*.jinja")


class Step(NamedTuple):
    """Where a training is: steps done and in all, epochs done, the last step's loss (per word, natural logarithm)."""

    step: int
    steps: int
    epoch: int
    loss: float


@dataclass(slots=True)
class _State:
    """What a training goes on from."""

    step: int
    losses: list[float]
    curve: list[dict[str, Any]]


def train_tagger(
    marked: Sequence[MarkedText],
    base: str | Path,
    to: str | Path,
    training: TaggerTraining | None = None,
    *,
    where: str = "the data",
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Trains a tagger and writes it as a folder that `--boundary` takes; gives its curve.

    Goes on with what an interrupted call with the same arguments has left in the folder.

    Args:
        marked: what it learns from; some of it is held out.
        base: a causal model's folder or name at the Hugging Face hub, or a classifier to be trained further.
        to: a folder, made if need be.
        where: what the data are called in errors.
        on_step, on_epoch: told how it goes; epochs of before an interruption are told again.

    Raises:
        UsageError: the data cannot be trained on.
        ModelError: the base cannot be used.
        SettingsError: the folder holds another model or the state of another training, or cannot be written; the
            rate is too high; the device is full.
    """
    training = training or TaggerTraining()
    require_trainable(marked, where)
    folder, to = find_folder(str(base)), Path(to)
    if (to / "config.json").exists():
        raise SettingsError(f"{to}: a model stands there already; name another folder")
    config = read_config(folder)
    vocabulary = read_tokens(folder)
    layout, labels = _layout(folder, config, training, vocabulary)
    reader = _Reader(Checkpoint(folder, folder.name, vocabulary, layout, architecture_of(config)), threshold=0.5, id="")
    kept, held = held_out(marked, training.held_out, training.seed) if training.held_out else (list(marked), [])
    require_trainable(kept, f"{where}, less what is held out")
    identity = {
        "settings": {name: value for name, value in asdict(training).items() if name not in ("device", "save_every")},
        "data": hashed([[item.text, item.style, item.problem_key] for item in marked]),
        "base": hashed([config, vocabulary.digest]),
    }
    torch.manual_seed(training.seed)
    model = load_classifier(folder, headless=True, dtype=torch.float32, attn_implementation="sdpa", **labels)
    run = Fitting(model, [reader.examples(item) for item in kept], training, layout.style)
    state = _resumed(to, identity, run) or _State(0, [], [])
    with _writing(to):
        to.mkdir(parents=True, exist_ok=True)
    shown = [reader.examples(item) for item in held]
    curve = [_epoch(row) for row in state.curve]
    for epoch in curve:
        on_epoch(epoch)
    while state.step < run.steps:
        state.losses.append(run.step(state.step))
        state.step += 1
        on_step(Step(state.step, run.steps, state.step // run.per_epoch, state.losses[-1]))
        if state.step % run.per_epoch == 0:
            figures_now = run.judged(shown) if held else None
            curve.append(Epoch(len(curve) + 1, math.fsum(state.losses[-run.per_epoch :]) / run.per_epoch, figures_now))
            state.curve.append(curve[-1].as_json())
            on_epoch(curve[-1])
        if state.step % run.per_epoch == 0 or state.step % training.save_every == 0:
            _save_state(to, identity, run, state)
    about = {
        **identity,
        "base_name": folder.name,
        "texts": {"trained_on": len(kept), "held_out": len(held)},
        "epochs": state.curve,
        "losses": state.losses,
        "trained_on": sorted(problem_digests(kept)),
    }
    _write(to, folder, model, layout, about)
    return curve


class _Reader(TaggerPredictor):
    """Reads texts as the tagger will, and never asks."""

    def examples(self, marked: MarkedText) -> Text:
        queries = self.session(Author.STUDENT).ask(marked.text, finish=True)
        classes = iter(marked.classes)
        return [Example(query.ids, query.places, list(islice(classes, len(query.places)))) for query in queries]

    def answers(self, queries: Sequence[Query]) -> Future[list[list[float]]]:
        raise NotImplementedError


def _layout(
    folder: Path, config: dict[str, Any], training: TaggerTraining, vocabulary: TokenizerVocabulary
) -> tuple[Layout, dict[str, Any]]:
    """Where the labels will stand, and what transformers is told of them; a classifier's own labels are kept."""
    labels: dict[str, Any] = {"id2label": _LABELS, "label2id": {label: number for number, label in _LABELS.items()}}
    style = 1
    if any(name.endswith("ForTokenClassification") for name in config.get("architectures") or ()):
        labels, style = {}, style_label(folder, config, None)
    end = first_id(config.get("eos_token_id"), config.get("pad_token_id"), config.get("bos_token_id"))
    if end is None and training.lookahead > 0:
        raise ModelError(f"{folder}: config.json names no token that ends a text (eos_token_id)")
    layout = Layout(style, training.lookahead, training.window, vocabulary.start_id, end)
    return checked_layout(folder, config, layout, vocabulary), labels


def _epoch(row: dict[str, Any]) -> Epoch:
    held = row["held_out"]
    if held is not None:
        held = Figures(**{name: math.nan if value is None else value for name, value in held.items()})
    return Epoch(row["epoch"], row["loss"], held)


def _resumed(to: Path, identity: dict[str, Any], run: Fitting) -> _State | None:
    """The state of a training that was interrupted there, put into place."""
    file = to / STATE
    if not file.exists():
        return None
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        begun = saved["identity"]
        if begun == identity:
            run.model.load_state_dict(saved["model"])
            run.optimizer.load_state_dict(saved["optimizer"])
            return _State(saved["step"], saved["losses"], saved["curve"])
    except Exception as error:  # of many kinds, whatever stands there instead
        raise SettingsError(f"{file}: no state of a training ({error}); delete it to begin anew") from None
    differing = [name for name in ("data", "base") if begun[name] != identity[name]]
    differing += [
        f"{name} {begun['settings'].get(name)}"
        for name, value in identity["settings"].items()
        if begun["settings"].get(name) != value
    ]
    raise SettingsError(
        f"{to}: a training was begun there with other {', '.join(differing)}; name another folder or delete {STATE}"
    )


def _save_state(to: Path, identity: dict[str, Any], run: Fitting, state: _State) -> None:
    saved = {
        "identity": identity,
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        **asdict(state),
    }
    part = to / f"{STATE}.part"
    with _writing(to):
        with part.open("wb") as file:
            torch.save(saved, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(to / STATE)


def _write(to: Path, base: Path, model: Any, layout: Layout, about: dict[str, Any]) -> None:
    """Writes the finished tagger; its config.json, by which it is known as one, last."""
    made = to / "made.part"
    setattr(model.config, KEY, layout.as_config())
    with _writing(to), quiet():
        shutil.rmtree(made, ignore_errors=True)
        model.save_pretrained(made)
        for pattern in _TOKENIZER:
            for file in base.glob(pattern):
                shutil.copyfile(file, made / file.name)
        (made / TRAINING).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        for file in sorted(made.iterdir(), key=lambda file: file.name == "config.json"):
            file.replace(to / file.name)
        made.rmdir()
        (to / STATE).unlink(missing_ok=True)


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    """What goes wrong with a full disk, a file in the place of a folder, or without permission."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch has its own for a full disk
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SettingsError(f"{to}: cannot be written: {reason}; what stands there already is whole") from None
