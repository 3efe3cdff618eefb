"""What all commands write with: consoles, messages, JSON, and text that is safe to show."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: str) -> str:
    """Text as a terminal may show it: control characters, bidirectional marks and lone surrogates are spelled out,
    a tab is four blanks."""
    return _UNSHOWN.sub(lambda found: _spelled(ord(found[0])), text.replace("\r\n", "\n")).replace("\t", "    ")


def _spelled(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def stdout() -> Console:
    """For what a command is asked for."""
    return Console(highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """For what it says beside that: progress, warnings, errors."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def in_colour(console: Console) -> bool:
    """Whether colours reach the reader: a terminal that has them, and no NO_COLOR."""
    return console.color_system is not None and not console.no_color


def is_live(console: Console) -> bool:
    """Whether lines can be written anew: a terminal, and none that only writes on (TERM=dumb)."""
    return console.is_terminal and not console.is_dumb_terminal


def show(what: RenderableType) -> None:
    """Prints on standard output; text is cleaned by its maker."""
    stdout().print(what, soft_wrap=isinstance(what, str))


def columned(*headings: str, tight: bool = False) -> Table:
    """A table without lines: the first column to the left, all others to the right.

    Args:
        tight: two blanks between columns instead of three, and no cell is broken into lines.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2 if tight else 3, 0, 0), header_style="bold")
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="right" if number else "left", no_wrap=tight)
    return made


def say(text: str, *, style: str = "") -> None:
    """A line on standard error."""
    stderr().print(visible(text), style=style or None, soft_wrap=True)


def complain(text: str) -> None:
    """An error on standard error."""
    _marked("error", "bold red", text)


def warn(text: str) -> None:
    """A warning on standard error."""
    _marked("warning", "bold yellow", text)


def _marked(mark: str, style: str, text: str) -> None:
    console = stderr()
    console.print(f"{mark}: ", style=style, end="")
    console.print(visible(text), soft_wrap=True)


def print_json(found: Mapping[str, Any], code: int = 0) -> None:
    """One JSON object on standard output, in ASCII, so that any Unicode passes any terminal and pipe.

    Names as all commands give them: `run` is a run directory, `path` what was written; shares are from 0 to 1, times in
    seconds, sizes in bytes; what is not known is null. `exit_code` is what the command ends with.
    """
    sys.stdout.write(json.dumps({**found, "exit_code": code}, indent=2) + "\n")
