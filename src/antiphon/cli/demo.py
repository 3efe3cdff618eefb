"""`antiphon demo`: the whole story on two tiny models, told in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from antiphon.cli import options
from antiphon.cli.terminal import in_colour, print_json, say, stdout, visible
from antiphon.plural import many

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.operate.demo import Story
    from antiphon.synth.tally import Tally

_SAYS = {
    "tessy": "in turns, the student answers",
    "teacher_only": "the teacher alone",
    "student_only": "the student alone",
}


def demo(
    to: Annotated[Path, options.to()] = Path("antiphon-demo"),
    problems: Annotated[int, options.problem_count(max=300)] = 100,
    seed: Annotated[int, options.seed()] = 1,
    json: options.Json = False,
) -> None:
    """Does the main job on two embedded models, in about a minute.

    Example: antiphon demo

    Nothing is downloaded. Run it again and it goes on where it stood.

    Exit codes: 0 done, 2 wrong use, 3 the disk gave out, 130 interrupted.
    """
    from antiphon.cli.progress import Following
    from antiphon.operate.demo import perform

    def watching(method: str, tally: Tally) -> Following:
        if not json:
            say(f"{method}: {_SAYS[method]}", style="dim")
        return Following(tally, quiet=json)

    try:
        story = perform(to, seed=seed, problems=problems, watching=watching)
    except KeyboardInterrupt:
        say("Interrupted. Everything is kept; the same command goes on.")
        raise
    if json:
        print_json(_as_json(story))
    else:
        _tell(stdout(), story)


def _as_json(story: Story) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "path": str(story.folder),
        "methods": [asdict(arm) for arm in story.arms],
        "shares": [
            {"author": author, "kind": kind, "characters": characters}
            for (author, kind), characters in story.shares.items()
        ],
        "shown": None if story.trace is None else str(story.trace.key),
        "rows": story.rows,
        "seconds": round(story.seconds, 3),
    }


def _tell(console: Console, story: Story) -> None:
    from antiphon.cli.progress import duration
    from antiphon.cli.trace import tell
    from antiphon.operate.demo import PAGE, PROBLEMS, RUN, TRAINING

    if story.trace is not None and story.problem is not None:
        _title(console, "A trace")
        tell(console, story.trace, story.problem)
    _title(console, "Who wrote the traces in turns")
    _tell_shares(console, story)
    _title(console, "Right answers by method")
    _tell_arms(console, story)
    folder = visible(str(story.folder))
    _title(console, f"Files, after {duration(story.seconds)}")
    files = (
        (PROBLEMS, "the problems, with their right answers"),
        (RUN, "the run directory: all traces of the three methods"),
        (TRAINING, f"{many(story.rows, 'complete trace')} in turns, to train the student on"),
        (PAGE, "all traces, coloured by who wrote what, for a browser"),
    )
    column = max(len(name) for name, _ in files)
    for name, says in files:
        console.print(f"  {folder}/{name:{column}}  {says}", soft_wrap=True)
    _title(console, "Try next")
    key = f" {story.trace.key.problem}/student_only" if story.trace is not None else ""
    for command in (
        'antiphon duet "What is 347 times 6?"',
        f"antiphon trace {folder}/{RUN}{key}",
        f"antiphon status {folder}/{RUN}",
    ):
        console.print(f"  {command}", soft_wrap=True)


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold", soft_wrap=True)


def _tell_shares(console: Console, story: Story) -> None:
    from antiphon.cli.pen import Look

    whole = sum(story.shares.values())
    for (author, kind), characters in sorted(story.shares.items(), key=lambda item: -item[1]):
        style = Look(author, kind).style if in_colour(console) else ""
        share = characters / whole
        line = f"  {f'{author} {kind}':18}  {share:4.0%}  {'█' * round(share * 40)}"
        console.print(line.rstrip(), style=style)


def _tell_arms(console: Console, story: Story) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("  method", "", "complete", "right"):
        table.add_column(heading, justify="right" if heading in ("complete", "right") else "left")
    for arm in story.arms:
        share = f"{arm.right / arm.traces:.0%}" if arm.traces else "-"
        table.add_row(
            f"  {arm.method}",
            _SAYS[arm.method],
            f"{arm.complete} of {arm.traces}",
            f"{arm.right} of {arm.traces}, {share}",
        )
    console.print(table)
