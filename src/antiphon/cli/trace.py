"""`antiphon trace`: one trace in the terminal, by author and kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.cli import completing, options
from antiphon.cli.terminal import print_json, say, show, stdout, visible
from antiphon.errors import UsageError
from antiphon.trace import Author, Label

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.problem import Problem
    from antiphon.store import Reader
    from antiphon.trace import Key, Trace

_SHOWN = 10


def trace(
    directory: options.RunDirectory,
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An id, or as much of its beginning as is enough.",
            autocompletion=completing.traces,
        ),
    ] = "",
    json: options.Json = False,
) -> None:
    """Shows one trace: who wrote what, in colours or in marks.

    Example: antiphon trace runs/one HumanEval/3/tessy/0

    A trace's id is problem/variant/sample. Without one, it lists those there are, or shows the only one.

    Exit codes: 0 done, 2 wrong use.
    """
    from antiphon.cli.record import trace_json
    from antiphon.store import Reader

    with Reader(directory) as reader:
        keys = reader.find(id)
        if not id and len(keys) != 1:
            _list(keys, json)
            return
        key = _only(reader, keys, id)
        found = reader.trace(key)
        problem = reader.problem(key.problem)
        if json:
            print_json(trace_json(found, problem, reader.turns(key)))
        else:
            tell(stdout(), found, problem)


def _list(keys: Sequence[Key], json: bool) -> None:
    if json:
        print_json({"traces": [str(key) for key in keys]})
    elif keys:
        show("\n".join(visible(str(key)) for key in keys))
    else:
        say("The run has no traces yet.")


def _only(reader: Reader, keys: Sequence[Key], id: str) -> Key:
    """The one that an id means.

    Raises:
        UsageError: it means none, or several.
    """
    if len(keys) == 1:
        return keys[0]
    if keys:
        what = f"{len(keys)} traces begin so; name one"
    else:
        keys = reader.find("")
        what = f"there is no trace {id!r}" + ("; there are" if keys else "; the run has none yet")
    lines = [f"  {key}" for key in keys[:_SHOWN]]
    if len(keys) > _SHOWN:
        lines.append(f"  and {len(keys) - _SHOWN:,} more")
    raise UsageError("\n".join([f"{what}:" if lines else what, *lines]))


def tell(console: Console, trace: Trace, problem: Problem) -> None:
    """Writes a trace for people: where it stands, the question, the response by author and kind, a legend."""
    from rich.text import Text

    from antiphon.cli.pen import Look, write_legend, write_spans

    status = str(trace.status or "pending")
    head = Text.assemble(
        (visible(str(trace.key)), "bold"), "  ", (status, "green" if status == "complete" else "yellow")
    )
    if trace.closed_by not in (None, Author.UNKNOWN):
        head.append(
            f"  thinking closed by {'nobody' if trace.closed_by is Author.NONE else f'the {trace.closed_by}'}", "dim"
        )
    console.print(head, soft_wrap=True)
    if trace.cause:
        console.print(visible(trace.cause), style="yellow", soft_wrap=True)
    for message in problem.messages:
        console.print(Text(f"{message['role']}: {visible(message['content'])}", "dim"))
    console.print()
    write_spans(console, trace.spans)
    console.print()
    write_legend(console, (Look(span.author, span.kind, span.forced) for span in trace.spans))
    for verdict in trace.verdicts:
        label, said = verdict.label.value.replace("_", " "), f" ({verdict.detail})" if verdict.detail else ""
        line = Text(f"{visible(verdict.verifier)} {visible(verdict.version)}: ")
        line.append(label, "green" if verdict.label is Label.RIGHT else "yellow")
        console.print(line.append(visible(said)), soft_wrap=True)
