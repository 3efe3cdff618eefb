"""Queries that would write, attach, load or never end: each is contained and told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from antiphon.trace import Label
from antiphon.verify.sql import SqlVerifier
from antiphon.verify.workers import Workers
from tests.verify.databases import at, make

from .asking import verdict

NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000)"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
LATE, WRONG = {Label.TIMED_OUT}, {Label.WRONG}

HOSTILE: Mapping[str, tuple[str, set[Label]]] = {
    "insert": ("INSERT INTO t VALUES (9, 9)", WRONG),
    "insert behind with": ("WITH x AS (SELECT 1) INSERT INTO t SELECT 1, 2", WRONG),
    "update": ("UPDATE t SET a = 9", WRONG),
    "delete that returns rows": ("DELETE FROM t RETURNING a, b", WRONG),
    "drop": ("DROP TABLE t", WRONG),
    "drop behind a comment": ("/* SELECT a, b FROM t */ DROP TABLE t", WRONG),
    "create": ("CREATE TABLE u AS SELECT a, b FROM t", WRONG),
    "create a temporary view": ("CREATE TEMP VIEW v AS SELECT a, b FROM t", WRONG),
    "create a trigger": ("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", WRONG),
    "alter": ("ALTER TABLE t RENAME TO u", WRONG),
    "replace": ("REPLACE INTO t VALUES (1, 2)", WRONG),
    "attach": ("ATTACH 'made.db' AS x", WRONG),
    "attach a file of the system": ("ATTACH '/etc/passwd' AS x", WRONG),
    "attach by a URI": ("ATTACH 'file:made.db?mode=rwc' AS x", WRONG),
    "vacuum": ("VACUUM", WRONG),
    "vacuum into": ("VACUUM INTO 'made.db'", WRONG),
    "pragma that makes the schema writable": ("PRAGMA writable_schema = ON", WRONG),
    "pragma that changes the journal": ("PRAGMA journal_mode = DELETE", WRONG),
    "pragma as a table": ("SELECT * FROM pragma_database_list", WRONG),
    "transaction": ("BEGIN EXCLUSIVE", WRONG),
    "load an extension": ("SELECT load_extension('/lib/x86_64-linux-gnu/libc.so.6'), 1", WRONG),
    "read a file": ("SELECT readfile('/etc/passwd'), 1 FROM t", WRONG),
    "write a file": ("SELECT writefile('made.db', 'x'), 1 FROM t", WRONG),
    "a tokenizer as a pointer": ("SELECT fts3_tokenizer('simple', x'0011223344556677'), 1 FROM t", WRONG),
    "two statements": ("SELECT a, b FROM t; DROP TABLE t", WRONG),
    "two statements, a comment between": ("SELECT a, b FROM t; -- that is all\nDROP TABLE t", WRONG),
    "an open comment": ("SELECT a, b FROM t /* ", WRONG),
    "only a comment": ("-- SELECT a, b FROM t", WRONG),
    "endless rows": (f"{ENDLESS} SELECT x, x FROM n", WRONG),
    "endless counting": (f"{ENDLESS} SELECT count(*), 1 FROM n", LATE),
    "endless without repetition": (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n) SELECT max(x), 1 FROM n",
        LATE,
    ),
    "rows that double": (
        "WITH RECURSIVE n(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM n) SELECT max(x), 1 FROM n",
        LATE | WRONG,
    ),
    "a billion rows": (f"{NUMBERS} SELECT p.x, q.x FROM n p, n q, n r", WRONG),
    "a billion rows, counted": (f"{NUMBERS} SELECT count(*), 1 FROM n p, n q, n r", LATE),
    "a billion rows, sorted": (f"{NUMBERS} SELECT p.x, q.x FROM n p, n q, n r ORDER BY p.x || q.x", LATE),
    "a billion rows in one text": (f"{NUMBERS} SELECT group_concat(p.x), 1 FROM n p, n q, n r", LATE | WRONG),
    "a huge blob": ("SELECT zeroblob(1000000000), 1 FROM t", LATE | WRONG),
    "huge blobs, sorted": (f"{NUMBERS} SELECT x, zeroblob(40000000) FROM n ORDER BY 2, 1", {Label.CRASHED, *LATE}),
    "a huge width": ("SELECT printf('%2000000000d', 1), 1 FROM t", LATE | WRONG),
    "a huge hex": ("SELECT hex(zeroblob(500000000)), 1 FROM t", LATE | WRONG),
    "replacements that multiply": (
        "SELECT replace(replace(printf('%9999d', 0), ' ', printf('%9999d', 0)), ' ', printf('%9999d', 0)), 1 FROM t",
        LATE | WRONG,
    ),
    "chance": ("SELECT a, b FROM t ORDER BY random()", WRONG),
    "chance in bytes": ("SELECT a, b FROM t WHERE hex(randomblob(1)) <> 'ZZ'", WRONG),
    "a search without end": ("SELECT instr(zeroblob(40000000), zeroblob(20000000) || x'01'), 1", LATE),
    "like with many wildcards": (f"SELECT printf('%40000s', 'a') LIKE '{'%a' * 400}b', 1 FROM t", LATE | WRONG),
    "like with too long a pattern": (f"SELECT 'a' LIKE '{'%a' * 20000}', 1 FROM t", WRONG),
    "glob with many wildcards": (
        f"SELECT replace(hex(zeroblob(9999)), '0', 'a') GLOB '{'*[a]' * 200}c', 1 FROM t",
        WRONG | LATE,
    ),
    "regexp": ("SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' REGEXP '(a+)+$', 1 FROM t", WRONG),
    "deep brackets": (f"SELECT {'(' * 9000}1{')' * 9000}, 1 FROM t", WRONG),
    "deep subqueries": (f"SELECT * FROM {'(SELECT * FROM ' * 900}t{')' * 900}", WRONG),
    "thousands of terms": (" UNION ALL ".join(["SELECT 1, 2"] * 5000), LATE | WRONG),
    "thousands of columns": (f"SELECT {', '.join('1' * 9000)} FROM t", WRONG),
    "deep JSON": (f"SELECT json('{'[' * 90000}'), 1 FROM t", LATE | WRONG),
    "wide JSON, crossed": (
        f"SELECT count(*), 1 FROM json_tree('[{'1,' * 9000}1]') p, json_tree('[{'1,' * 9000}1]') q, t",
        LATE,
    ),
    "a NUL": ("SELECT a, b FROM t\0; DROP TABLE t", WRONG),
    "a lone surrogate": ("SELECT '\ud800', 1 FROM t", WRONG),
    "a megabyte": (f"SELECT a, b FROM t WHERE a IN ({', '.join(map(str, range(200_000)))})", WRONG),
    "the schema as rows": ("SELECT name, sql FROM sqlite_master", WRONG),
    "explain": ("EXPLAIN SELECT a, b FROM t", WRONG),
}


@pytest.mark.parametrize(("query", "labels"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_query_is_contained(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, labels: set[Label]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "t.sqlite")
    before = path.read_bytes()
    asked = at(tmp_path, database="t.sqlite", gold_sql="SELECT a, b FROM t")
    given = verdict(SqlVerifier(workers, seconds=0.1), asked, f"```sql\n{query}\n```")
    assert given.label in labels, given.detail
    assert verdict(SqlVerifier(workers), asked, "SELECT a, b FROM t").label is Label.RIGHT
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["t.sqlite"]
