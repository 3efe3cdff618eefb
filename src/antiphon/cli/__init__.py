"""The command `antiphon`: thin, one module per command.

Commands import what they need when they run, so that `antiphon --help` is quick and loads no heavy library.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code (docs/command.md)."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # whatever the terminal's encoding lacks is shown as an escape
            reconfigure(errors="backslashreplace")
    from antiphon.cli.app import app

    app()
