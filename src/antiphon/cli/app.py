"""The commands, and what an error becomes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from antiphon.cli import (
    bench,
    boundary,
    compare,
    demo,
    doctor,
    duet,
    evaluate,
    export,
    imports,
    lab,
    merge,
    plan,
    status,
    synth,
    trace,
    train,
    verify,
    view,
)
from antiphon.cli.options import NO_VALUE
from antiphon.cli.stopping import INTERRUPTED
from antiphon.cli.terminal import complain
from antiphon.errors import AntiphonError


class Commands(TyperGroup):
    """Ends with one clear message and the documented code wherever an error was foreseen."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AntiphonError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from antiphon.version import __version__

        typer.echo(f"antiphon {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", metavar=NO_VALUE, callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Fine-tuning data for reasoning models, written by teacher and student in turns.

    Try it: antiphon demo
    """


for name, command in (
    ("demo", demo.demo),
    ("doctor", doctor.doctor),
    ("duet", duet.duet),
    ("synth", synth.synth),
    ("import", imports.import_),
    ("bench", bench.bench),
    ("plan", plan.plan),
    ("merge", merge.merge),
    ("status", status.status),
    ("trace", trace.trace),
    ("view", view.view),
    ("verify", verify.verify),
    ("evaluate", evaluate.evaluate),
    ("export", export.export),
    ("compare", compare.compare),
    ("train", train.train),
):
    app.command(name)(command)

app.add_typer(boundary.app, name="boundary")
app.add_typer(lab.app, name="lab")
