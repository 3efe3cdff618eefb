"""The commands, and what an error becomes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

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
from antiphon.cli.manual import Command, Group
from antiphon.cli.options import NO_VALUE
from antiphon.cli.stopping import INTERRUPTED
from antiphon.cli.terminal import complain
from antiphon.errors import AntiphonError

_NAME = "antiphon"


_Refused: Any = typer.BadParameter.__bases__[0]


class Commands(Group):
    """Ends with one clear message and the documented code wherever an error was foreseen."""

    def main(self, *args: Any, **settings: Any) -> Any:
        try:
            code = super().main(*args, **{**settings, "prog_name": _NAME, "standalone_mode": False})
        except _Refused as error:
            _tell(error)
            code = error.exit_code
        except typer.Abort:
            code = INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AntiphonError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _tell(error: Any) -> None:
    """What the command line is refused for, and whose help says more; nothing where that help stands there already."""
    said = " ".join((error.message or error.format_message()).split()).rstrip(".")
    if said:
        whose = _NAME if error.ctx is None else error.ctx.command_path
        complain(f"{_where(error)}{said}; see {whose} --help")


def _where(error: Any) -> str:
    """The option or argument that an error is about; nothing where its text says so."""
    param, hint = getattr(error, "param", None), getattr(error, "param_hint", None)
    if hint is None and param is not None and error.message:
        hint = param.opts[0] if param.param_type_name == "option" else param.metavar
    return f"{hint}: " if hint else ""


app = typer.Typer(
    cls=Commands,
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

    Example: antiphon demo
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
    app.command(name, cls=Command)(command)

app.add_typer(boundary.app, name="boundary")
app.add_typer(lab.app, name="lab")
