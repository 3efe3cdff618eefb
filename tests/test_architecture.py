"""docs/architecture.md says what may import what, and here the real imports are held against it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "antiphon"
PAGE = ROOT / "docs" / "architecture.md"
MODULES = sorted(SOURCE.rglob("*.py"))
ALL = sorted(path for folder in ("src", "tests", "bench", "scripts") for path in (ROOT / folder).rglob("*.py"))
LONGEST = 500  # lines
SHARED = 10  # lines that two places may have in common
NO_LOGIC = re.compile(r"\W*$|#|from |import |(\w+)=\1,$|\w+: options\.\w+ = (None|False),$")
"""Lines that do not count there: without a word, imports, names handed on, options that are declared elsewhere."""


class Floor(NamedTuple):
    """Where a package stands, and which of its own floor it may use."""

    number: int
    beside: frozenset[str]


class Import(NamedTuple):
    """One import statement's module, and whether it runs when its own module is loaded."""

    module: str
    line: int
    at_top: bool


def _tables() -> Iterator[list[list[str]]]:
    """The tables of the page: rows of cells, without the heading."""
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text("utf-8"), re.MULTILINE):
        yield [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


@cache
def floors() -> dict[str, Floor]:
    rows = next(_tables())
    return {row[1].strip("`").replace("/", "."): Floor(int(row[0]), frozenset(_names(row[3]))) for row in rows}


@cache
def heavy() -> dict[str, frozenset[str]]:
    """Libraries, and the modules that may import them at their top."""
    tables = _tables()
    next(tables)
    return {row[0].strip("`"): frozenset(_names(row[1])) for row in next(tables)}


def _names(cell: str) -> list[str]:
    return [name.replace("/", ".") for name in re.findall(r"`([\w./]+)`", cell)]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def package_of(module: str) -> str:
    """The row of the table: the first name below `antiphon`, or the first two where they have a row of their own, or
    `antiphon` itself."""
    _, *below = module.split(".")
    inner = ".".join(below[:2])
    return inner if inner in floors() else below[0] if below else module


def imports(path: Path) -> Iterator[Import]:
    """All imports of a module, those inside functions too; what is for type checkers alone is left out of the top."""

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports are absolute"
                assert child.module is not None
                if child.module == "antiphon":
                    yield from (Import(f"antiphon.{alias.name}", child.lineno, at_top) for alias in child.names)
                else:
                    yield Import(child.module, child.lineno, at_top)
            else:
                yield from walk(child, at_top and not inside and not typing_only)

    yield from walk(tree_of(path), at_top=True)


def test_the_table_names_every_package_and_no_other() -> None:
    assert set(floors()) == {package_of(name_of(path)) for path in MODULES}


def test_every_module_has_its_place_on_the_page() -> None:
    """Those of `cli` are one for each command, and what these share."""
    page = PAGE.read_text("utf-8")
    named = {place.rpartition("/")[2] for place in re.findall(r"`([\w/]+(?:\.py)?)`", page)}
    unnamed = [path for path in MODULES if not {path.name, path.stem} & named and path.name != "__init__.py"]
    assert [path for path in unnamed if "cli" not in path.parts] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_from_below(path: Path) -> None:
    own = package_of(name_of(path))
    number, beside = floors()[own]
    for imported in imports(path):
        if imported.module.split(".")[0] != "antiphon":
            continue
        other = package_of(imported.module)
        allowed = other == own or other in beside or floors()[other].number < number
        assert allowed, f"{path.relative_to(ROOT)}:{imported.line}: {own} (floor {number}) imports {imported.module}"


def test_the_first_line_of_a_module_says_what_it_is_for() -> None:
    """It is a sentence, and a blank line follows."""
    said = {path: (ast.get_docstring(tree_of(path)) or "").splitlines() or [""] for path in MODULES}
    assert [path for path, (first, *more) in said.items() if any(more[:1]) or not re.search(r"\w.*[.:]$", first)] == []


def test_no_module_is_long() -> None:
    assert [path for path in ALL if len(path.read_text("utf-8").splitlines()) > LONGEST] == []


def test_no_two_places_share_more_than_a_few_lines() -> None:
    first: dict[tuple[str, ...], str] = {}
    twice = []
    for path in ALL:
        numbered = enumerate(map(str.strip, path.read_text("utf-8").splitlines()), 1)
        lines = [(number, line) for number, line in numbered if not NO_LOGIC.match(line)]
        for at in range(len(lines) - SHARED):
            run = tuple(line for _, line in lines[at : at + SHARED + 1])
            place = f"{path.relative_to(ROOT)}:{lines[at][0]}"
            if (before := first.setdefault(run, place)) != place:
                twice.append(f"{before} and {place}")
    assert twice == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    for imported in imports(path):
        owners = heavy().get(imported.module.split(".")[0])
        if imported.at_top and owners is not None:
            assert name_of(path) in owners, f"{path.relative_to(ROOT)}:{imported.line}: imports {imported.module}"


def test_the_table_of_libraries_names_no_module_in_vain() -> None:
    tops = {(name_of(path), i.module.split(".")[0]) for path in MODULES for i in imports(path) if i.at_top}
    for library, owners in heavy().items():
        assert {(owner, library) for owner in owners} <= tops


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("import antiphon; dir(antiphon)", id="import antiphon"),
        pytest.param("sys.argv = ['antiphon', '--help']; from antiphon.cli import main; main()", id="antiphon --help"),
        pytest.param("sys.argv = ['antiphon', '--version']; from antiphon.cli import main; main()", id="--version"),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(start: str) -> None:
    report = "atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))"
    code = f"import atexit, json, sys\n{report}\n{start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert "antiphon" in loaded
    assert not loaded & set(heavy())
