"""Run directories of earlier versions are read and gone on with."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from antiphon.store import Reader, Store, schema
from antiphon.trace import Author, Status, Turn, Usage
from tests.store.records import keys, span, turn

DONE, PENDING = keys("done", "pending")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A run directory as version 1 wrote it: one finished trace, one pending, a turn each."""
    connection = sqlite3.connect(tmp_path / "run.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    schema.MIGRATIONS[0](connection)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO variants VALUES (1, 'tessy', '', '{}', 0, 1)")
    connection.execute("INSERT INTO about VALUES (1, 1, '{}', 0, 1)")
    for number, key in enumerate((DONE, PENDING), 1):
        status = "complete" if key is DONE else None
        connection.execute("INSERT INTO problems VALUES (?, ?, '[]', '{}', '', NULL, 1)", (number, key.problem))
        connection.execute(
            "INSERT INTO traces VALUES (?, ?, 1, 0, ?, '', NULL, 1, NULL, ?)", (number, number, status, number)
        )
        connection.execute(
            "INSERT INTO spans VALUES (?, 0, 'student', 'style', 'so ', X'', 'none', 'boundary', 1, X'', 0, 0, 1)",
            (number,),
        )
        connection.execute(
            "INSERT INTO turns VALUES (?, 0, 'student', 's', 8, 5, 3, 2, 1, 0.5, 1, 4, 0, NULL, 1)", (number,)
        )
        connection.execute("INSERT INTO usage VALUES (?, 'student', 1, 5, 3, 4, 0.5, 1, 2, 0, 1, 0, 1)", (number,))
    connection.execute("INSERT INTO calls VALUES (1, 1, 'teacher', 1, 2, 2, NULL, 0.5, 'grade', 'A', 0, 1)")
    connection.execute("UPDATE meta SET value = 2")
    connection.close()
    return tmp_path


def test_the_first_version_is_read_and_its_prompts_are_not_counted(first: Path) -> None:
    with Reader(first) as reader:
        assert reader.trace(DONE).response == "so "
        assert reader.trace(DONE).usage == {Author.STUDENT: Usage(1, 5, 3, 4, 0.5)}
        assert reader.turns(DONE) == [Turn(Author.STUDENT, "s", 8, 5, 3, 2, True, 0.5, 1, 4, 0)]
        assert [call.usage for call in reader.calls(DONE)] == [Usage(1, 2, 2, None, 0.5)]
        total = reader.totals()[Author.STUDENT]
        assert (total.received, total.prompt, total.cached_share) == (10, 0, None)


def test_the_first_version_is_gone_on_with(first: Path) -> None:
    async def work(store: Store) -> None:
        assert store.pending("tessy") == [PENDING]
        recorder = store.recorder(PENDING)
        recorder.close_span(1, span("we", Author.TEACHER))
        recorder.turn(turn(prompt=40, cached=30, told=40))
        await recorder.finish(Status.COMPLETE)

    with Store.open(first) as store:
        asyncio.run(work(store))
    with Reader(first) as reader:
        assert reader.trace(PENDING).response == "so we"
        assert reader.trace(PENDING).usage == {Author.STUDENT: Usage(2, 10, 6, 34, 1.0, 40, 40)}
        assert [one.prompt for one in reader.turns(PENDING)] == [0, 40]
