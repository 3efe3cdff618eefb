"""Pages made when the documentation is built, as a hook of mkdocs: all commands, of their help; Contributing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from antiphon.cli.app import app

_HEAD = """# Commands

Written from the code: what `antiphon COMMAND --help` says. [The terminal](command.md) tells what all have in common.
"""


def on_files(files: Any, config: Any) -> Any:
    """Adds them to the pages of the folder."""
    from mkdocs.structure.files import File

    for name, text in (("commands.md", commands()), ("contributing.md", contributing())):
        files.append(File.generated(config, name, content=text))
    return files


def contributing() -> str:
    """CONTRIBUTING.md, its links as from the folder of pages."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    return re.sub(r"\[([^\]]*)\]\((?!docs/|\w+://)[^)]*\)", r"\1", text).replace("](docs/", "](")


def commands() -> str:
    """Every command with its arguments and options, as Markdown."""
    named = list(_walk(get_command(app), "antiphon"))
    listed = (f"| [`{name}`](#{_anchor(name)}) | {_linked(_first(command.help))} |" for name, command in named)
    sections = (_section(name, command) for name, command in named)
    return "\n".join([_HEAD, "| command | what it does |", "|---|---|", *listed, *sections]) + "\n"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for key, value in (inner or {}).items():
        yield from _walk(value, f"{name} {key}")


def _section(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([name, *(_usage(argument) for argument in arguments), "[OPTIONS]"])
    lines = [f"\n## {name}", f"```text\n{usage}\n```", *_told(command.help)]
    if arguments:
        lines.append(_table("argument", ((f"`{one.metavar or one.name.upper()}`", one) for one in arguments)))
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            panels.setdefault(parameter.rich_help_panel or "option", []).append(parameter)
    lines += (_table(heading, ((_spelled(one), one) for one in options)) for heading, options in panels.items())
    return "\n\n".join(lines)


def _usage(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    return shown if argument.required else f"[{shown}]"


def _told(text: str) -> Iterator[str]:
    """A help's paragraphs; its examples as code."""
    for paragraph in text.strip().split("\n\n"):
        sentences = [line.strip() for line in paragraph.splitlines()]
        if sentences[0].startswith("Example: "):
            examples = "\n".join(sentences).removeprefix("Example: ")
            yield f"```text\n{examples}\n```"
        else:
            yield _linked(" ".join(sentences))


def _spelled(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} `{option.metavar}`" if option.metavar else names


def _table(heading: str, rows: Iterator[tuple[str, Any]]) -> str:
    return "\n".join([f"| {heading} | |", "|---|---|", *(f"| {name} | {_says(one)} |" for name, one in rows)])


def _says(parameter: Any) -> str:
    shown = parameter.show_default and parameter.default not in (None, False, "", (), [])
    notes = ["required"] * bool(parameter.required) + [f"default: {parameter.default}"] * bool(shown)
    return _linked(parameter.help or "") + (f" *({', '.join(notes)})*" if notes else "")


def _linked(text: str) -> str:
    """Text of a help with the pages that it names as links, and everything else as it stands."""
    safe = re.sub(r"([*_<\[\]|])", r"\\\1", text)
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](\1.md)", safe)


def _first(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def _anchor(name: str) -> str:
    return name.replace(" ", "-")
