"""What the command says of itself reads as by one hand: every command and option, walked."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from antiphon.cli.app import app
from antiphon.cli.manual import paragraphs, sections, summary, usage
from antiphon.cli.options import PANELS
from tests.cli.conftest import Command

WIDTH = 80
LISTED = WIDTH - len("  boundary  ")  # what a list of commands has for a summary
GIVEN_BY_TYPER = {"help", "install_completion", "show_completion"}


def walk(command: Any, path: str = "antiphon") -> Iterator[tuple[str, Any]]:
    """Every command and group, with the words that call it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{path} {name}")


EVERYTHING = dict(walk(typer.main.get_command(app)))
COMMANDS = {path: command for path, command in EVERYTHING.items() if not hasattr(command, "commands")}


def options(command: Any) -> list[Any]:
    found = [param for param in command.params if param.param_type_name == "option"]
    return [param for param in found if param.name not in GIVEN_BY_TYPER]


@pytest.mark.parametrize("path", EVERYTHING)
def test_help_fits_the_screen_and_leaves_nothing_out(
    command: Command, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    shown = command(*path.split()[1:], "--help")
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= WIDTH
    assert "\x1b" not in shown.out and "root" not in shown.out.split("\n")[0]
    assert shown.out.startswith(f"Usage: {usage(EVERYTHING[path], path)}")
    flat = " ".join(shown.out.split())
    for section in sections(EVERYTHING[path]):
        assert all(entry.name in flat and entry.says in flat for entry in section.entries)


@pytest.mark.parametrize("path", EVERYTHING)
def test_every_command_says_what_it_does_in_a_line(path: str) -> None:
    said = summary(EVERYTHING[path])
    assert said == paragraphs(EVERYTHING[path])[0]
    assert said[0].isupper() and said.endswith((".", "?"))
    assert path == "antiphon" or len(said) <= LISTED


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_shows_an_example_and_its_exit_codes(path: str) -> None:
    said = paragraphs(COMMANDS[path])
    example = next(text for text in said if text.startswith("Example: "))
    assert example.startswith(f"Example: {path}") and all(len(line) <= WIDTH for line in example.splitlines())
    assert said[-1].startswith("Exit codes: 0 "), "the last paragraph"


@pytest.mark.parametrize("path", EVERYTHING)
def test_every_argument_and_option_has_a_sentence_and_a_metavar(path: str) -> None:
    for param in EVERYTHING[path].params:
        if param.name in GIVEN_BY_TYPER:
            continue
        assert param.help and param.help[0] != " " and param.help.endswith((".", "..."))
        assert "[" not in param.help, "how it must be given is told by all in one form"
        is_flag = param.param_type_name == "option" and param.is_flag
        assert bool(param.metavar) is not is_flag


@pytest.mark.parametrize("path", COMMANDS)
def test_options_stand_in_the_order_of_all_commands(path: str) -> None:
    """What is read, what is made, how, what is shown; --json is the last."""
    command = COMMANDS[path]
    assert all(option.rich_help_panel in PANELS for option in options(command))
    shown = sections(command)
    assert shown[-1].entries[-1].name == "--json"


def test_a_flag_means_the_same_everywhere() -> None:
    meanings = defaultdict(set)
    for command in EVERYTHING.values():
        for option in options(command):
            for name in option.opts:
                meanings[name].add((option.metavar, option.help, option.is_flag))
    differing = {name: told for name, told in meanings.items() if len(told) > 1}
    limits = {help for _, help, _ in differing.pop("--limit")}
    assert limits == {"Only the first N problems.", "Only the first N answers."}, "of what a command works through"
    assert differing == {}


def test_an_argument_means_the_same_everywhere() -> None:
    meanings = defaultdict(set)
    for command in COMMANDS.values():
        for param in command.params:
            if param.param_type_name == "argument":
                meanings[param.metavar].add(param.help)
    assert {name: told for name, told in meanings.items() if len(told) > 1} == {}


@pytest.mark.parametrize("path", EVERYTHING)
def test_names_are_unique_and_short_ones_are_of_one_letter(path: str) -> None:
    names = [name for param in EVERYTHING[path].params for name in param.opts if name.startswith("-")]
    assert len(names) == len(set(names))
    assert all(len(name) == 2 for name in names if not name.startswith("--"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_gives_json(path: str) -> None:
    assert any("--json" in option.opts for option in options(COMMANDS[path]))
    assert "print_json" in inspect.getsource(inspect.getmodule(COMMANDS[path].callback))


def test_wrong_use_is_one_line_that_names_the_option_and_the_help(command: Command) -> None:
    for arguments, says in (
        (("synth", "--samples", "many"), "error: --samples: "),
        (("synth", "--sample", "3"), "--sample"),
        (("exprot",), "Did you mean 'export'?"),
        (("export", "run"), "Missing option '--format'; see antiphon export --help"),
        (("boundary", "agree", "a"), "B"),
    ):
        refused = command(*arguments)
        assert (refused.code, refused.out) == (2, "") and says in refused.err
        assert len(refused.err.splitlines()) == 1 and refused.err.startswith("error: ") and "--help" in refused.err


@pytest.mark.parametrize("path", [path for path in EVERYTHING if path not in COMMANDS])
def test_a_group_alone_shows_its_help(command: Command, path: str) -> None:
    shown = command(*path.split()[1:])
    assert shown.code == 2 and shown.out.startswith("Usage: ") and shown.err == ""
