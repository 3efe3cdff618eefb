"""`antiphon boundary`: predictors made and judged, one module per command."""

from __future__ import annotations

import typer

from antiphon.cli.boundary import agree, annotate, evaluate, show, train
from antiphon.cli.manual import Command, Group

app = typer.Typer(cls=Group, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Makes and judges boundary predictors."""


for name, command in (
    ("annotate", annotate.annotate),
    ("train", train.train),
    ("evaluate", evaluate.evaluate),
    ("agree", agree.agree),
    ("show", show.show),
):
    app.command(name, cls=Command)(command)
