"""The page on the run directory tells of every table and column that there is."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from antiphon.store import schema

PAGE = Path(__file__).parents[2] / "docs" / "run-directory.md"


def test_the_tables_are_those_there_are() -> None:
    told = {
        name: columns.split(", ")
        for name, columns in re.findall(r"^\| `(\w+)` \|.*\| ([\w, ]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    }
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection, 0)
    tables = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    ]
    there = {table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in tables}
    connection.close()
    assert told == there
