"""`antiphon boundary evaluate`: how good a predictor is, and what its errors would cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.boundary.tables import figures_json, share, table
from antiphon.cli.terminal import print_json, stderr, stdout, visible, warn

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.boundary.base import BoundaryPredictor
    from antiphon.boundary.making.evaluate import Evaluation, Quality
    from antiphon.boundary.making.judge import Judgement
    from antiphon.boundary.making.marked import MarkedText
    from antiphon.boundary.making.rejudge import Rejudged

_MOVED = 10  # cuts shown
_FAR = 3  # words: cuts moved by so many or more are counted together


def evaluate(
    boundary: Annotated[
        str,
        typer.Option(metavar="NAME", help="The predictor, named as for synth.", show_default=False),
    ],
    data: Annotated[
        str | None, typer.Option(metavar="FILE", help="Marked texts: spans, tags, or brackets.", show_default=False)
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A run with --keep-rejected: what would be cut elsewhere?"),
    ] = None,
    trained_on: Annotated[
        str | None, typer.Option(metavar="FILE", help="Marked texts it was trained on: refuse the same problems.")
    ] = None,
    allow_shared: Annotated[
        bool,
        typer.Option("--allow-shared", metavar=options.NO_VALUE, help="Test on problems of the training, too."),
    ] = False,
    threshold_curve: Annotated[
        bool,
        typer.Option("--threshold-curve", metavar=options.NO_VALUE, help="The figures at other thresholds, too."),
    ] = False,
    spans_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what it says of each text to this file.")
    ] = None,
    json: options.Json = False,
) -> None:
    """How well a predictor finds style, and what its errors would cost in a run.

    Example: antiphon boundary evaluate --boundary general --data slices.jsonl
    """
    if data is None and run is None:
        raise typer.BadParameter("on what? Give --data FILE or --run DIR", param_hint="--data")
    from antiphon.boundary import load
    from antiphon.boundary.making.marked import read_marked, require_writable
    from antiphon.boundary.making.split import problem_digests, require_unseen, shared_problems

    if spans_out is not None:
        if data is None:
            raise typer.BadParameter("there are no texts without --data FILE", param_hint="--spans-out")
        require_writable(spans_out)
    marked = read_marked(data) if data is not None else []
    known = problem_digests(read_marked(trained_on)) if trained_on is not None else frozenset()
    predictor = load(boundary)
    known |= getattr(predictor, "trained_on", frozenset())
    shared = shared_problems(known, marked)
    if shared and not allow_shared:
        require_unseen(known, marked, str(data))
    if shared:
        warn(f"{len(shared)} problems of {data} were trained on: figures on them are too good")
    outcome, judgements, rejudged = asyncio.run(_judge(predictor, marked, run, curve=threshold_curve))
    if spans_out is not None:
        _write_spans(spans_out, predictor.id, judgements)
    if json:
        head = {"boundary": predictor.id, "lookahead": predictor.lookahead, "shared_problems": shared}
        found = _evaluation_json(outcome) if outcome is not None else {}
        print_json({**head, **found, **({"run": _rejudged_json(rejudged)} if rejudged is not None else {})})
        return
    console = stdout()
    console.print(f"{visible(predictor.id)}, look-ahead {predictor.lookahead}", style="bold", soft_wrap=True)
    if outcome is not None:
        _tell(console, outcome)
    if rejudged is not None:
        _tell_rejudged(console, rejudged)


async def _judge(
    predictor: BoundaryPredictor, marked: Sequence[MarkedText], run: Path | None, *, curve: bool
) -> tuple[Evaluation | None, Sequence[Judgement], Rejudged | None]:
    from antiphon.boundary.making import evaluate, rejudge
    from antiphon.store import Reader

    outcome: Evaluation | None = None
    judgements: Sequence[Judgement] = []
    rejudged: Rejudged | None = None
    try:
        if run is not None:
            with Reader(run) as reader:
                rejudged = await rejudge.rejudge(reader, predictor)
        if marked:
            with _progress(3 * len(marked)) as done:
                outcome, judgements = await evaluate.evaluate(predictor, marked, curve=curve, done=done)
    finally:
        await predictor.close()
    return outcome, judgements, rejudged


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, if that is a terminal; gives what advances it by one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


def _write_spans(path: Path, boundary: str, judgements: Sequence[Judgement]) -> None:
    from dataclasses import replace

    from antiphon.boundary.making.forms import spans_of
    from antiphon.boundary.making.marked import write_marked

    rows = []
    for judgement in judgements:
        text = judgement.marked.text
        verdicts, due = judgement.online
        whole = spans_of(text, (verdict.style for verdict in judgement.whole.verdicts))
        fields = {"boundary": boundary, "words_online": due, "style_whole": whole}
        online = spans_of(text, (verdict.style for verdict in verdicts[:due]))
        rows.append(replace(judgement.marked, style=online, fields=fields))
    write_marked(path, rows)


def _tell(console: Console, found: Evaluation) -> None:
    everything = found.together
    console.print(
        f"{everything.texts:,} texts of {everything.problems:,} problems, {everything.whole.counts.words:,} words\n"
        "word by word (at once: in one piece), with 95% intervals over problems",
        soft_wrap=True,
    )
    figures = table("", "texts", "prec.", "recall", "style F1", "boundary", "within one word")
    figures.add_row("all", *_row(everything))
    figures.add_row("at once", *_row(everything, whole=True))
    if len(found.by_domain) > 1:
        figures.add_section()
        for name, quality in found.by_domain.items():
            figures.add_row(visible(name or "(none)"), *_row(quality))
    console.print()
    console.print(figures)
    if len(found.by_model) > 1:
        models = table("by model", "texts", "style F1", "within one word")
        for name, quality in found.by_model.items():
            texts, _, _, style, _, near = _row(quality)
            models.add_row(visible(name or "(none)"), texts, style, near)
        console.print()
        console.print(models)
    toll = found.toll
    console.print(
        f"\nreplayed as a run would cut the texts, per 100 words kept: {toll.per_100(toll.wrong):.1f} by the wrong"
        f" author, {toll.per_100(toll.thrown):.1f} thrown away, {toll.per_100(toll.turns):.1f} turns,"
        f" {toll.per_100(toll.forced):.1f} forced"
    )
    if found.speed is not None:
        console.print(f"{found.speed.bulk:,.0f} words/s in one piece, {found.speed.online:,.0f} word by word")
    if found.curve:
        _tell_curve(console, found)
    if found.worst:
        console.print("\nwords by the wrong author of which it was surest", style="bold")
    for word in found.worst:
        head = ", ".join(filter(None, (word.id, word.domain, f"the {word.writer}'s with {word.confidence:.2f}")))
        text = " ".join(f"{word.before}⟦{word.word}⟧{word.after}".split())
        console.print(f"{visible(head)}: {visible(text)}")


def _row(quality: Quality, *, whole: bool = False) -> Sequence[str]:
    part = quality.whole if whole else quality.online
    figures, sure = part.figures, part.intervals
    return (
        f"{quality.texts:,}",
        share(figures.precision),
        share(figures.recall),
        share(figures.style_f1, sure.get("style_f1")),
        share(figures.exact_f1),
        share(figures.near_f1, sure.get("near_f1")),
    )


def _tell_curve(console: Console, found: Evaluation) -> None:
    columns = ("prec.", "recall", "style F1", "boundary", "within one", "wrong", "thrown")
    curve = table("style from", *columns)
    for point in found.curve:
        curve.add_row(
            f"{point.threshold:.2f}",
            *map(share, point.figures[:5]),
            f"{point.toll.per_100(point.toll.wrong):.1f}",
            f"{point.toll.per_100(point.toll.thrown):.1f}",
        )
    console.print()
    console.print(curve)


def _tell_rejudged(console: Console, found: Rejudged) -> None:
    cuts = table("turns", "all", "same", "earlier", "later", "by 1", "by 2", f"by {_FAR}+", "by ?", "unsure")
    for author, turns in found.turns.items():
        moved = [each for each in found.moved if each.author is author]
        known = [each.by for each in moved if each.by is not None]
        beyond, unsure = len(moved) - len(known), found.unsure[author]
        far = Counter(min(abs(by), _FAR) for by in known)
        numbers = (
            turns,
            turns - len(moved) - unsure,
            sum(by < 0 for by in known),
            sum(by > 0 for by in known) + beyond,
            *(far[by] for by in range(1, _FAR + 1)),
            beyond,
            unsure,
        )
        cuts.add_row(author, *(f"{number:,}" for number in numbers))
    console.print()
    console.print(cuts)
    console.print("by N: words earlier or later; ?: later than was written; unsure: too little was written to tell")
    if found.left_out:
        console.print(f"{found.left_out:,} turns more are left out: the record does not say what they wrote")
    if found.moved:
        console.print("\ncut elsewhere: between ⟦ and ⟧ is what one would have kept and the other not", style="bold")
    for each in found.moved[:_MOVED]:
        by = (
            "further than was written" if each.by is None else f"{abs(each.by)} {'later' if each.by > 0 else 'earlier'}"
        )
        text = " ".join(f"{each.before}⟦{each.between}⟧{each.after}".split())
        console.print(f"{visible(str(each.key))}, the {each.author}, {by}: {visible(text)}")


def _evaluation_json(found: Evaluation) -> dict[str, Any]:
    def parts(qualities: Mapping[str, Quality]) -> dict[str, Any]:
        return {name: _quality_json(quality) for name, quality in qualities.items()}

    return {
        **_quality_json(found.together),
        "by_domain": parts(found.by_domain),
        "by_model": parts(found.by_model),
        "replay": _toll_json(found.toll),
        "words_per_second": found.speed._asdict() if found.speed is not None else None,
        "threshold_curve": [
            {"threshold": point.threshold, **figures_json(point.figures, {}), "replay": _toll_json(point.toll)}
            for point in found.curve
        ],
        "worst": [word._asdict() for word in found.worst],
    }


def _quality_json(quality: Quality) -> dict[str, Any]:
    return {
        "texts": quality.texts,
        "problems": quality.problems,
        **{
            name: {"counts": part.counts._asdict(), **figures_json(part.figures, part.intervals)}
            for name, part in (("online", quality.online), ("whole", quality.whole))
        },
    }


def _toll_json(toll: Any) -> dict[str, Any]:
    counts = toll._asdict()
    per_100 = {name: toll.per_100(count) for name, count in counts.items() if name != "kept"}
    return {**counts, "per_100_kept": per_100 if toll.kept else None}


def _rejudged_json(found: Rejudged) -> dict[str, Any]:
    return {
        "turns": dict(found.turns),
        "unsure": dict(found.unsure),
        "left_out": found.left_out,
        "moved": [{**each._asdict(), "key": str(each.key)} for each in found.moved],
    }
