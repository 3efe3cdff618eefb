"""Pages made when the documentation is built, as a hook of mkdocs: all commands, of their help; Contributing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from antiphon.cli import manual
from antiphon.cli.app import app

_HEAD = """# Commands

Written from the code: what `antiphon COMMAND --help` says. [The terminal](command.md) tells what all have in common.

| command | what it does |
|---|---|"""


def on_files(files: Any, config: Any) -> Any:
    """Adds them to the pages of the folder."""
    from mkdocs.structure.files import File

    for name, text in (("commands.md", commands()), ("contributing.md", contributing())):
        files.append(File.generated(config, name, content=text))
    return files


def contributing() -> str:
    """CONTRIBUTING.md, its links as from the folder of pages; those to other files are words."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    return re.sub(r"\[([^\]]*)\]\((?!docs/|\w+://)[^)]*\)", r"\1", text).replace("](docs/", "](")


def commands() -> str:
    """Every command with its arguments and options, as Markdown."""
    all_of_them = list(_walk(get_command(app), "antiphon"))
    listed = (f"| [`{path}`](#{_anchor(path)}) | {_safe(manual.summary(one))} |" for path, one in all_of_them)
    return "\n".join([_HEAD, *listed, *("\n\n".join(_told(path, one)) for path, one in all_of_them)]) + "\n"


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands that do something, groups of them left out."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, one in (inner or {}).items():
        yield from _walk(one, f"{path} {name}")


def _told(path: str, command: Any) -> Iterator[str]:
    yield f"\n## {path}"
    yield _code(manual.usage(command, path))
    for text in manual.paragraphs(command):
        yield _code(text.removeprefix("Example: ")) if text.startswith("Example:") else _safe(text)
    for section in manual.sections(command):
        rows = (f"| `{name}` | {_safe(says)}{_noted(notes)} |" for name, says, notes in section.entries)
        yield "\n".join([f"| {section.heading} | |", "|---|---|", *rows])


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _noted(notes: Any) -> str:
    return f" *({_safe(', '.join(notes))})*" if notes else ""


def _safe(text: str) -> str:
    """Words of a help as they stand, but pages that they name are links."""
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](\1.md)", re.sub(r"([*_<\[\]|])", r"\\\1", text))


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
