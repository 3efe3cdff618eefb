"""`antiphon boundary train`: a predictor from marked texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.boundary.tables import share
from antiphon.cli.terminal import print_json, say, show, stderr, visible

if TYPE_CHECKING:
    from antiphon.boundary.making.train_tagger import Epoch

TAGGER = "For --kind tagger"

_TOLD = 20  # steps between two lines where there is no terminal


def train(
    data: Annotated[str, typer.Option(metavar="FILE", help="Marked texts: spans, tags, or brackets.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the predictor, as --boundary takes it.")],
    kind: Annotated[str, typer.Option(metavar="tagger", help="What is trained: a token classifier.")] = "tagger",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of everything that is drawn.")] = 0,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Not trained on, but judged after each epoch.")
    ] = 0.1,
    base: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A causal model: a folder, or a name at the hub.", rich_help_panel=TAGGER),
    ] = None,
    lookahead: Annotated[
        int,
        typer.Option(min=-1, max=8, metavar="WORDS", help="Words that a verdict waits for.", rich_help_panel=TAGGER),
    ] = 2,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="The paper's are 3.", rich_help_panel=TAGGER)] = 3,
    rate: Annotated[float, typer.Option(metavar="R", help="Highest learning rate.", rich_help_panel=TAGGER)] = 1e-5,
    batch: Annotated[int, typer.Option(min=1, metavar="TEXTS", help="Texts to a step.", rich_help_panel=TAGGER)] = 32,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 ...", rich_help_panel=TAGGER)
    ] = "auto",
    bfloat16: Annotated[
        bool,
        typer.Option(
            "--bfloat16", metavar=options.NO_VALUE, help="Compute in bfloat16, keep float32.", rich_help_panel=TAGGER
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Trains a boundary predictor. Started again, it goes on where it was interrupted.

    Example: antiphon boundary train --kind tagger --base smollm2-hf --data slices.jsonl --to taggers/mine
    """
    if kind == "tagger":
        if base is None:
            raise typer.BadParameter("a tagger needs the model that it is made of", param_hint="--base")
        how = {"lookahead": lookahead, "epochs": epochs, "rate": rate, "batch": batch, "device": device}
        how |= {"seed": seed, "held_out": held_out, "bfloat16": bfloat16}
        _train_tagger(data, base, to, how, json=json)
    else:
        raise typer.BadParameter(f"{kind!r} is not a kind that is trained; there is: tagger", param_hint="--kind")


def _train_tagger(data: str, base: str, to: Path, how: dict[str, Any], *, json: bool) -> None:
    from antiphon.boundary.making.marked import read_marked
    from antiphon.errors import MissingDependency

    marked = read_marked(data)
    for library in ("torch", "transformers"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependency(library, "local", "training a tagger") from None
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from antiphon.boundary.checkpoint import TRAINING
    from antiphon.boundary.making.fitting import TaggerTraining
    from antiphon.boundary.making.train_tagger import Step, train_tagger

    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)

        def on_step(step: Step) -> None:
            progress.update(task, description=f"loss {step.loss:.3f}", completed=step.step, total=step.steps)
            if not console.is_terminal and step.step % _TOLD == 0:
                say(f"step {step.step} of {step.steps}: loss {step.loss:.3f}")

        try:
            curve = train_tagger(
                marked,
                base,
                to,
                TaggerTraining(**how),
                where=data,
                on_step=on_step,
                on_epoch=lambda epoch: say(_told(epoch)),
            )
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from the last state that was written")
            raise
    if json:
        print_json({"path": str(to), "epochs": [epoch.as_json() for epoch in curve]})
        return
    show(f"{visible(str(to))}: a predictor, to be named as --boundary {visible(str(to))}; its curve is in {TRAINING}")


def _told(epoch: Epoch) -> str:
    line = f"epoch {epoch.epoch}: loss {epoch.loss:.4f}"
    if (held := epoch.held_out) is None:
        return line
    return (
        f"{line}; held out: style F1 {share(held.style_f1)}, boundary {share(held.exact_f1)}, within one word"
        f" {share(held.near_f1)}"
    )
