"""How the shipped predictor is made, and how good it is on problems that it never saw.

python -m bench.predictors ship --base DIR --work DIR --to DIR     makes it
python -m bench.predictors folds --base DIR --work DIR             five-fold: makes it five times, judges each
python -m bench.predictors models --base DIR --work DIR            leaves one model of origin out at a time

The base is SmolLM2-135M in the form of Hugging Face (`scripts/hf-form` makes it of a .gguf file), of which the
labellers are made: minutes each on a GPU, hours without. Labels and predictors that stand in --work are not made again.
"""

from __future__ import annotations

import argparse
import asyncio
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
TRAINING = DefaultTraining(held_out=0, lookahead=2)
Parts = dict[str, list[MarkedText]]
_ONLINE, _WHOLE = ("style_f1", "exact_f1", "near_f1"), ("style_f1", "near_f1")


def labelled(base: Path, work: Path, unseen: data.Unseen) -> dict[str, labeller.Labels]:
    """The labels of all unmarked texts but those, by a labeller that knows none of those; made once."""
    texts = list(data.unmarked(unseen))
    file = work / "labels.npz"
    if not file.exists():
        marked = data.marked(unseen)
        print(f"labeller: {len(marked)} marked texts, {len(texts)} to be labelled", flush=True)
        fitted = labeller.fit(base, texts, marked, SEED, lambda line: print(line, flush=True))
        work.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        rows = labeller.labels(fitted, texts)
        np.savez_compressed(part, lengths=[len(row) for row in rows], labels=np.concatenate(rows))
        part.replace(file)
    with np.load(file) as stored:
        rows = np.split(stored["labels"], np.cumsum(stored["lengths"])[:-1])
    return {text: row for text, row in zip(texts, rows, strict=True) if len(row)}


def soft_words(found: Sequence[dict[str, labeller.Labels]]) -> list[Words]:
    """The texts with what the labellers that know their labels say together: their mean."""
    together: dict[str, list[labeller.Labels]] = defaultdict(list)
    for labels in found:
        for text, row in labels.items():
            together[text].append(row)
    sure = {
        text: [1 / (1 + np.exp(-labeller.STEP * row.astype(np.float32))) for row in rows]
        for text, rows in together.items()
    }
    return [words_of(text, np.mean(rows, axis=0)) for text, rows in sure.items()]


def made(soft: Sequence[Words], folder: Path, unseen: data.Unseen, training: DefaultTraining) -> Path:
    """A predictor in this folder; made once."""
    if not (folder / "config.json").exists():
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


def ship(base: Path | None, work: Path, parts: Parts, to: Path, training: DefaultTraining) -> None:
    """Makes the predictor of all marks, and of what the labellers of the folds say together."""
    found = [] if base is None else [labelled(base, work / name, _without(part)) for name, part in parts.items()]
    shutil.copytree(made(soft_words(found), work / "all" / "default", data.Unseen(), training), to)


def cross_validated(base: Path | None, work: Path, parts: Parts, training: DefaultTraining, *, families: bool) -> None:
    """Judges each part by a predictor that knows nothing of its problems, nor of its models if `families`."""
    judgements = []
    for name, part in parts.items():
        unseen = _without(part, families=families)
        soft = [] if base is None else soft_words([labelled(base, work / name, unseen)])
        kind = "marks" if base is None else "labels"
        folder = work / name / f"{kind}-{training.lookahead}"
        judgements += judged(made(soft, folder, unseen, training), part)
        print(f"after {name}: {len(judgements)} slices", flush=True)
    report(judgements)


def _without(part: Sequence[MarkedText], *, families: bool = False) -> data.Unseen:
    models = frozenset(data.family(item.model) for item in part) if families else frozenset()
    return data.Unseen(frozenset(item.problem_key for item in part), models)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ship", "folds", "models"])
    parser.add_argument("--base", type=Path, help="unset: nothing is learnt from unmarked texts")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--to", type=Path, help="ship: the folder of the predictor")
    parser.add_argument("--lookahead", type=int, default=TRAINING.lookahead)
    parser.add_argument("--fold", type=int, nargs="*", default=range(FOLDS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training = replace(TRAINING, lookahead=arguments.lookahead)
    parts: Parts = defaultdict(list)
    if arguments.what == "models":
        for item in data.gold():
            parts[data.family(item.model)].append(item)
    else:
        found = folds(data.gold(), FOLDS, SEED)
        parts = {f"fold{number}": found[number] for number in arguments.fold}
    if arguments.what == "ship":
        ship(arguments.base, arguments.work, parts, arguments.to, training)
    else:
        cross_validated(arguments.base, arguments.work, parts, training, families=arguments.what == "models")


if __name__ == "__main__":
    main()
