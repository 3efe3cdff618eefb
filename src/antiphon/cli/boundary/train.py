"""`antiphon boundary train`: a predictor from marked texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.boundary.tables import share
from antiphon.cli.options import DEVICE, MODELS, READS, flag, option
from antiphon.cli.terminal import print_json, say, show, visible

if TYPE_CHECKING:
    from antiphon.boundary.making.epochs import Epoch

_NOTHING = "none"


def train(
    data: Annotated[str, options.data()],
    to: Annotated[Path, options.to()],
    held_out: Annotated[
        float,
        option(min=0, max=0.5, metavar="SHARE", help="Not trained on, but judged after each epoch.", panel=READS),
    ] = 0.1,
    kind: Annotated[
        str,
        option(
            metavar="default|tagger",
            help="The small kind that ships, or a token classifier.",
            panel=MODELS,
            values=completing.names(lambda: ("default", "tagger")),
        ),
    ] = "default",
    base: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="What to start from: default, a folder, none; for a tagger a causal model.",
            panel=MODELS,
        ),
    ] = None,
    lookahead: Annotated[
        int | None,
        option(
            min=-1,
            max=8,
            metavar="WORDS",
            help="Words that a verdict waits for.",
            panel=MODELS,
            show_default="2, or the base's",
        ),
    ] = None,
    epochs: Annotated[int | None, options.epochs("20; from none 12; a tagger's 3")] = None,
    batch: Annotated[int | None, options.batch("8; from none 64; a tagger's 32")] = None,
    rate: Annotated[float | None, options.rate("0.001; from none 0.003; a tagger's 1e-5")] = None,
    device: options.Device = None,
    bfloat16: Annotated[
        bool, flag("--bfloat16", help="Compute a tagger in bfloat16, keep float32.", panel=DEVICE)
    ] = False,
    seed: Annotated[int, options.seed()] = 0,
    json: options.Json = False,
) -> None:
    """Trains a predictor on marked texts: the small kind, or a tagger.

    Example: antiphon boundary train --data slices.jsonl --to predictors/mine

    --data is a file of marked texts: spans, tags, or brackets (docs/command.md). What is written is a folder that
    --boundary takes.

    Exit codes: 0 done, 2 wrong use, 130 interrupted.
    """
    given = {"lookahead": lookahead, "epochs": epochs, "rate": rate, "batch": batch, "seed": seed, "held_out": held_out}
    how = {name: value for name, value in given.items() if value is not None}
    if kind == "default":
        if device is not None or bfloat16:
            raise typer.BadParameter(
                "only a tagger takes it; give --kind tagger, or leave it out",
                param_hint="--device" if device else "--bfloat16",
            )
        curve = _train_default(data, base or kind, to, how)
    elif kind == "tagger":
        if base is None:
            raise typer.BadParameter("of which model? Give the folder or name of a causal model", param_hint="--base")
        curve = _train_tagger(data, base, to, how | {"device": device or "auto", "bfloat16": bfloat16})
    else:
        raise typer.BadParameter(f"{kind!r} is not a kind that is trained; give default or tagger", param_hint="--kind")
    from antiphon.boundary.checkpoint import TRAINING

    if json:
        print_json({"path": str(to), "epochs": [epoch.as_json() for epoch in curve]})
        return
    show(f"{visible(str(to))}: a predictor, to be named as --boundary {visible(str(to))}; its curve is in {TRAINING}")


def _train_default(data: str, base: str, to: Path, how: dict[str, Any]) -> list[Epoch]:
    from antiphon.boundary.making.marked import read_marked

    marked = read_marked(data)
    _require("torch", "training a predictor")
    from antiphon.boundary.making.train_default import FURTHER, DefaultTraining, train_default

    if base == _NOTHING:
        return train_default(marked, to, DefaultTraining(**how), where=data, on_epoch=_tell)
    return train_default(marked, to, replace(FURTHER, **how), base=base, where=data, on_epoch=_tell)


def _train_tagger(data: str, base: str, to: Path, how: dict[str, Any]) -> list[Epoch]:
    from antiphon.boundary.making.marked import read_marked

    marked = read_marked(data)
    for library in ("torch", "transformers"):
        _require(library, "training a tagger")
    from antiphon.boundary.making.fitting import TaggerTraining
    from antiphon.boundary.making.train_tagger import Step, train_tagger
    from antiphon.cli.counting import Counting

    with Counting("step", "done") as counting:

        def on_step(step: Step) -> None:
            counting.at(step.step, f"loss {step.loss:.3f}", total=step.steps)

        try:
            return train_tagger(marked, base, to, TaggerTraining(**how), where=data, on_step=on_step, on_epoch=_tell)
        except KeyboardInterrupt:
            say("Interrupted. The state is kept; the same command goes on.")
            raise


def _require(library: str, purpose: str) -> None:
    from antiphon.errors import MissingDependency

    try:
        __import__(library)
    except ImportError:
        raise MissingDependency(library, "local", purpose) from None


def _tell(epoch: Epoch) -> None:
    say(_told(epoch))


def _told(epoch: Epoch) -> str:
    line = f"epoch {epoch.epoch}: loss {epoch.loss:.4f}"
    if (held := epoch.held_out) is None:
        return line
    return (
        f"{line}; held out: style F1 {share(held.style_f1)}, boundary {share(held.exact_f1)}, within one word"
        f" {share(held.near_f1)}"
    )
