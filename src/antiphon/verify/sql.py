"""Answers in SQL: carried out on the problem's databases, their rows held against those of the gold queries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown
from antiphon.verify.fences import fenced
from antiphon.verify.workers import Stopped, Workers

GOLD = ("gold_sql", "SQL", "sql", "query")
"""Fields that may hold the gold query, or a list of accepted ones; the first that is not null counts."""
STATEMENTS = ("sqlite_setup", "schema_sql")
"""Fields that may hold a database as CREATE and INSERT statements: one text or a list."""
FILES = ("databases", "database")
"""Fields that may name SQLite files: one or a list, as paths from the problem's file."""

SECONDS = 10.0
"""Of processor time that one query may take."""
LONGEST = 100_000
"""Characters of a query."""

_STATEMENT = re.compile(r"^[ \t]*(?:\(\s*)?(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.MULTILINE)
_INLINE = re.compile(r"`\s*((?:SELECT|WITH)\b[^`]+)`", re.IGNORECASE)
_DIALECTS = ("sql", "sqlite", "sqlite3", "mysql", "postgresql", "postgres")


class SqlVerifier(Checker):
    """Judges a query by its rows.

    A problem's databases are its statements (`STATEMENTS`), its files (`FILES`), or what its `db_id` means in
    `databases`: a folder that holds `DB_ID.sqlite` or `DB_ID/DB_ID.sqlite` (several files in `DB_ID` are all tried), or
    a file of JSON lines with `db_id` and one of `STATEMENTS`. Unset: the folder of the problem's file, its
    subfolders `database`, `databases` and `dev_databases`, and its files `*schemas*.jsonl`.
    """

    name = "sql"
    version = "1"
    needs = {"sqlglot": "sqlglot"}  # noqa: RUF012

    def __init__(
        self, workers: Workers | None = None, *, databases: str | Path | None = None, seconds: float = SECONDS
    ):
        self._workers = workers or Workers()
        self._seconds = seconds
        self._places = _Places(None if databases is None else Path(databases))

    def suits(self, problem: Problem) -> bool:
        fields = problem.metadata
        databases = any(fields.get(name) for name in (*STATEMENTS, *FILES, "db_id"))
        return databases and any(isinstance(fields.get(name), (str, list)) for name in GOLD)

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        golds = _golds(fields)
        databases = _databases(fields, problem) or self._places.of(fields.get("db_id"), problem)
        query = query_of(answer)
        if query is None:
            return Finding(Label.NO_ANSWER, "it holds no query")
        if len(query) > LONGEST:
            return Finding(Label.WRONG, f"the query has {len(query):,} characters, more than {LONGEST:,}")
        seconds = 0.0
        found: list[Any] = []
        for database in databases:
            try:
                reply = await self._ask(database, golds, query)
            except Stopped:
                await self._try_gold(database, golds)
                raise
            seconds += reply.seconds
            found = reply.value
            if found[0] == "broken":
                raise BrokenCheck(found[1])
            if found[0] != Label.RIGHT:
                break
        return Finding(Label(found[0]), found[1], seconds)

    async def _try_gold(self, database: Mapping[str, Any], golds: list[str]) -> None:
        """Sees that it is not the gold queries that take too long."""
        for gold in golds:
            try:
                await self._ask(database, [gold], gold)
            except Stopped as error:
                raise BrokenCheck(f"the gold query cannot be carried out: {error}") from None

    async def _ask(self, database: Mapping[str, Any], golds: list[str], query: str) -> Any:
        most = self._seconds * (len(golds) + 3)  # the queries stop themselves, if SQLite lets them
        judge = "antiphon.verify.sql_run:judge"
        return await self._workers.ask(judge, database, golds, query, self._seconds, seconds=most)


def query_of(answer: str) -> str | None:
    """The query of an answer: the last closed fenced block in SQL; else the last without a language, else a piece of
    code in a line, else the text itself, that begins with SELECT, WITH or VALUES."""
    blocks = fenced(answer)
    for languages in (_DIALECTS, ("",)):
        for block in reversed(blocks):
            if block.language in languages and (block.language or _STATEMENT.match(_uncommented(block.text))):
                return block.text.strip() or None
    if blocks:
        return None
    if inline := _INLINE.findall(answer):
        return str(inline[-1]).strip()
    starts = list(_STATEMENT.finditer(answer))
    if not starts:
        return None
    if _STATEMENT.match(_uncommented(answer)):
        return answer.strip()
    return re.split(r"\n[ \t]*\n", answer[starts[-1].start() :])[0].strip()


def _uncommented(text: str) -> str:
    """Without the comments and blanks before the statement."""
    return re.sub(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", "", text, flags=re.DOTALL)


def _golds(fields: Mapping[str, Any]) -> list[str]:
    name = next((name for name in GOLD if fields.get(name) is not None), None)
    if name is None:
        raise BrokenCheck(f"it has no gold query; looked for: {', '.join(GOLD)}")
    value = fields[name]
    golds = value if isinstance(value, list) else [value]
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise BrokenCheck(f"{name!r} is {shown(value)}, not a query or a list of queries")
    return golds


def _databases(fields: Mapping[str, Any], problem: Problem) -> list[dict[str, Any]]:
    """The databases that a record itself describes, as `sql_run` takes them."""
    for name in STATEMENTS:
        if fields.get(name):
            return [{"statements": _statements(fields[name], name)}]
    for name in FILES:
        if value := fields.get(name):
            names = value if isinstance(value, list) else [value]
            if not all(isinstance(each, str) for each in names):
                raise BrokenCheck(f"{name!r} is {shown(value)}, not a path or a list of paths")
            return [{"path": _existing(each, problem)} for each in names]
    return []


def _statements(value: Any, name: str) -> str:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str) for part in parts):
        raise BrokenCheck(f"{name!r} is {shown(value)}, not SQL or a list of statements")
    return "\n".join(part if part.rstrip().endswith(";") else f"{part};" for part in parts)


def _existing(name: str, problem: Problem) -> str:
    for path in (Path(problem.source).parent / name, Path(name)):
        if path.is_file():
            return str(path.resolve())
    raise BrokenCheck(f"there is no database {name}")


class _Places:
    """Where the databases are that problems name by `db_id`."""

    def __init__(self, place: Path | None):
        self._place = place
        self._read: dict[Path, dict[str, str]] = {}

    def of(self, name: Any, problem: Problem) -> list[dict[str, Any]]:
        if not isinstance(name, str) or not re.fullmatch(r"[\w.\- ]+", name) or name.startswith("."):
            raise BrokenCheck(f"its database is not told ('db_id' is {shown(name)})")
        for place in self._looked_in(problem):
            if place.is_file():
                if (statements := self._rows(place).get(name)) is not None:
                    return [{"statements": statements}]
            elif files := sorted(place.glob(f"{name}.sqlite")) or sorted((place / name).glob("*.sqlite")):
                return [{"path": str(path.resolve())} for path in files]
        where = self._place or Path(problem.source).parent
        raise BrokenCheck(f"there is no database {name!r} in {where}; say where, as in: --verifier sql:FOLDER_OR_FILE")

    def _looked_in(self, problem: Problem) -> list[Path]:
        if self._place is not None and self._place.is_file():
            return [self._place]
        folder = self._place or Path(problem.source).parent
        inner = [folder / name for name in ("", "database", "databases", "dev_databases")]
        return [*inner, *sorted(folder.glob("*schemas*.jsonl"))]

    def _rows(self, path: Path) -> dict[str, str]:
        if path not in self._read:
            rows = {}
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                try:
                    row = json.loads(line)
                    field = next(name for name in STATEMENTS if row.get(name))
                    rows[str(row["db_id"])] = _statements(row[field], field)
                except (ValueError, KeyError, AttributeError, StopIteration):
                    raise BrokenCheck(f"{path}:{number} has no db_id with {' or '.join(STATEMENTS)}") from None
            self._read[path] = rows
        return self._read[path]
