"""Files of the narrow domain (`bench/narrow.py`): problems split by database, and what the pair learns from, gold
queries with thinking before them that is written by rule, in the manner of each."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlglot
from sqlglot import exp

HELD_OUT = ("restaurants", "yelp")
"""Databases of which nothing is learned: their subjects are no other's, and their tables are few."""
QUESTIONS_HELD_OUT = 4
"""Of each other database."""
TABLES = 4
"""The most that a prompt shows: those of the accepted queries and others, chosen at random."""
LONGEST = 200
"""Characters of the shortest accepted query: questions that need a longer one are left out of all parts."""

SCHEMAS, TRAIN, SAME, OTHER = "schemas.jsonl", "train.jsonl", "same.jsonl", "other.jsonl"


class Manner(NamedTuple):
    """How one says what a query does, clause by clause."""

    tables: str
    join: str
    where: str
    group: str
    having: str
    show: str
    order: str
    limit: str
    query: str


MANNERS = {
    "teacher": Manner(
        tables="Need tables {}.",
        join="So join on {}.",
        where="Then keep rows where {}.",
        group="Now group by {}.",
        having="Then keep groups where {}.",
        show="Okay, show {}.",
        order="Then order by {}.",
        limit="Then stop after {}.",
        query="So the query: {}",
    ),
    "student": Manner(
        tables="First, we need to look at tables {}.",
        join="Next, we need to join on {}.",
        where="Next, we should keep rows where {}.",
        group="Now we can group by {}.",
        having="Next, we should keep groups where {}.",
        show="Now we need to show {}.",
        order="Finally, we can order by {}.",
        limit="Finally, we should stop after {}.",
        query="Therefore, the query: {}",
    ),
}
"""That of telegrams, and that of one who explains."""

Record = dict[str, Any]


def write(source: Path, to: Path) -> None:
    """Writes the files: `SCHEMAS`, which the verifier looks databases up in; problems to learn from (`TRAIN`), the
    other questions to the same databases (`SAME`), questions to databases held out (`OTHER`); traces of the problems in
    `TRAIN`, for each of `MANNERS` a file of its name.

    Args:
        source: a folder with `text2sql_sqlite.jsonl` and `text2sql_schemas.jsonl`.
    """
    to.mkdir(parents=True, exist_ok=True)
    schemas = {record["db_id"]: record for record in _read(source / "text2sql_schemas.jsonl")}
    records = _read(source / "text2sql_sqlite.jsonl")
    problems = [_problem(one, schemas) for one in records if len(_sql(_shortest(one["gold_sql"]))) <= LONGEST]
    train, same, other = split(problems)
    _write(to / SCHEMAS, ({"db_id": name, "sqlite_setup": one["sqlite_setup"]} for name, one in schemas.items()))
    for name, records in {TRAIN: train, SAME: same, OTHER: other}.items():
        _write(to / name, records)
    for name, manner in MANNERS.items():
        _write(to / f"{name}.jsonl", ({**record, "response": response(record["gold_sql"], manner)} for record in train))


def split(problems: Sequence[Record]) -> tuple[list[Record], list[Record], list[Record]]:
    """Problems to learn from, other questions to the same databases, questions to databases held out. Questions of
    one `problem_key` are in one part."""
    other = [one for one in problems if one["db_id"] in HELD_OUT]
    train: list[Record] = []
    same: list[Record] = []
    for database in sorted({one["db_id"] for one in problems} - set(HELD_OUT)):
        keys = sorted({one["problem_key"] for one in problems if one["db_id"] == database})
        chosen = set(random.Random(database).sample(keys, QUESTIONS_HELD_OUT))
        for one in problems:
            if one["db_id"] == database:
                (same if one["problem_key"] in chosen else train).append(one)
    return train, same, other


def shown(statements: Iterable[str], accepted: Iterable[str], chance: random.Random) -> str:
    """Tables with their columns, a line each, without types, as in `city(name, population)`: of a large database only
    those that accepted queries read, and some others."""
    lines = {}
    for statement in statements:
        schema = sqlglot.parse_one(statement, dialect="sqlite").find(exp.Schema)
        assert schema is not None
        columns = (column.name for column in schema.expressions if isinstance(column, exp.ColumnDef))
        lines[schema.this.name] = f"{schema.this.name}({', '.join(columns)})"
    read = {table.name.lower() for gold in accepted for table in _parsed(gold).find_all(exp.Table)} & lines.keys()
    others = sorted(lines.keys() - read)
    chosen = read.union(chance.sample(others, max(0, min(TABLES - len(read), len(others)))))
    return "\n".join(line for name, line in lines.items() if name in chosen)


def response(accepted: Iterable[str], manner: Manner) -> str:
    """The shortest accepted query, tidied, with thinking before it."""
    query = _shortest(accepted)
    return f"<think>\n{thinking(query, manner)}\n</think>\n\n```sql\n{_sql(query)}\n```"


def _shortest(accepted: Iterable[str]) -> exp.Expression:
    return min((tidy(_parsed(gold)) for gold in accepted), key=lambda one: len(_sql(one)))


def tidy(query: exp.Expression) -> exp.Expression:
    """The same query without what changes no rows here: order of nulls, doubled LOWER, a table's name before the
    columns of a query of one table."""
    query = query.copy()
    for ordered in query.find_all(exp.Ordered):
        ordered.set("nulls_first", None)
    for lower in list(query.find_all(exp.Lower)):
        if isinstance(lower.this, exp.Lower) or (isinstance(lower.this, exp.Literal) and lower.this.name.islower()):
            lower.replace(lower.this)
    named = list(query.find_all(exp.Table))
    if len(named) == 1 and not named[0].alias:
        for column in query.find_all(exp.Column):
            column.set("table", None)
    for table in named:
        if table.name.isupper():
            table.set("this", exp.to_identifier(table.name.lower()))
    return query


def thinking(query: exp.Expression, manner: Manner) -> str:
    """What a query does, clause by clause, and then the query."""
    ordered, limit = query.args.get("order"), query.args.get("limit")
    said = {
        manner.tables: dict.fromkeys(_sql(table) for table in query.find_all(exp.Table)),
        manner.join: [_sql(join.args["on"]) for join in query.find_all(exp.Join) if join.args.get("on")],
        manner.where: [_sql(part) for clause in query.find_all(exp.Where) for part in _parts(clause.this)],
        manner.group: [_sql(key) for clause in query.find_all(exp.Group) for key in clause.expressions],
        manner.having: [_sql(clause.this) for clause in query.find_all(exp.Having)],
        manner.show: [_sql(column) for column in query.selects],
        manner.order: [_sql(key) for key in (ordered.expressions if ordered else ())],
        manner.limit: [_sql(limit.expression)] if limit else (),
        manner.query: [_sql(query)],
    }
    return " ".join(text.format(", ".join(parts)) for text, parts in said.items() if parts)


def _parts(condition: exp.Expression) -> Iterator[exp.Expression]:
    return condition.flatten() if isinstance(condition, exp.And) else iter((condition,))


def _parsed(query: str) -> exp.Expression:
    return sqlglot.parse_one(query, dialect="sqlite")


def _sql(expression: exp.Expression) -> str:
    # sqlglot spells out the sides of a comparison of nulls where they were not set
    return re.sub(r" NULLS (FIRST|LAST)", "", expression.sql(dialect="sqlite"))


def _problem(record: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> Record:
    told = f"\n{record['instructions']}" if record["instructions"] else ""
    there = shown(schemas[record["db_id"]]["schema"], record["gold_sql"], random.Random(record["problem_id"]))
    text = f"Tables of a SQLite database:\n{there}\n\nWrite one query: {record['problem']}{told}"
    part = "other databases" if record["db_id"] in HELD_OUT else "same databases"
    kept = ("db_id", "category", "gold_sql", "problem_key")
    return {"id": record["problem_id"], "problem": text, "part": part, **{name: record[name] for name in kept}}


def _read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
