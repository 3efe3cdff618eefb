"""What `--help` says of a command: its usage, words, arguments and options, as plain data and in the terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from antiphon.cli import completing
from antiphon.cli.options import PANELS
from antiphon.cli.terminal import stdout

_WIDEST = 100  # characters of a line, however wide the terminal
_NAMES = 26  # of the column of names; a longer one has a line of its own
_TIED = "\u00a0"  # instead of a blank at which no line is broken


class Entry(NamedTuple):
    """An argument, an option or a command: how it is spelled, what it is for, and how it may or must be given."""

    name: str
    says: str
    notes: Sequence[str] = ()


class Section(NamedTuple):
    """Entries under a heading; arguments have none."""

    heading: str
    entries: Sequence[Entry]


def usage(command: Any, path: str) -> str:
    """How it is called: arguments and required options by name."""
    shown = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    shown += [_option(one) for one in command.params if one.param_type_name == "option" and one.required]
    return " ".join([path, *shown, "COMMAND" if _commands(command) else "[OPTIONS]"])


def summary(command: Any) -> str:
    """The first paragraph of its help, for lists of commands."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


def paragraphs(command: Any) -> list[str]:
    """What its help says. A paragraph that begins with `Example:` keeps its lines, all others are one. `{methods}` in
    it stands for the names that `antiphon.cli.completing.methods` gathers."""
    found = (paragraph.strip() for paragraph in (command.help or "").split("\n\n"))
    return [one if one.startswith("Example:") else _listed(" ".join(one.split())) for one in found if one]


def _listed(text: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ", ".join(getattr(completing, found[1])()), text)


def sections(command: Any, params: Sequence[Any] | None = None) -> list[Section]:
    """Its commands, arguments and options, in the order in which all commands show them.

    Args:
        params: its parameters with those that the shell adds; those that it declares unless given.
    """
    grouped: dict[str, list[Entry]] = {}
    for name, inner in _commands(command).items():
        grouped.setdefault("Commands", []).append(Entry(name, summary(inner)))
    for one in command.params if params is None else params:
        if one.param_type_name == "argument":
            grouped.setdefault("", []).append(Entry(one.metavar, one.help, _notes(one)))
        elif not one.hidden:
            heading = one.rich_help_panel or PANELS[-1]
            grouped.setdefault(heading, []).append(Entry(_option(one), one.help, _notes(one)))
    order = ("Commands", "", *PANELS)
    return [Section(heading, grouped[heading]) for heading in sorted(grouped, key=order.index)]


def _commands(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def _argument(argument: Any) -> str:
    return argument.metavar if argument.required else f"[{argument.metavar}]"


def _option(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    return f"{names} {option.metavar}" if option.metavar else names


def _notes(param: Any) -> list[str]:
    """Whether it must be given, may be given again, and what holds unless it is given."""
    notes = ["required"] * param.required + ["repeatable"] * (param.param_type_name == "option" and param.multiple)
    if isinstance(param.show_default, str):
        notes.append(f"default: {param.show_default}")
    elif param.show_default and param.default is not None and param.default is not False and param.default != "":
        notes.append(f"default: {param.default:g}" if isinstance(param.default, float) else f"default: {param.default}")
    return notes


# -- in the terminal


class Command(TyperCommand):
    """A command whose help is written as all others' are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _write(self, ctx)


class Group(TyperGroup):
    """Several commands under one name."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _write(self, ctx)


def _write(command: Any, ctx: Any) -> None:
    console = stdout()
    width = min(console.width, _WIDEST)
    console.print(Text.assemble(("Usage: ", "bold"), usage(command, ctx.command_path)), soft_wrap=True)
    for paragraph in paragraphs(command):
        console.print()
        for line in paragraph.splitlines():
            for part in _wrapped(line.strip(), width, indent=" " * 4 * paragraph.startswith("Example:")):
                console.print(part, soft_wrap=True)
    for section in sections(command, command.get_params(ctx)):
        console.print()
        if section.heading:
            console.print(Text(section.heading, "bold"))
        column = min(_NAMES, max(len(entry.name) for entry in section.entries))
        for entry in section.entries:
            for row in _rows(entry, column, width):
                console.print(row, soft_wrap=True)


def _rows(entry: Entry, column: int, width: int) -> Iterator[Text]:
    notes = f" ({', '.join(entry.notes).replace(' ', _TIED)})" if entry.notes else ""
    lines = [line.replace(_TIED, " ") for line in _wrapped(entry.says + notes, width - column - 4)]
    head = Text.assemble("  ", (entry.name, "cyan"))
    if len(entry.name) > column:
        yield head
    else:
        head.append(" " * (column - len(entry.name) + 2) + lines.pop(0))
        yield head
    for line in lines:
        yield Text(" " * (column + 4) + line)


def _wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    wrapper = textwrap.TextWrapper(
        max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.wrap(text)
