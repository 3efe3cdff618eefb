"""Databases for tests of SQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from antiphon.problem import Problem

from .asking import problem

TABLE = "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (3, 'y'), (3, 'z')"


def make(path: Path, statements: str = TABLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(statements)
    connection.close()
    return path


def at(folder: Path, **fields: Any) -> Problem:
    asked = problem(**{"gold_sql": "SELECT a FROM t"} | fields)
    return Problem(asked.id, asked.messages, asked.metadata, str(folder / "problems.jsonl"), 3)
