"""The documentation holds: its commands and examples run, its tables are the code's, the names in it exist.

A page's fenced blocks are carried out in their order, in one folder that holds the files of `at_hand`:

    python     executed, all blocks of a page in one namespace; may await, as a notebook's cells do
    sh         run by bash, and must end with 0
    console    lines that begin with `$ ` are run; what follows one is its output (`...` stands for anything)
    toml       must be TOML; with a table or name of the settings or of an experiment's, a valid configuration
    text, json are only shown, and may show no command

`<!-- not run: reason -->` before a block leaves it out; `<!-- slow: reason -->` makes its page a slow test.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import doctest
import gzip
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from pydantic.fields import FieldInfo

import antiphon
from antiphon.boundary.making.marked import read_marked, write_marked
from antiphon.boundary.making.split import folds
from antiphon.cli.app import app
from antiphon.lab.settings import Experiment, made
from antiphon.settings import Role, Settings, load
from antiphon.synth import cast, guards
from antiphon.synth.methods import METHODS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND: Any = typer.main.get_command(app)
USAGE_ERROR: Any = typer.BadParameter.__base__

RUN, SHOWN = ("python", "sh", "console", "toml"), ("text", "json")

SLOW = pytest.mark.slow(minutes=1)

FOREIGN = {"Dataset.save_to_disk", "Infinity", "NaN", "f(x)"}
"""Names of others that the pages mention."""


class Block(NamedTuple):
    """A fenced block: its language, text and first line's number, and what the comment before it says."""

    language: str
    text: str
    line: int
    mark: str


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    pattern = r"^(?:<!-- (not run|slow): [^\n]+ -->\n)?```(\w*)\n(.*?)^```$"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        mark, language, body = match.groups()
        yield Block(language, body, text.count("\n", 0, match.start(3)) + 1, mark or "")


def inline(page: Path) -> Iterator[str]:
    """What stands between single back-ticks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return (match.strip() for match in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text))


# -- what is shown is run


def at_hand(folder: Path) -> None:
    """The files that the pages' examples read."""
    records = [
        {"id": "one", "problem": "What is 347 times 6?", "answer": "2082"},
        {"id": "two", "problem": "What is 508 times 4?", "answer": "2032"},
        {"id": "three", "problem": "What is 347 times 6?", "answer": "2082"},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "problems.jsonl").write_text("".join(lines.splitlines(keepends=True)[:2]), "utf-8")
    (folder / "problems").mkdir()
    (folder / "problems" / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    marked = [
        {"id": "one", "problem": "347x6", "domain": "math", "marked": "⟦Okay, let me see.⟧ 347 times 6 is 2082."},
        {"id": "two", "problem": "508x4", "domain": "math", "marked": "⟦Wait, is it⟧ 508? ⟦Then⟧ the total is 2032."},
    ]
    (folder / "slices.jsonl").write_text("".join(json.dumps(record) + "\n" for record in marked), "utf-8")


def domains_at_hand(folder: Path, shared: Path) -> None:
    """Traces of two domains, and slices of them as people have marked them, half of the problems for testing."""
    (folder / "traces").mkdir()
    marked = read_marked(shared / "style_spans.jsonl")
    for domain in ("sql", "support"):
        for path in (shared / "traces").glob(f"{domain}_*.jsonl"):
            (folder / "traces" / path.name).symlink_to(path)
        to = folder / "corrected" / domain
        to.mkdir(parents=True)
        halves = folds([item for item in marked if item.domain == domain], 2)
        for half, items in zip(("train", "test"), halves, strict=True):
            write_marked(to / f"{half}.jsonl", items)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name(page), marks=[SLOW] * any(block.mark == "slow" for block in blocks(page)))
        for page in PAGES
        if any(block.language in RUN for block in blocks(page))
    ],
)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    at_hand(tmp_path)
    if page.name == "domains.md":
        domains_at_hand(tmp_path, request.getfixturevalue("shared"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "120")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        if block.mark == "not run":
            continue
        if block.language == "python":
            _cell("\n" * (block.line - 1) + block.text, str(page), namespace)
        elif block.language == "toml":
            _read_toml(block, tmp_path)
        elif block.language == "sh":
            _shell(block.text, where)
        elif block.language == "console":
            for command, expected in _session(block):
                printed = _shell(command, where)
                flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                assert doctest.OutputChecker().check_output(expected, printed, flags), f"{where}: {command}\n{printed}"


def _cell(text: str, where: str, namespace: dict[str, Any]) -> None:
    awaited = eval(compile(text, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
    if awaited is not None:
        asyncio.run(awaited)


def _shell(command: str, where: str) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _session(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown below it."""
    assert block.text.startswith("$ ")
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            line, _, expected = expected.partition("\n")
            command = command[:-1] + line
        yield command, expected


def _read_toml(block: Block, folder: Path) -> None:
    values = tomllib.loads(block.text)
    if values.keys() & Experiment.model_fields.keys():
        made(values, f"line {block.line}")
    elif values.keys() & Settings.model_fields.keys():
        path = folder / "shown.toml"
        path.write_text(block.text, "utf-8")
        load(path, environment={})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_not_run_are_such_as_there_are(page: Path) -> None:
    """What needs a server or data from afar is not carried out; its names, options and values are looked at."""
    for block in blocks(page):
        if block.language == "sh" and block.mark == "not run":
            for command in _commands(block.text):
                try:
                    _understood(command)
                except USAGE_ERROR as error:
                    raise AssertionError(f"{name(page)}:{block.line}: {' '.join(command)}: {error.message}") from None


def _commands(script: str) -> Iterator[list[str]]:
    """The `antiphon` commands of a script, each with its arguments; a variable in them is 1, which most may be."""
    script = re.sub(r"\$\{?\w+\}?", "1", script)
    lexer = shlex.shlex(script.replace("\\\n", " "), posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split = " \t", True
    words = list(lexer)
    while "antiphon" in words:
        words = words[words.index("antiphon") + 1 :]
        ends = (at for at, word in enumerate(words) if word == "antiphon" or not set(word).difference("();<>|&\n"))
        yield words[: next(ends, len(words))]


def _understood(words: list[str]) -> None:
    """Has the command take its arguments, without doing anything.

    Raises:
        UsageError: it does not.
    """
    command, name, above = COMMAND, "antiphon", None
    while hasattr(command, "resolve_command"):
        above = command.make_context(name, words[:1], parent=above)
        name, command, words = command.resolve_command(above, words)
    command.make_context(name, words, parent=above)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_stands_in_a_block_that_is_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in RUN + SHOWN, f"{name(page)}:{block.line}: a block of {block.language or 'nothing'}"
        if block.language in SHOWN:
            assert not re.search(r"^(\$ |antiphon |pip |python )", block.text, re.MULTILINE), f"{page}:{block.line}"


# -- one site


def test_every_page_has_one_place_in_the_navigation() -> None:
    named = re.findall(r"^ +- .*?: ([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    there = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted([*there, "commands.md", "contributing.md"])


def test_the_page_of_commands_has_all_of_them() -> None:
    """It is made when the site is: here it is looked at that nothing is missing from it."""
    made = importlib.util.spec_from_file_location("pages", ROOT / "scripts" / "pages.py")
    assert made is not None and made.loader is not None
    hook = importlib.util.module_from_spec(made)
    made.loader.exec_module(hook)
    told = {section.partition("\n")[0]: section for section in hook.commands().split("\n## ")[1:]}

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
        for key, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {key}")

    there = dict(walk(COMMAND, "antiphon"))
    assert told.keys() == there.keys()
    for name, command in there.items():
        for parameter in command.params:
            spelled = [*parameter.opts] if parameter.param_type_name == "option" else [parameter.metavar]
            rows = [row for row in told[name].splitlines() if row.startswith("| `")]
            assert any(all(one in row for one in spelled) for row in rows), f"{name}: {parameter.name}"
        for target in re.findall(r"\]\((\w+\.md)\)", told[name]):
            assert (ROOT / "docs" / target).exists(), f"{name}: {target}"


# -- tables are the code's


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first heading this is."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.search(rf"^\| {heading} \|.*\n((?:\|.*\n?)+)", text, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(1).splitlines()[1:]]


def test_the_methods_are_those_there_are() -> None:
    rows = [[f"`{m.name}`", m.thinking.says, m.says_answer, m.says, m.source] for m in METHODS.values()]
    expected = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table("methods.md", "method") == rows, f"docs/methods.md should have:\n{expected}"


RESOLVED = {"teacher.model", "boundary.teacher", "boundary.student", "budget.thinking", "budget.answer"}
RESOLVED |= {"chunk", "candidates", "like", "source"}
"""Settings that enter a variant by what they come to: hashes of models and pages, lengths in tokens, other variants.
Some count only with methods that look at them."""


def settings_rows() -> Iterator[list[str]]:
    """The table of docs/settings.md."""

    def walk(prefixes: list[str], section: type[Any]) -> Iterator[list[str]]:
        for field, info in section.model_fields.items():
            names = [f"{prefix}{field}" for prefix in prefixes]
            if info.annotation is Role:
                if field == "teacher":
                    yield from walk(["teacher.", "student."], Role)
            elif isinstance(info.annotation, type) and hasattr(info.annotation, "model_fields"):
                yield from walk([f"{name}." for name in names], info.annotation)
            else:
                yield row(names, info)

    def row(names: list[str], info: FieldInfo) -> list[str]:
        default = "unset" if info.default is None else f"`{json.dumps(info.default)}`"
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        shapes = "yes" if extra.get("shapes") else "what it comes to" if set(names) & RESOLVED else ""
        return [" ".join(f"`{name}`" for name in names), default, info.description or "", shapes]

    return walk([""], Settings)


def test_the_settings_are_those_there_are() -> None:
    rows = list(settings_rows())
    expected = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table("settings.md", "setting") == rows, f"docs/settings.md should have:\n{expected}"


def test_the_figures_of_the_method_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    limits = (cast._THINKING, cast._ANSWER, guards._WINDOW, guards._EVERY, guards._LEAST_PROSE, guards._LEAST_SYMBOLS)
    defaults = (Settings().guards.breaks, int(Settings().outage))
    for figure in (*limits, *defaults):
        assert re.search(rf"(?<![\d,]){figure:,}(?![\d,]\d)", text), figure


# -- names exist


def test_every_public_name_stands_in_the_reference() -> None:
    told = set(re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "reference.md").read_text("utf-8"), re.MULTILINE))
    assert all(_resolves(name) for name in told)
    for public in antiphon.__all__:
        found = getattr(antiphon, public)
        if public != "__version__":
            assert {found.__module__, f"{found.__module__}.{public}"} & told, public
    assert antiphon.__all__ == sorted(antiphon.__all__)


@cache
def defined() -> frozenset[str]:
    """Every name that the source defines: classes, functions, parameters, fields, constants."""
    names = set(dir(builtins))
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return frozenset(names)


@cache
def options() -> frozenset[str]:
    """Every flag of every command."""

    def walk(command: Any) -> Iterator[str]:
        yield "--help"
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    return frozenset(walk(COMMAND))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_in_a_page_exist(page: Path) -> None:
    for span in inline(page):
        if re.fullmatch(r"[\w./-]+\.(py|md|yml|svg)|(src|docs|tests|scripts|bench|\.ci)/[\w./-]+", span):
            places = (ROOT, ROOT / "src" / "antiphon", ROOT / "docs", page.parent)
            known = any((place / span).exists() for place in places)
            assert known or any((ROOT / "src").rglob(span)), f"{name(page)}: {span}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_in_a_page_exist(page: Path) -> None:
    for span in inline(page):
        bare = re.sub(r"\(.*\)$", "", span)
        if span in FOREIGN or span.endswith((".py", ".md")):
            continue
        if re.fullmatch(r"antiphon(\.\w+)+", bare):
            assert _resolves(bare), f"{name(page)}: {span}"
        elif re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]+)*(\.\w+)*", bare) or (
            bare != span and re.fullmatch(r"[\w.]+", bare)
        ):
            assert set(bare.split(".")) <= defined() | {"antiphon"}, f"{name(page)}: {span}"


def _resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_flags_in_a_page_exist(page: Path) -> None:
    shown = [block.text for block in blocks(page) if block.language in ("sh", "console") and block.mark != "not run"]
    shown += re.findall(r"^    (--.*|antiphon .*)$", page.read_text("utf-8"), re.MULTILINE)
    for text in (*inline(page), *shown):
        for command in re.findall(r"\bantiphon (?!-)([a-z]+)", text):
            assert command in COMMAND.commands, f"{name(page)}: antiphon {command}"
        if text.startswith("--") or "antiphon " in text:
            for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text):
                assert flag in options(), f"{name(page)}: {flag}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_named_in_a_page_exist(page: Path) -> None:
    for span in inline(page):
        dotted = re.sub(r"\s*=.*", "", span)
        if dotted.endswith(".py"):
            continue
        if dotted.startswith("ANTIPHON_"):
            dotted = dotted.removeprefix("ANTIPHON_").lower().replace("__", ".")
        first, *others = dotted.split(".")
        if (others or "=" in span) and first in Settings.model_fields and re.fullmatch(r"[\w.]+", dotted):
            section: Any = Settings
            for part in dotted.split(".") if dotted else ():
                assert part in section.model_fields, f"{name(page)}: {span}"
                section = section.model_fields[part].annotation


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{name(page)}: {target}"


def test_the_first_stage_is_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    stage = (ROOT / ".ci" / "run").read_text("utf-8")
    (command,) = re.findall(r"^(python3 -m venv .*scripts/test)(?: \\)?$", stage, re.MULTILINE)
    assert f"\n{command}\n" in readme
