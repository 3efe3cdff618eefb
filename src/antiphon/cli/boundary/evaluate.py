"""`antiphon boundary evaluate`: how good a predictor is, and what its errors would cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from antiphon.cli import options
from antiphon.cli.boundary.findings import costs, evaluation_json, rejudged_json, tell, tell_rejudged, toll_json
from antiphon.cli.counting import Counting
from antiphon.cli.options import MAKES, READS, SHOWS, flag, option
from antiphon.cli.terminal import print_json, stdout, visible, warn
from antiphon.errors import UsageError
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.boundary.base import BoundaryPredictor
    from antiphon.boundary.making.evaluate import Evaluation
    from antiphon.boundary.making.judge import Judgement
    from antiphon.boundary.making.marked import MarkedText
    from antiphon.boundary.making.rejudge import Rejudged
    from antiphon.boundary.making.replay import Toll


def evaluate(
    boundary: Annotated[str, options.boundary()],
    data: Annotated[str | None, options.data()] = None,
    traces: Annotated[
        list[str] | None,
        option(metavar="PATH", help="Whole traces without marks: what would be thrown away.", panel=READS),
    ] = None,
    run: Annotated[Path | None, options.run(panel=READS)] = None,
    trained_on: Annotated[
        str | None,
        option(metavar="FILE", help="Marked texts it was trained on: refuse the same problems.", panel=READS),
    ] = None,
    allow_shared: Annotated[
        bool, flag("--allow-shared", help="Test on problems that it was trained on.", panel=READS)
    ] = False,
    spans_out: Annotated[
        Path | None, option(metavar="FILE", help="Write what it says of each text to this file.", panel=MAKES)
    ] = None,
    threshold_curve: Annotated[
        bool, flag("--threshold-curve", help="The figures at other thresholds, too.", panel=SHOWS)
    ] = False,
    json: options.Json = False,
) -> None:
    """Judges a predictor: how well it finds style, what its errors cost.

    Example: antiphon boundary evaluate --boundary general --data slices.jsonl

    --data is a file of marked texts: spans, tags, or brackets (docs/command.md). --run, of a run that was made with
    --keep-rejected, tells what would have been cut elsewhere.

    Exit codes: 0 done, 2 wrong use.
    """
    if data is None and run is None and not traces:
        raise typer.BadParameter("on what? Give --data PATH, --traces PATH or --run DIR", param_hint="--data")
    from antiphon.boundary import load
    from antiphon.boundary.making.marked import read_marked, require_writable
    from antiphon.boundary.making.split import problem_digests, require_unseen, shared_problems

    if spans_out is not None:
        if data is None:
            raise typer.BadParameter("of which texts? Give --data PATH, too", param_hint="--spans-out")
        require_writable(spans_out)
    marked = read_marked(data) if data is not None else []
    thinking = _thinking(traces or [])
    known = problem_digests(read_marked(trained_on)) if trained_on is not None else frozenset()
    predictor = load(boundary)
    known |= getattr(predictor, "trained_on", frozenset())
    if not allow_shared:
        require_unseen(known, marked, str(data))
    if shared := shared_problems(known, marked):
        warn(f"the predictor was trained on {many(len(shared), 'problem')} of {data}: figures on them are too good")
    found = asyncio.run(_judge(predictor, marked, thinking, run, curve=threshold_curve, quiet=json))
    if spans_out is not None:
        _write_spans(spans_out, predictor.id, found.judgements)
    if json:
        print_json(
            {
                "boundary": predictor.id,
                "lookahead": predictor.lookahead,
                "shared_problems": shared,
                **(evaluation_json(found.outcome) if found.outcome is not None else {}),
                **({"traces": {"texts": len(thinking), **toll_json(found.toll)}} if found.toll is not None else {}),
                **({"run": rejudged_json(found.rejudged)} if found.rejudged is not None else {}),
            }
        )
        return
    console = stdout()
    console.print(f"{visible(predictor.id)}, look-ahead {predictor.lookahead}", style="bold", soft_wrap=True)
    if found.outcome is not None:
        tell(console, found.outcome)
    if found.toll is not None:
        toll = found.toll
        console.print(
            f"\n{many(len(thinking), 'whole trace')} of {many(toll.kept, 'word')}, replayed,"
            f" per 100 of them: {costs(toll)}"
        )
    if found.rejudged is not None:
        tell_rejudged(console, found.rejudged)


class _Found(NamedTuple):
    """What was asked for: on marked texts, on whole traces, on a run."""

    outcome: Evaluation | None
    judgements: Sequence[Judgement]
    toll: Toll | None
    rejudged: Rejudged | None


async def _judge(
    predictor: BoundaryPredictor,
    marked: Sequence[MarkedText],
    thinking: Sequence[str],
    run: Path | None,
    *,
    curve: bool,
    quiet: bool,
) -> _Found:
    from antiphon.boundary.making.evaluate import evaluate, rehearse
    from antiphon.boundary.making.rejudge import rejudge
    from antiphon.store import Reader

    outcome: Evaluation | None = None
    judgements: Sequence[Judgement] = []
    toll = rejudged = None
    try:
        if run is not None:
            with (
                Reader(run) as reader,
                Counting("trace", "read", sum(reader.counts().values()), quiet=quiet) as counting,
            ):
                rejudged = await rejudge(reader, predictor, done=counting.one)
        with Counting("text", "read", 3 * len(marked) + 2 * len(thinking), quiet=quiet) as counting:
            if marked:
                outcome, judgements = await evaluate(predictor, marked, curve=curve, done=counting.one)
            if thinking:
                toll = await rehearse(predictor, thinking, done=counting.one)
    finally:
        await predictor.close()
    return _Found(outcome, judgements, toll, rejudged)


def _thinking(paths: Sequence[str]) -> Sequence[str]:
    """The texts of whole traces."""
    from antiphon.boundary.making.corpus import thinkings

    found = []
    for thinking in thinkings(paths):
        if isinstance(thinking, str):
            warn(thinking)
        elif thinking is not None and thinking.stretch.text.strip():
            found.append(thinking.stretch.text)
    if paths and not found:
        raise UsageError(f"{', '.join(paths)}: no trace with thinking in it; give others")
    return found


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
