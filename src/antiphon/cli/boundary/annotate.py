"""`antiphon boundary annotate`: slices of thinking, marked by a model or laid out for people to mark."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import completing, options
from antiphon.cli.counting import Counting
from antiphon.cli.options import MAKES, MODELS, WORKING, flag, option
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.boundary.making.annotate import Annotation
    from antiphon.boundary.making.corpus import Corpus, Cut
    from antiphon.boundary.making.forms import Style
    from antiphon.boundary.making.journal import Outcome
    from antiphon.settings import Settings

_NOBODY = "none"  # instead of a model
_SHOWN = 100  # characters of a reply that could not be used
_FAULTS = 5


def annotate(
    traces: Annotated[list[str], typer.Argument(metavar="TRACES...", help="Run directories, files of traces, globs.")],
    to: Annotated[Path, options.to()],
    config: options.Config = None,
    assignments: options.Assignments = None,
    slices: Annotated[int, option(min=1, metavar="N", help="How many slices.", panel=MAKES)] = 100,
    words: Annotated[str, option(metavar="A-B", help="Their length in words.", panel=MAKES)] = "60-100",
    test_share: Annotated[
        float,
        option(min=0, max=0.5, metavar="SHARE", help="How many are for testing, with their problems.", panel=MAKES),
    ] = 0.2,
    domain: Annotated[
        str, option(metavar="NAME", help="What they are about, where the traces do not say.", panel=MAKES)
    ] = "",
    model: Annotated[str | None, options.model()] = None,
    rules: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="A boundary whose marks are shown as a proposal.",
            panel=MODELS,
            values=completing.names(completing.boundaries),
        ),
    ] = None,
    concurrency: options.Concurrency = None,
    seed: Annotated[int, options.seed()] = 0,
    again: options.Again = False,
    yes: Annotated[bool, flag("--yes", help="Go on without a question.", panel=WORKING)] = False,
    json: options.Json = False,
) -> None:
    """Cuts slices of thinking from traces and has their style marked.

    Example: antiphon boundary annotate runs/one --to marks --model http://host:8000

    The model stands in the teacher's place in the settings. With --model none the slices are laid out for people, and
    read back by the same command once they are marked. Run it again and it goes on where it stood.

    Exit codes: 0 done, 1 some replies were of no use, 2 wrong use, 3 a service or disk gave out, 130 interrupted.
    """
    from antiphon.boundary.making.corpus import gather
    from antiphon.settings import load

    cut = _cut(words, seed)
    by_hand = model == _NOBODY
    settings = load(
        config,
        {
            "teacher.model": None if by_hand else model,
            "concurrency": concurrency,
            **options.assigned(assignments),
        },
    )
    if not by_hand and settings.teacher.model is None:
        raise typer.BadParameter("who is to mark them? Give a model, or none for people", param_hint="--model")
    corpus = gather(traces, slices, cut, test_share=test_share, domain=domain)
    for line in corpus.faults[:_FAULTS]:
        warn(f"skipped: {line}")
    if len(corpus.faults) > _FAULTS:
        warn(f"skipped: and {len(corpus.faults) - _FAULTS} more")
    marks = _marks(rules, corpus)
    if by_hand:
        raise typer.Exit(_lay_out_or_read_back(to, corpus, marks, json=json))
    raise typer.Exit(
        _ask(to, corpus, cut, settings, marks, test_share=test_share, retry=again, yes=yes, json=json),
    )


def _cut(given: str, seed: int) -> Cut:
    from antiphon.boundary.making.corpus import Cut

    found = re.fullmatch(r"(\d+)(?:-(\d+))?", given.strip())
    shortest, longest = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < shortest <= longest:
        raise typer.BadParameter(f"{given!r} is no length; write it as 60-100", param_hint="--words")
    return Cut(shortest, longest, seed)


def _marks(rules: str | None, corpus: Corpus) -> Mapping[str, Style]:
    """What a boundary says of the slices."""
    import antiphon.boundary
    from antiphon.boundary.making.annotate import premarked

    if rules is None:
        return {}
    predictor = antiphon.boundary.load(rules)

    async def read() -> Mapping[str, Style]:
        try:
            return await premarked(predictor, corpus.slices)
        finally:
            await predictor.close()

    return asyncio.run(read())


def _found(corpus: Corpus) -> str:
    """What was found in the traces, for people."""
    less = f", {corpus.short} with too little thinking" if corpus.short else ""
    none = f", {corpus.without} without any" if corpus.without else ""
    return f"{many(len(corpus.slices), 'slice')} from {many(corpus.traces, 'trace')}{less}{none}"


# -- by people


def _lay_out_or_read_back(folder: Path, corpus: Corpus, marks: Mapping[str, Style], *, json: bool) -> int:
    from antiphon.boundary.making.annotate import JOURNAL, write_data
    from antiphon.boundary.making.byhand import laid_out, lay_out, read_back

    if (folder / JOURNAL).exists():
        raise UsageError(f"{folder} holds what a model marked; give another folder")
    if not any(path.exists() for path in laid_out(folder)):
        written = lay_out(folder, corpus, marks)
        if json:
            print_json({"path": str(folder), "laid_out": written._asdict(), "traces": corpus.traces})
            return 0
        files = [
            f"{count} in {visible(str(path))}" for count, path in zip(written, laid_out(folder), strict=True) if count
        ]
        show(f"{_found(corpus)}: {', '.join(files)}")
        show("Put ⟦ and ⟧ around what is style, then run the same command again.")
        return 0
    outcomes = read_back(folder, corpus)
    return _report(_summary(folder, outcomes, outcomes, write_data(folder, outcomes)), json=json)


# -- by a model


def _ask(
    folder: Path,
    corpus: Corpus,
    cut: Cut,
    settings: Settings,
    marks: Mapping[str, Style],
    *,
    test_share: float,
    retry: bool,
    yes: bool,
    json: bool,
) -> int:
    """Marks what is not marked yet; gives the exit code."""
    from antiphon.boundary.making.annotate import JOURNAL, TEST, TRAIN, Annotation, write_data
    from antiphon.boundary.making.journal import Journal
    from antiphon.cli.stopping import INTERRUPTED, Stopping

    there = [path for name in (TRAIN, TEST) if (path := folder / f"{name}.jsonl").exists()]
    if there and not (folder / JOURNAL).exists():
        raise UsageError(f"{there[0]} is there already and was not made by a model; give another folder")
    begun = {"words": [cut.shortest, cut.longest], "seed": cut.seed, "test_share": test_share}
    with Journal(folder / JOURNAL, begun) as journal:
        if journal.repaired:
            warn(journal.repaired)
        annotation = Annotation(corpus, journal, settings, proposals=marks, retry=retry)
        if not json:
            say(_found(corpus))
        stopped = False
        try:
            if annotation.planned and _agreed(annotation, settings, yes=yes, json=json):
                with (
                    Counting("slice", "marked", annotation.planned, quiet=json) as counting,
                    Stopping(annotation.stop, counting.say) as stopping,
                ):
                    asyncio.run(_work(annotation, settings, counting))
                stopped = stopping.asked
        finally:
            written = write_data(folder, journal.outcomes.values())
        asked = [journal.outcomes[item.id] for item in corpus.slices if item.id in journal.outcomes]
        summary = _summary(folder, list(journal.outcomes.values()), asked, written)
        summary |= _progress(annotation, interrupted=stopped)
    code = _report(summary, json=json)
    return INTERRUPTED if stopped else code


async def _work(annotation: Annotation, settings: Settings, counting: Counting) -> None:
    from antiphon.boundary.making.annotator import Annotator
    from antiphon.engine import models

    annotator = await Annotator.open(settings, models.open_engine)
    try:
        for remark in annotator.engine.remarks:
            warn(remark)
        await annotation.work(
            annotator,
            on_outcome=lambda outcome: counting.at(annotation.done),
            on_silence=lambda error: counting.say(f"{error}; waiting for it, everything is kept"),
        )
    finally:
        await annotator.close()


def _agreed(annotation: Annotation, settings: Settings, *, yes: bool, json: bool) -> bool:
    """Says what it will take, and asks where there is somebody to be asked.

    Raises:
        UsageError: there is nobody.
    """
    from antiphon.engine.models import shown
    from antiphon.synth.spend import money

    estimate = annotation.estimate()
    cost = "" if estimate.cost is None else f", which costs {money(estimate.cost)}"
    if not json:
        say(
            f"{shown(settings.teacher.model or '')} is asked for {annotation.planned} of them: about"
            f" {estimate.prompt:,} tokens read and {estimate.written:,} written, without what it thinks{cost}"
        )
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nothing is asked for without your word: give --yes")
    return typer.confirm("Go on?", err=True)


def _summary(
    folder: Path, outcomes: Sequence[Outcome], asked: Sequence[Outcome], written: Sequence[int]
) -> dict[str, Any]:
    """What the folder holds, as JSON has it.

    Args:
        outcomes: all there are; `asked` those of the slices that are wanted now.
    """
    from antiphon.boundary.making.annotate import refused

    marked = [outcome.slice for outcome in outcomes if outcome.cause is None]
    classes = [style for item in marked for style in item.classes]
    return {
        "path": str(folder),
        "marked": len(marked),
        "train": written[0],
        "test": written[1],
        "style": sum(classes) / len(classes) if classes else None,
        "refused": {
            cause: {"count": len(found), "says": cause.says, "id": found[0].slice.id, "example": _example(found[0])}
            for cause, found in refused(asked).items()
        },
    }


def _example(outcome: Outcome) -> str:
    return outcome.detail or " ".join(outcome.reply.split())[:_SHOWN]


def _progress(annotation: Annotation, *, interrupted: bool) -> dict[str, Any]:
    """What this session did, as JSON has it."""
    costs = annotation.spend.costs
    return {
        "outcomes": annotation.done,
        "pending": len(annotation.pending),
        "interrupted": interrupted,
        "reached": annotation.spend.stopped,
        "tokens": {"read": annotation.usage.prompt, "written": annotation.usage.received},
        "cost": sum(costs.values()) if costs else None,
    }


def _report(summary: dict[str, Any], *, json: bool) -> int:
    """Says what came of it; gives the exit code."""
    causes = summary["refused"]
    code = 1 if causes else 0
    if json:
        print_json(summary, code)
        return code
    files = ", ".join(f"{summary[name]} in {name}.jsonl" for name in ("train", "test") if summary[name])
    share = "" if summary["style"] is None else f" ({files}), {summary['style']:.1%} of their words style"
    show(f"{visible(summary['path'])}: {many(summary['marked'], 'slice')} marked{share}")
    if summary.get("outcomes"):
        tokens, cost = summary["tokens"], summary["cost"]
        spent = "" if cost is None else f"; all sessions together cost {cost:.4g}"
        show(f"this session: {tokens['read']:,} tokens read, {tokens['written']:,} written{spent}")
    if causes:
        say("replies that could not be used:", style="bold red")
    for found in causes.values():
        say(f"  {found['count']} x {found['says']}, as that for {found['id']}: {found['example'] or '(nothing)'}")
    if causes and "pending" in summary:
        say("Ask for these anew with the same command and --again, perhaps another model.")
    if summary.get("interrupted"):
        say("Interrupted. Everything is kept; the same command goes on.")
    elif summary.get("reached"):
        say(f"Stopped: {summary['reached']}. Everything is kept.")
    elif summary.get("pending"):
        say(f"{summary['pending']} are still to be marked; the same command goes on.")
    return code
