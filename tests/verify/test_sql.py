"""SQL: gold queries are right, changed ones whose rows differ wrong, and nothing is written."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import expressions as sql

from antiphon.problem import Problem, load
from antiphon.trace import Label
from antiphon.verify.sql import SqlVerifier, query_of
from antiphon.verify.workers import Workers
from tests.verify.databases import TABLE, at, make

from .asking import problem, verdict, verdicts


@pytest.fixture(scope="module")
def verifier(workers: Workers) -> SqlVerifier:
    return SqlVerifier(workers)


@pytest.fixture(scope="module")
def real(shared: Path) -> list[Problem]:
    return list(load(shared / "problems" / "text2sql_sqlite.jsonl").problems)


# -- the gold queries of real problems, and changed ones


def changed(query: str) -> Iterator[str]:
    """The query without a condition, with another aggregate, without its limit or with one, with another column."""
    tree = sqlglot.parse_one(query, read="sqlite")
    aggregates = (sql.Count, sql.Sum, sql.Avg, sql.Max, sql.Min)
    for number in range(len(list(tree.find_all(sql.Where)))):
        other = tree.copy()
        list(other.find_all(sql.Where))[number].pop()
        yield other.sql("sqlite")
    for number in range(len(list(tree.find_all(*aggregates)))):
        other = tree.copy()
        node = list(other.find_all(*aggregates))[number]
        what = sql.Literal.number(1) if isinstance(node.this, sql.Star) else node.this.copy()
        node.replace((sql.Min if isinstance(node, sql.Max) else sql.Max)(this=what))
        yield other.sql("sqlite")
    limited = tree.copy()
    if limited.args.get("limit"):
        limited.args["limit"].pop()
        yield limited.sql("sqlite")
    elif isinstance(limited, sql.Select):
        yield limited.limit(1).sql("sqlite")
    names = sorted({column.sql("sqlite") for column in tree.find_all(sql.Column)})
    for number, column in enumerate(tree.expressions):
        if isinstance(column, sql.Column) and len(names) > 1:
            other = tree.copy()
            name = next(name for name in names if name != column.sql("sqlite"))
            other.expressions[number].replace(sqlglot.parse_one(name, read="sqlite"))
            yield other.sql("sqlite")


def results(shared: Path, problems: list[Problem], queries: list[list[str]]) -> list[list[Counter[str] | None]]:
    """What SQLite itself gives for queries: rows and the values of each in any order; None for an error."""
    rows = map(json.loads, (shared / "problems" / "text2sql_schemas.jsonl").read_text().splitlines())
    databases = {}
    for row in rows:
        databases[row["db_id"]] = connection = sqlite3.connect(":memory:")
        connection.executescript("\n".join(row["sqlite_setup"]))

    def result(connection: sqlite3.Connection, query: str) -> Counter[str] | None:
        try:
            rows = connection.execute(query).fetchall()
            return Counter(repr(sorted(repr(v if isinstance(v, str | None) else float(v)) for v in r)) for r in rows)
        except sqlite3.Error:
            return None

    found = [
        [result(databases[problem.metadata["db_id"]], query) for query in of_problem]
        for problem, of_problem in zip(problems, queries, strict=True)
    ]
    for connection in databases.values():
        connection.close()
    return found


def judge_gold(verifier: SqlVerifier, problems: list[Problem]) -> Counter[Label]:
    asked = [(problem, f"```sql\n{gold}\n```") for problem in problems for gold in problem.metadata["gold_sql"]]
    return Counter(verdict.label for verdict in verdicts(verifier, asked))


def judge_changed(verifier: SqlVerifier, shared: Path, problems: list[Problem]) -> tuple[int, list[str]]:
    """How many changed queries have other rows than every gold query, and those that were not judged wrong."""
    queries = [sorted(set(changed(problem.metadata["gold_sql"][0]))) for problem in problems]
    golds = results(shared, problems, [problem.metadata["gold_sql"] for problem in problems])
    others = results(shared, problems, queries)
    differing = [
        (problem, query)
        for problem, gold, of_problem, given in zip(problems, golds, queries, others, strict=True)
        for query, rows in zip(of_problem, given, strict=True)
        if rows not in gold
    ]
    given = verdicts(verifier, [(problem, f"```sql\n{query}\n```") for problem, query in differing])
    missed = [
        f"{problem.id}: {verdict.label} {verdict.detail}: {query}"
        for (problem, query), verdict in zip(differing, given, strict=True)
        if verdict.label is not Label.WRONG
    ]
    return len(differing), missed


def test_some_gold_queries_are_right(verifier: SqlVerifier, real: list[Problem]) -> None:
    assert set(judge_gold(verifier, real[::12])) == {Label.RIGHT}


def test_some_changed_queries_are_wrong(verifier: SqlVerifier, shared: Path, real: list[Problem]) -> None:
    differing, missed = judge_changed(verifier, shared, real[::12])
    assert differing > 20
    assert not missed


@pytest.mark.slow
def test_all_gold_queries_are_right(verifier: SqlVerifier, real: list[Problem]) -> None:
    assert set(judge_gold(verifier, real)) == {Label.RIGHT}


@pytest.mark.slow
def test_all_changed_queries_are_wrong(verifier: SqlVerifier, shared: Path, real: list[Problem]) -> None:
    differing, missed = judge_changed(verifier, shared, real)
    print(f"{differing} differ", *missed, sep="\n  ")
    assert differing > 300
    assert not missed


# -- when two results are the same


@pytest.mark.parametrize(
    ("gold", "answer", "label"),
    [
        ("SELECT a, b FROM t", "SELECT a, b FROM t ORDER BY b DESC", Label.RIGHT),
        ("SELECT a, b FROM t", "SELECT b AS x, a AS y FROM t", Label.RIGHT),
        ("SELECT a, b FROM t", "SELECT a, a FROM t", Label.WRONG),
        ("SELECT a, b FROM t", "SELECT a, b, 1 FROM t", Label.WRONG),
        ("SELECT a, b FROM t", "SELECT a FROM t", Label.WRONG),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t", Label.WRONG),
        ("SELECT a FROM t", "SELECT a FROM t UNION ALL SELECT 3", Label.WRONG),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY 1 ASC", Label.RIGHT),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC", Label.WRONG),
        ("SELECT a, b FROM t ORDER BY a", "SELECT a, b FROM t ORDER BY a, b DESC", Label.RIGHT),
        ("SELECT a, b FROM t ORDER BY a, b", "SELECT a, b FROM t ORDER BY a, b DESC", Label.WRONG),
        ("SELECT a, b FROM t ORDER BY a, b DESC", "SELECT b, a FROM t ORDER BY a, b DESC", Label.RIGHT),
        ("SELECT b FROM t ORDER BY a LIMIT 3", "SELECT b FROM t ORDER BY a, b DESC", Label.RIGHT),
        ("SELECT b FROM t ORDER BY a LIMIT 1", "SELECT b FROM t WHERE a = 1", Label.RIGHT),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", "SELECT a FROM t ORDER BY a DESC", Label.RIGHT),
        ("SELECT a FROM t UNION SELECT 9 ORDER BY 1", "SELECT a FROM t UNION SELECT 9 ORDER BY 1 DESC", Label.WRONG),
        ("SELECT a FROM t -- ORDER BY a", "SELECT a FROM t ORDER BY a DESC", Label.RIGHT),
        ("SELECT a FROM t ORDER BY a -- so", "SELECT a FROM t ORDER BY a DESC", Label.WRONG),
        ("SELECT '{}' FROM t ORDER BY a", "SELECT '{}' FROM t", Label.RIGHT),
        ("SELECT 1.0 / 3", "SELECT 0.33333333", Label.RIGHT),
        ("SELECT 1.0 / 3", "SELECT 0.333", Label.WRONG),
        ("SELECT 2", "SELECT 2.0", Label.RIGHT),
        ("SELECT 2", "SELECT 2.0000001", Label.RIGHT),
        ("SELECT 10000001", "SELECT 10000002", Label.WRONG),
        ("SELECT 2", "SELECT '2'", Label.WRONG),
        ("SELECT 'a'", "SELECT x'61'", Label.WRONG),
        ("SELECT NULL", "SELECT NULL", Label.RIGHT),
        ("SELECT NULL", "SELECT 0", Label.WRONG),
        ("SELECT NULL", "SELECT ''", Label.WRONG),
        (
            "SELECT 0.1 + 0.2, 'x' UNION ALL SELECT 0.3, 'y'",
            "SELECT 0.3, 'x' UNION ALL SELECT 0.1 + 0.2, 'y'",
            Label.RIGHT,
        ),
        ("SELECT a FROM t WHERE a > 9", "SELECT a FROM t WHERE a < 0", Label.RIGHT),
        ("SELECT a FROM t WHERE a > 9", "SELECT a, b FROM t WHERE a < 0", Label.WRONG),
        ("SELECT value FROM json_each('[1,2]')", "SELECT 1 UNION SELECT 2", Label.RIGHT),
        ("SELECT CAST(x'ff' AS TEXT)", "SELECT CAST(x'ff' AS TEXT)", Label.RIGHT),
    ],
)
def test_results(verifier: SqlVerifier, gold: str, answer: str, label: Label) -> None:
    given = verdict(verifier, problem(gold_sql=gold, schema_sql=TABLE), f"```sql\n{answer}\n```")
    assert given.label is label, given.detail


def test_the_rows_of_any_gold_query_are_right(verifier: SqlVerifier) -> None:
    asked = problem(gold_sql=["SELECT a FROM t", "SELECT b FROM t"], schema_sql=TABLE)
    labels = [verdict(verifier, asked, f"SELECT {what} FROM t").label for what in ("a", "b", "1")]
    assert labels == [Label.RIGHT, Label.RIGHT, Label.WRONG]


def test_a_query_that_does_not_parse_is_told_where(verifier: SqlVerifier) -> None:
    given = verdict(verifier, problem(gold_sql="SELECT 1", schema_sql=TABLE), "```sql\nSELECT (a\nFROM t\n```")
    assert given.label is Label.WRONG
    assert 'SQLite says: near "FROM": syntax error' in given.detail
    assert "line 2" in given.detail


# -- where the query is


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ("```sql\nSELECT 1\n```", "SELECT 1"),
        ("```sql\nSELECT 1\n```\nor\n```SQL\nSELECT 2;\n```", "SELECT 2;"),
        ("```sql\nSELECT 1\n```\nIt gives\n```\n1 row\n```", "SELECT 1"),
        *((f"~~~{name}\nSELECT 1\n~~~\n```\nSELECT 2\n```", "SELECT 1") for name in ("sqlite", "sqlite3", "MySQL")),
        *((f"```{name}\nSELECT 1\n```\n```\nSELECT 2\n```", "SELECT 1") for name in ("postgresql", "postgres")),
        ("```\n-- all\nSELECT 1\n```", "-- all\nSELECT 1"),
        ("```python\nprint(1)\n```", None),
        ("```sql\n\n```", None),
        ("```sql\nSELECT 1", "SELECT 1\n"),
        ("SELECT 1", "SELECT 1"),
        ("  with x as (select 1) select * from x", "with x as (select 1) select * from x"),
        ("The query:\n\nSELECT 1\nFROM t\n\nIt selects.", "SELECT 1\nFROM t"),
        ("Use `SELECT 1` here.", "SELECT 1"),
        ("I select nothing.", None),
        ("DROP TABLE t", None),
    ],
)
def test_where_the_query_is(answer: str, query: str | None) -> None:
    assert query_of(answer) == (query.strip() if query else None)


def test_an_answer_without_a_query(verifier: SqlVerifier) -> None:
    asked = problem(gold_sql="SELECT 1", schema_sql=TABLE)
    labels = {verdict(verifier, asked, answer).label for answer in ("", "I do not know.", "```sql\n```")}
    assert labels == {Label.NO_ANSWER}


# -- where the databases are


@pytest.mark.parametrize("place", ["db.sqlite", "db/db.sqlite", "database/db/db.sqlite", "dev_databases/db/db.sqlite"])
def test_a_database_beside_the_problems(verifier: SqlVerifier, tmp_path: Path, place: str) -> None:
    path = make(tmp_path / place)
    before = path.read_bytes()
    assert verdict(verifier, at(tmp_path, db_id="db"), "SELECT a FROM t").label is Label.RIGHT
    assert verdict(verifier, at(tmp_path, db_id="db"), "SELECT b FROM t").label is Label.WRONG
    assert verdict(verifier, at(tmp_path, db_id="db"), "```sql\nDELETE FROM t\n```").label is Label.WRONG
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_database_named_by_its_path(verifier: SqlVerifier, tmp_path: Path) -> None:
    make(tmp_path / "odd name?#.db")
    assert verdict(verifier, at(tmp_path, database="odd name?#.db"), "SELECT a FROM t").label is Label.RIGHT


def test_databases_in_a_place_that_is_told(workers: Workers, tmp_path: Path) -> None:
    make(tmp_path / "far" / "db.sqlite")
    rows = tmp_path / "made.jsonl"
    rows.write_text(json.dumps({"db_id": "db", "schema_sql": TABLE}) + "\n")
    for place in (tmp_path / "far", rows):
        told = SqlVerifier(workers, databases=place)
        assert verdict(told, problem(gold_sql="SELECT a FROM t", db_id="db"), "SELECT a FROM t").label is Label.RIGHT


def test_a_database_that_is_nowhere_is_said_with_the_option_that_names_its_place(
    verifier: SqlVerifier, tmp_path: Path
) -> None:
    given = verdict(verifier, at(tmp_path, db_id="db", gold_sql="SELECT a FROM t"), "SELECT a FROM t")
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.endswith(
        f"there is no database 'db' in {tmp_path}; say where, as in: --verifier sql:FOLDER_OR_FILE"
    )


def test_the_rows_must_be_the_same_in_every_database(verifier: SqlVerifier, tmp_path: Path) -> None:
    make(tmp_path / "db" / "one.sqlite", "CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    make(tmp_path / "db" / "two.sqlite", "CREATE TABLE t(a); INSERT INTO t VALUES (2)")
    assert verdict(verifier, at(tmp_path, db_id="db"), "SELECT a FROM t").label is Label.RIGHT
    assert verdict(verifier, at(tmp_path, db_id="db"), "SELECT 1").label is Label.WRONG
    assert verdict(verifier, at(tmp_path, databases=["db/one.sqlite"]), "SELECT 1").label is Label.RIGHT


@pytest.mark.parametrize(
    "fields",
    [
        {"db_id": "missing"},
        {"db_id": "../db"},
        {"db_id": 3},
        {"database": "missing.sqlite"},
        {"database": 7},
        {"database": "problems.jsonl"},
        {"schema_sql": "CREATE TABLE t("},
        {"schema_sql": {"t": 1}},
        {"schema_sql": TABLE, "gold_sql": "SELECT nothing FROM t"},
        {"schema_sql": TABLE, "gold_sql": "DROP TABLE t"},
        {"schema_sql": TABLE, "gold_sql": []},
        {"schema_sql": TABLE, "gold_sql": ["SELECT 1", 2]},
        {"schema_sql": TABLE, "gold_sql": "SELECT a FROM t ORDER BY random()"},
        {"schema_sql": "ATTACH 'made.db' AS x; CREATE TABLE x.t(a)"},
        {"schema_sql": TABLE + "; VACUUM INTO 'made.db'"},
        {"schema_sql": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"},
        {"schema_sql": TABLE, "gold_sql": "SELECT 1 FROM t,t b,t c,t d,t e,t f,t g,t h,t i,t j,t k"},
        {"schema_sql": TABLE, "gold_sql": "SELECT instr(zeroblob(40000000), zeroblob(20000000) || x'01')"},
    ],
)
def test_a_broken_problem_is_named_with_its_place(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems.jsonl").write_text("{}\n" * 100)
    asked = at(tmp_path, **fields)
    given = verdict(SqlVerifier(workers, seconds=0.1), asked, "SELECT a FROM t")
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail.startswith(f"{tmp_path}/problems.jsonl:3: ")
    assert not (tmp_path / "made.db").exists()


@pytest.mark.parametrize("gold", [[], ["SELECT 1", 2], " ", {"query": "SELECT 1"}, ["SELECT 1", " "]])
def test_what_is_no_gold_query_is_shown(verifier: SqlVerifier, gold: Any) -> None:
    given = verdict(verifier, problem(schema_sql=TABLE, gold_sql=gold), "SELECT a FROM t")
    shown = "" if gold == " " else f"{gold} "
    assert given.label is Label.CANNOT_JUDGE
    assert given.detail == f"problems.jsonl:3: 'gold_sql' is {shown.rstrip()}, not a query or a list of queries"


def test_what_it_suits(verifier: SqlVerifier) -> None:
    assert verifier.suits(problem(gold_sql="SELECT 1", db_id="x"))
    assert verifier.suits(problem(SQL="SELECT 1", database="x.sqlite"))
    assert not verifier.suits(problem(gold_sql="SELECT 1"))
    assert not verifier.suits(problem(db_id="x"))
    assert not verifier.suits(problem(answer="1"))


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("SELECT a FROM t", "3 rows of 1 column, not 3 rows of 2 columns"),
        ("SELECT a, b FROM t LIMIT 1", "1 row of 2 columns, not 3 rows of 2 columns"),
        ("SELECT a, b FROM t UNION ALL SELECT 1, 'x'", "more than 3 rows of 2 columns, not 3 rows of 2 columns"),
        ("SELECT a, b || '!' FROM t", "3 rows, as expected, but not the same: (1, 'x!') is not right"),
        ("SELECT a, 'x' FROM t", "3 rows, as expected, but not the same: (3, 'x') is not right"),
        (
            "SELECT 3, 'z' UNION ALL SELECT 1, 'x' UNION ALL SELECT 1, 'x'",
            "3 rows, as expected, but not the same: (1, 'x') is there too often",
        ),
        ("SELECT a, b FROM t ORDER BY b DESC", "3 rows, the right ones, but in another order"),
        ("SELECT a, c FROM t", "SQLite says: no such column: c"),
        ("SELECT a b c FROM t", 'SQLite says: near "c": syntax error (line 1, column 12: '),
        ("INSERT INTO t VALUES (9, 9)", "a query may only read: INSERT is not allowed"),
        ("PRAGMA journal_mode = DELETE", "a query may only read: PRAGMA is not allowed"),
        ("ALTER TABLE t RENAME TO u", "a query may only read: ALTER TABLE is not allowed"),
        ("SELECT a, random() FROM t", "a query may only read: random() is not allowed"),
        ("SELECT load_extension('x'), a FROM t", "a query may only read: load_extension() is not allowed"),
        ("SELECT a, RandomBlob(1) FROM t", "a query may only read: randomblob() is not allowed"),
    ],
)
def test_what_is_not_right_is_said(verifier: SqlVerifier, query: str, detail: str) -> None:
    asked = problem(schema_sql=TABLE, gold_sql="SELECT a, b FROM t ORDER BY b")
    given = verdict(verifier, asked, f"```sql\n{query}\n```")
    assert given.label is Label.WRONG
    assert given.detail.startswith(detail) if detail.endswith(": ") else given.detail == detail


def test_a_query_of_the_greatest_length(verifier: SqlVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SqlVerifier.__module__}.LONGEST", 20)
    asked = problem(schema_sql=TABLE, gold_sql="SELECT a FROM t")
    assert verdict(verifier, asked, f"```sql\n{'SELECT':11} a FROM t\n```").label is Label.RIGHT
    longer = verdict(verifier, asked, f"```sql\n{'SELECT':12} a FROM t\n```")
    assert (longer.label, longer.detail) == (Label.WRONG, "the query has 21 characters, more than 20")


def test_a_gold_query_of_the_most_rows(verifier: SqlVerifier) -> None:
    def numbers(count: int) -> str:
        return f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT {count}) SELECT x FROM n"

    asked = problem(schema_sql=TABLE, gold_sql=numbers(100_000))
    assert verdict(verifier, asked, numbers(100_000)).label is Label.RIGHT
    more = verdict(verifier, asked, numbers(100_001))
    assert more.detail == "more than 100,000 rows of 1 column, not 100,000 rows of 1 column"
    broken = verdict(verifier, problem(schema_sql=TABLE, gold_sql=numbers(100_001)), "SELECT 1")
    assert broken.label is Label.CANNOT_JUDGE
    assert broken.detail.endswith("the gold query gives more than 100,000 rows")


def test_where_a_limit_cuts_through_ties_the_order_is_the_golds(verifier: SqlVerifier) -> None:
    asked = problem(schema_sql=TABLE, gold_sql="SELECT a, b FROM t ORDER BY a LIMIT 2")
    assert verdict(verifier, asked, "SELECT a, b FROM t WHERE b < 'z' ORDER BY b").label is Label.RIGHT
    turned = verdict(verifier, asked, "SELECT a, b FROM t WHERE b < 'z' ORDER BY b DESC")
    assert turned.detail == "2 rows, the right ones, but in another order"


def test_any_of_several_gold_queries_is_right(verifier: SqlVerifier) -> None:
    asked = problem(schema_sql=TABLE, gold_sql=["SELECT a, b FROM t", "SELECT a FROM t LIMIT 1"])
    one = verdict(verifier, asked, "SELECT 1")
    assert (one.label, one.detail) == (Label.RIGHT, "1 row, the same as the gold query's")
    assert 0 <= one.seconds < 60
    three = verdict(verifier, asked, "SELECT a FROM t")
    assert three.detail == "3 rows of 1 column, not 1 row of 1 column or 3 rows of 2 columns"
