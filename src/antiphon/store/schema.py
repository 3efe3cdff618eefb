"""The tables of a run directory, and how those of an older version become today's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from antiphon.errors import StoreUnfit
from antiphon.store.columns import fingerprint, json_in, json_out

APPLICATION_ID = 0x616E7470
"""In the database's header: this is a run of ours ("antp")."""

_FIRST = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('change', 0)",
    """CREATE TABLE problems (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        messages TEXT NOT NULL, metadata TEXT NOT NULL, source TEXT NOT NULL, line INTEGER, change INTEGER NOT NULL)""",
    """CREATE TABLE variants (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL, shaping TEXT NOT NULL, created REAL NOT NULL, change INTEGER NOT NULL)""",
    """CREATE TABLE about (
        number INTEGER PRIMARY KEY, variant INTEGER NOT NULL REFERENCES variants,
        about TEXT NOT NULL, created REAL NOT NULL, change INTEGER NOT NULL)""",
    """CREATE TABLE traces (
        number INTEGER PRIMARY KEY,
        problem INTEGER NOT NULL REFERENCES problems, variant INTEGER NOT NULL REFERENCES variants,
        sample INTEGER NOT NULL,
        status TEXT, cause TEXT NOT NULL DEFAULT '', closed_by TEXT, started REAL, finished REAL,
        change INTEGER NOT NULL,
        UNIQUE (problem, variant, sample))""",
    "CREATE INDEX traces_by_change ON traces (change)",
    # Traces grow side by side: clustered by trace, one is read in a single sweep.
    """CREATE TABLE spans (
        trace INTEGER NOT NULL REFERENCES traces, position INTEGER NOT NULL,
        author TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, ids BLOB NOT NULL, ids_from TEXT NOT NULL,
        end TEXT, confidence REAL, words BLOB NOT NULL, forced INTEGER NOT NULL, reencoded INTEGER NOT NULL,
        change INTEGER NOT NULL,
        PRIMARY KEY (trace, position)) WITHOUT ROWID""",
    """CREATE TABLE growing (
        number INTEGER PRIMARY KEY, trace INTEGER NOT NULL REFERENCES traces, position INTEGER NOT NULL,
        author TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, ids BLOB NOT NULL, ids_from TEXT NOT NULL,
        end TEXT, confidence REAL, words BLOB NOT NULL, forced INTEGER NOT NULL, reencoded INTEGER NOT NULL)""",
    "CREATE INDEX growing_by_span ON growing (trace, position)",
    """CREATE TABLE turns (
        trace INTEGER NOT NULL REFERENCES traces, position INTEGER NOT NULL,
        role TEXT NOT NULL, server TEXT NOT NULL, asked INTEGER NOT NULL, received INTEGER NOT NULL,
        kept INTEGER NOT NULL, words INTEGER NOT NULL, cut INTEGER NOT NULL, seconds REAL NOT NULL,
        requests INTEGER NOT NULL, cached INTEGER, span INTEGER, rejected TEXT, change INTEGER NOT NULL,
        PRIMARY KEY (trace, position)) WITHOUT ROWID""",
    # One row per trace and role, so that what a run of millions of turns has cost is known at once.
    """CREATE TABLE usage (
        trace INTEGER NOT NULL REFERENCES traces, role TEXT NOT NULL,
        requests INTEGER NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
        cached INTEGER, seconds REAL NOT NULL DEFAULT 0, turns INTEGER NOT NULL DEFAULT 0,
        words INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, spans INTEGER NOT NULL DEFAULT 0,
        forced INTEGER NOT NULL DEFAULT 0, change INTEGER NOT NULL,
        PRIMARY KEY (trace, role)) WITHOUT ROWID""",
    """CREATE TABLE verdicts (
        number INTEGER PRIMARY KEY, trace INTEGER NOT NULL REFERENCES traces,
        verifier TEXT NOT NULL, version TEXT NOT NULL, label TEXT NOT NULL, detail TEXT NOT NULL,
        created REAL NOT NULL, change INTEGER NOT NULL,
        UNIQUE (trace, verifier, version))""",
    """CREATE TABLE made_from (
        trace INTEGER NOT NULL REFERENCES traces, position INTEGER NOT NULL, source INTEGER NOT NULL REFERENCES traces,
        change INTEGER NOT NULL,
        PRIMARY KEY (trace, position)) WITHOUT ROWID""",
    """CREATE TABLE calls (
        number INTEGER PRIMARY KEY, trace INTEGER NOT NULL REFERENCES traces, role TEXT NOT NULL,
        requests INTEGER NOT NULL, received INTEGER NOT NULL, kept INTEGER NOT NULL, cached INTEGER,
        seconds REAL NOT NULL, purpose TEXT NOT NULL, text TEXT NOT NULL,
        created REAL NOT NULL, change INTEGER NOT NULL)""",
    "CREATE INDEX calls_by_trace ON calls (trace)",
)


def _1_tables(connection: sqlite3.Connection) -> None:
    for statement in _FIRST:
        connection.execute(statement)


def _2_prompts(connection: sqlite3.Connection) -> None:
    for table in ("turns", "usage", "calls"):
        for column in ("prompt", "told"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
    for number, told in connection.execute("SELECT number, shaping FROM variants").fetchall():
        shaping = _shaping_of_1(json_out(told))
        row = (json_in(shaping), fingerprint(shaping), number)
        connection.execute("UPDATE variants SET shaping = ?, fingerprint = ? WHERE number = ?", row)


def _shaping_of_1(told: dict[str, Any]) -> dict[str, Any]:
    """What shapes a text, as version 1 told it, in today's words: the same configuration is known again."""
    shaping = told | {"max": {}}
    for role in shaping.keys() & {"student", "teacher"}:
        section = shaping[role] = dict(shaping[role])
        page = section["dialect"]["page"]
        section["dialect"] = section["dialect"] | {"page": _PAGES_OF_1.get(page, page)}
        if "sampling" in section:
            section["server"] = {}
    return shaping


_PAGES_OF_1 = {
    "66b1ac3d7907696200d3c3845cd5d0619dc19ee1f0e2f3b626ff6c1da4a6865f": (  # chatml
        "085163459059147b053e56b1f4eebfadd65afd85cbc232d5ccbcf1e0351f27a4"
    ),
    "fb80c47c8be3feaf9e03d63442b4f834351a04e8e8324a178cb2bb50feea4eb1": (  # deepseek-r1
        "4cc33469365975b9fed6c5e80eb91606a1f1a05daac0d4f518fb5b1e4c9c9444"
    ),
    "70e5eaf80ac07c533f77d90a97e0aad2e424281cf2773188b47a896a7a132b6d": (  # qwen3
        "c7c63c33919ac1af61b5ef48eaa3110323406324985e6c68edf249fd93601819"
    ),
}
"""Families whose pages say what they said: their hashes before pages had more fields, and since."""


def _3_seconds(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE verdicts ADD COLUMN seconds REAL NOT NULL DEFAULT 0")


def _4_sessions(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE sessions (
            number INTEGER PRIMARY KEY, variant INTEGER NOT NULL REFERENCES variants,
            began REAL NOT NULL, ended REAL NOT NULL, places INTEGER NOT NULL, turns INTEGER NOT NULL,
            cpu REAL NOT NULL, coreless REAL, change INTEGER NOT NULL)"""
    )


def _5_merges(connection: sqlite3.Connection) -> None:
    # By its id a run is known again wherever it is copied to; `sources` and `taken` are of those merged into this one.
    connection.execute("INSERT INTO meta VALUES ('id', lower(hex(randomblob(8))))")
    connection.execute(
        """CREATE TABLE sources (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, directory TEXT NOT NULL, shares TEXT NOT NULL,
            change INTEGER NOT NULL)"""
    )
    connection.execute(
        """CREATE TABLE taken (
            trace INTEGER NOT NULL REFERENCES traces, source INTEGER NOT NULL REFERENCES sources,
            state TEXT NOT NULL, change INTEGER,
            PRIMARY KEY (trace, source)) WITHOUT ROWID"""
    )


Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: list[Migration] = [_1_tables, _2_prompts, _3_seconds, _4_sessions, _5_merges]
"""The step to version n is the n-th; a step that was ever released is never changed."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables, 0 for an empty database.

    Raises:
        StoreUnfit: a database of something else, or of a newer version.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreUnfit(f"{path} is a database of another program; choose another run directory")
    if version > len(MIGRATIONS):
        raise StoreUnfit(
            f"{path} was written by a newer version (its tables are of version {version}, this version knows"
            f" {len(MIGRATIONS)}); upgrade to open it"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, version: int, to: int | None = None) -> None:
    """Brings tables of `version` up to date, or to a version on the way there, wholly or not at all."""
    to = len(MIGRATIONS) if to is None else to
    if version >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:to]:
            step(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {to}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
