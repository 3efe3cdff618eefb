"""`antiphon train`: fine-tunes a student on an export."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.counting import Counting
from antiphon.cli.options import DEVICE, LEARNING, MAKES, SHOWS, flag, option
from antiphon.cli.stopping import INTERRUPTED, Stopping
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.errors import SettingsError, UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.train.plan import Plan
    from antiphon.train.recipe import Recipe
    from antiphon.train.tell import Progress, Trained

_PRESET = "paper"
_SHOWN = 2000  # characters of the row that is shown
_GIB = 1 << 30


def train(
    data: Annotated[Path, options.data()],
    student: Annotated[str, options.student()],
    config: options.Config = None,
    assignments: Annotated[list[str] | None, options.assignments(completing.recipe)] = None,
    to: Annotated[Path | None, options.to()] = None,
    save_at: Annotated[
        str | None,
        option(metavar="N,N...", help="Keep the model after these steps.", panel=MAKES, show_default="each epoch"),
    ] = None,
    save_every: Annotated[
        int | None,
        option(
            metavar="STEPS",
            help="How often a state is kept to go on from.",
            panel=MAKES,
            show_default="each epoch",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="Where settings begin: paper, gpu24, cpu or lab (docs/train.md).",
            panel=LEARNING,
            values=completing.names(completing.presets),
            show_default=_PRESET,
        ),
    ] = None,
    epochs: Annotated[float | None, options.epochs()] = None,
    steps: Annotated[
        int | None, option(metavar="N", help="Optimizer steps, instead of --epochs.", panel=LEARNING)
    ] = None,
    batch: Annotated[int | None, options.batch()] = None,
    rate: Annotated[float | None, options.rate()] = None,
    loss: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="What is learned from: all, capability, style_down or answer.",
            panel=LEARNING,
            values=completing.names(lambda: ("all", "capability", "style_down", "answer")),
        ),
    ] = None,
    style_weight: Annotated[
        float | None, option(metavar="W", help="A style token's weight for style_down.", panel=LEARNING)
    ] = None,
    lora: Annotated[
        int | None, option(min=0, metavar="RANK", help="Train LoRA's matrices only; 0: all weights.", panel=LEARNING)
    ] = None,
    trainer: Annotated[
        list[str] | None, option(metavar="NAME=VALUE", help="A field of TRL's SFTConfig.", panel=LEARNING)
    ] = None,
    max_length: Annotated[int | None, options.max_length("the student's context", panel=DEVICE)] = None,
    micro_batch: Annotated[
        int | None, option(metavar="ROWS", help="Rows that go through the model at once.", panel=DEVICE)
    ] = None,
    precision: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="float32, mixed or bfloat16.",
            panel=DEVICE,
            values=completing.names(lambda: ("float32", "mixed", "bfloat16")),
        ),
    ] = None,
    checkpointing: Annotated[
        bool, flag("--checkpointing", help="Less memory, a third more time or more.", panel=DEVICE)
    ] = False,
    device: options.Device = None,
    memory: Annotated[
        float | None,
        option(min=0.01, metavar="GB", help="What a device has.", panel=DEVICE, show_default="what is free"),
    ] = None,
    seed: Annotated[int | None, options.seed("0")] = None,
    dry_run: Annotated[bool, flag("--dry-run", help="Only say what would be done.", panel=SHOWS)] = False,
    report_to: Annotated[
        str | None, option(metavar="NAME,NAME...", help="Trackers, as in wandb,tensorboard.", panel=SHOWS)
    ] = None,
    json: options.Json = False,
) -> None:
    """Fine-tunes a student on an export, and says before what it takes.

    Example: antiphon train --data train.jsonl --student lab:student --to trained

    --data is what antiphon export wrote as tokens, prompt_completion or messages; --student a Hugging Face folder or
    lab:student. Rows over --max-length are left out.

    Run it again and it goes on where it stood. On several GPUs: accelerate launch -m antiphon train ...

    Exit codes: 0 done, 1 the loss is no number or the GPU is full, 2 wrong use, 3 the disk gave out, 130 interrupted.
    """
    from antiphon.train import sft
    from antiphon.train.recipe import read_recipe
    from antiphon.train.recipe import recipe as make

    quiet = json or not sft.is_main_process()
    file = {} if config is None else read_recipe(config)
    given: dict[str, Any] = {
        "epochs": epochs,
        "steps": steps,
        "batch": batch,
        "rate": rate,
        "loss": loss,
        "style_weight": style_weight,
        "seed": seed,
        "max_length": max_length,
        "micro_batch": micro_batch,
        "precision": precision,
        "gradient_checkpointing": checkpointing or None,
        "device": device,
        "save_every": save_every,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if lora is not None:
        chosen["lora"] = {"rank": lora, "alpha": 2 * lora} if lora else None
    fields = {**file.pop("trainer", {}), **_pairs(trainer, "--trainer")}
    if report_to is not None:
        fields["report_to"] = report_to.split(",")
    named = preset or file.pop("preset", _PRESET)
    file.pop("preset", None)
    recipe = make(
        named, {**file, **chosen, **_nested(_pairs(assignments, "--set"))}, "" if config is None else str(config)
    )
    room = None if memory is None else round(memory * 1e9)
    if dry_run:
        plan = sft.plan(data, student, recipe, room=room)
        if json:
            print_json(_plan_json(plan, recipe))
        elif not quiet:
            _tell(data, plan, recipe)
        if plan.short:
            raise UsageError(plan.short)
        return
    if to is None:
        raise typer.BadParameter("where to? Give a folder", param_hint="--to")
    told: dict[str, Any] = {}

    def on_plan(plan: Plan) -> None:
        told["plan"] = _plan_json(plan, recipe)
        if not quiet:
            _tell(data, plan, recipe)

    with (
        Counting("step", "done", quiet=quiet) as counting,
        Stopping(lambda: None, say if not quiet else lambda text: None) as stopping,
    ):
        try:
            trained = sft.train(
                data,
                student,
                to,
                recipe,
                save_at=_steps(save_at),
                watch=partial(_at, counting),
                on_plan=on_plan,
                asked_to_stop=lambda: stopping.asked,
                trainer=fields,
                room=room,
            )
        except KeyboardInterrupt:
            if not quiet:
                say("Interrupted. The state is kept; the same command goes on.")
            raise typer.Exit(INTERRUPTED) from None
    if json and sft.is_main_process():
        print_json({**_trained_json(trained), **told})
    elif not quiet:
        kept = f", {len(trained.checkpoints)} checkpoints" if len(trained.checkpoints) > 1 else ""
        show(f"{visible(str(trained.model))}: the trained student{kept}; its curve: {visible(str(trained.curve))}")


def _pairs(given: Iterable[str] | None, flag: str) -> dict[str, Any]:
    """What NAME=VALUE says; a value is read as JSON where it is any."""
    values: dict[str, Any] = {}
    for assignment in given or ():
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"{flag} {assignment}: write it as NAME=VALUE")
        try:
            values[name.strip()] = json_module.loads(text)
        except ValueError:
            values[name.strip()] = text
    return values


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`lora.rank` as `rank` in `lora`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        outer, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[name] = value
    return nested


def _steps(given: str | None) -> list[int]:
    try:
        return [int(step) for step in given.split(",")] if given else []
    except ValueError:
        raise typer.BadParameter(f"{given} is no list of steps, as in 100,200", param_hint="--save-at") from None


def _at(counting: Counting, now: Progress) -> None:
    counting.at(now.step, f"epoch {now.epoch:.1f}, loss {now.loss:.3f}", total=now.steps)


def _tell(data: Path, plan: Plan, recipe: Recipe) -> None:
    """What will be done, for people."""
    count, memory = plan.count, plan.memory
    show(
        f"{visible(str(data))}: {many(count.rows, 'row')}, {many(count.tokens, 'token')},"
        f" {count.trained:,} of them learned (loss {recipe.loss}); the longest row has {count.longest:,}"
    )
    if count.left_out:
        show(f"left out: {', '.join(f'{number:,} {visible(why)}' for why, number in count.left_out.items())}")
    if count.cut:
        warn(f"cut to {plan.limit:,} tokens, so that no end is learned: {many(count.cut, 'row')}")
    if count.unnamed:
        rows = many(count.unnamed, "row")
        warn(f"whose ids they hold, {rows} did not say; that they are this student's is taken on trust")
    if any(0 < weight < 1 for _, weight in plan.shown):
        how = f"in [[ ]] is learned, in [{recipe.style_weight:g}: ] with that weight"
    else:
        how = "in [[ ]] is learned"
    show(f"the first row; {how}:")
    text = "".join(_marked(text, weight) for text, weight in plan.shown)
    show(visible(text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."))
    show(
        f"memory of {plan.device}: {memory.total / _GIB:,.2f} GiB of {plan.room / _GIB:,.1f} for"
        f" {memory.parameters:,} parameters, {memory.trained:,} of them trained: weights {memory.weights / _GIB:,.2f},"
        f" gradients {memory.gradients / _GIB:,.2f}, optimizer {memory.optimizer / _GIB:,.2f}, activations"
        f" {memory.activations / _GIB:,.2f}, other {memory.other / _GIB:,.2f}"
    )
    done = f", of which {plan.done:,} are done" if plan.done else ""
    show(f"{many(plan.steps, 'step')} of {many(recipe.batch, 'row')}, {plan.steps_per_epoch:,} to an epoch{done}")


def _marked(text: str, weight: float) -> str:
    if weight == 1:
        return f"[[{text}]]"
    return f"[{weight:g}: {text}]" if weight else text


def _plan_json(plan: Plan, recipe: Recipe) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(plan),
        "memory": {**asdict(plan.memory), "total": plan.memory.total},
        "recipe": recipe.model_dump(),
    }


def _trained_json(trained: Trained) -> dict[str, Any]:
    return {
        "model": str(trained.model),
        "checkpoints": {step: str(path) for step, path in trained.checkpoints.items()},
        "curve": str(trained.curve),
    }
