"""`antiphon boundary`: predictors made and judged, one module per command."""

from __future__ import annotations

import typer

from antiphon.cli.boundary import agree

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Makes and judges boundary predictors."""


for name, command in (("agree", agree.agree),):
    app.command(name)(command)
