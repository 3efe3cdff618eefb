"""The narrow domain of docs/narrow.md: its problems, what the pair learns, its configuration and commands."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import typer
from bench.narrow import COMMANDS, CONFIGURATION, shown, tables
from bench.narrow_problems import (
    HELD_OUT,
    LONGEST,
    MANNERS,
    OTHER,
    SAME,
    TABLES,
    TRAIN,
    thinking,
    tidy,
    write,
)

from antiphon import boundary
from antiphon.cli.app import app
from antiphon.lab.report.measure import find
from antiphon.lab.settings import made
from antiphon.problem import load
from antiphon.trace import Author, Label
from antiphon.verify.sql import SqlVerifier
from tests.lab.synthetic import POINTS, arm_data, results

PAGE = Path(__file__).parents[2] / "docs" / "narrow.md"
PARTS = (TRAIN, SAME, OTHER)


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("narrow")
    write(shared / "problems", to)
    return to


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_nothing_that_is_measured_is_learned_from(folder: Path) -> None:
    parts = {name: records(folder / name) for name in PARTS}
    assert {name: len(part) for name, part in parts.items()} == {TRAIN: 81, SAME: 20, OTHER: 36}
    for field in ("id", "problem_key", "problem"):
        seen = [{record[field] for record in part} for part in parts.values()]
        assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2], field
    learned = {record["db_id"] for record in parts[TRAIN]}
    assert {record["db_id"] for record in parts[SAME]} == learned
    assert {record["db_id"] for record in parts[OTHER]} == set(HELD_OUT) and not learned & set(HELD_OUT)


def test_a_prompt_shows_tables_and_no_rows(folder: Path) -> None:
    for record in (record for name in PARTS for record in records(folder / name)):
        shown = record["problem"].split("\n\n")[0].splitlines()[1:]
        named = {line.partition("(")[0] for line in shown}
        read = {
            table.name.lower()
            for gold in record["gold_sql"]
            for table in sqlglot.parse_one(gold, dialect="sqlite").find_all(sqlglot.exp.Table)
        }
        ours = {one.alias for gold in record["gold_sql"] for one in _common(gold)}
        assert read - {name.lower() for name in ours} <= {name.lower() for name in named}, record["id"]
        assert len(named) == len(shown) <= max(TABLES, len(read))
        assert all(re.fullmatch(r"\w+\(\w+(, \w+)*\)", line) for line in shown)


def _common(gold: str) -> Iterator[sqlglot.exp.CTE]:
    return sqlglot.parse_one(gold, dialect="sqlite").find_all(sqlglot.exp.CTE)


@pytest.mark.parametrize("role", MANNERS)
def test_what_the_pair_learns_is_right(folder: Path, role: str) -> None:
    problems = {problem.id: problem for problem in load([folder / TRAIN]).problems}
    learned = {record["id"]: record["response"] for record in records(folder / f"{role}.jsonl")}
    assert learned.keys() == problems.keys()
    answers = {id: text.partition("</think>")[2] for id, text in learned.items()}
    assert all(
        len(answer.strip().removeprefix("```sql\n").removesuffix("\n```")) <= LONGEST for answer in answers.values()
    )

    async def check() -> list[tuple[str, Label]]:
        verifier = SqlVerifier()
        verdicts = await asyncio.gather(*(verifier.check(problems[id], answer) for id, answer in answers.items()))
        return [(id, one.label) for id, one in zip(answers, verdicts, strict=True) if one.label is not Label.RIGHT]

    assert asyncio.run(check()) == []


def test_the_pair_differs_in_nothing_but_style(folder: Path) -> None:
    predictor = boundary.load("sql")

    def capability(role: str) -> list[list[str]]:
        found = []
        for record in records(folder / f"{role}.jsonl"):
            said = record["response"].removeprefix("<think>\n").partition("\n</think>")[0]
            session = predictor.session(Author(role))
            verdicts = [*session.feed(said), *session.finish()]
            found.append([said[one.start : one.end] for one in verdicts if not one.style])
        return found

    assert capability("teacher") == capability("student")


def told(query: str) -> tuple[str, str]:
    """A query's thinking, and the query that it comes to."""
    tidied = tidy(sqlglot.parse_one(query, dialect="sqlite"))
    lines, _, written = thinking(tidied, MANNERS["teacher"]).partition(" So the query: ")
    return lines, written


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("SELECT city.name FROM CITY", "Need tables city. Okay, show name."),
        (
            "SELECT a.x, COUNT(*) AS n FROM a JOIN b ON a.id = b.id WHERE a.y > 1 AND LOWER(b.z) LIKE LOWER('%q%')"
            " GROUP BY a.x HAVING COUNT(*) > 2 ORDER BY n DESC NULLS LAST LIMIT 3",
            "Need tables a, b. So join on a.id = b.id. Then keep rows where a.y > 1, LOWER(b.z) LIKE '%q%'. Now group"
            " by a.x. Then keep groups where COUNT(*) > 2. Okay, show a.x, COUNT(*) AS n. Then order by n DESC. Then"
            " stop after 3.",
        ),
    ],
)
def test_the_thinking_tells_each_clause(query: str, lines: str) -> None:
    said, written = told(query)
    assert said == lines
    assert "NULLS" not in written


def test_the_thinking_does_not_change_the_query() -> None:
    query = "SELECT a.x FROM a JOIN b ON a.id = b.id WHERE a.y = 'Q' ORDER BY a.x LIMIT 2"
    assert told(query)[1] == query


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_configuration_that_is_run() -> None:
    text = CONFIGURATION.read_text("utf-8")
    assert text in blocks("toml")
    asked = made(tomllib.loads(text), CONFIGURATION.name)
    assert (asked.problems.train, asked.problems.target, asked.problems.others) == (81, 36, 20)


def test_the_page_shows_the_commands_that_are_run() -> None:
    shown = [block.replace("\\\n", " ").splitlines() for block in blocks("sh")]
    ours = [shlex.split(command.text) + ([">", command.output] if command.output else []) for command in COMMANDS]
    assert ours in [[shlex.split(line) for line in lines] for lines in shown]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.text.split()[1])
def test_each_command_is_one_that_there_is(command: Any) -> None:
    name, context, found = "antiphon", None, typer.main.get_command(app)
    words = shlex.split(command.text)[1:]
    while hasattr(found, "resolve_command"):
        context = found.make_context(name, words[:1], parent=context)
        name, found, words = found.resolve_command(context, words)
    found.make_context(name, words, parent=context)


def test_the_tables_have_each_arm_at_each_point_and_what_is_not_there_is_left_open(tmp_path: Path) -> None:
    assert list(tables(tmp_path)) == []
    lines = list(shown(find(results(data=[arm_data("tessy", 0), arm_data("tessy", 1)]))))
    scores = {line.split(" | ")[0].strip("| `"): line.strip("|").split("|") for line in lines[: lines.index("")]}
    arms = {"base", "teacher_only", "tessy", "student_only"}
    assert arms <= scores.keys()
    assert len({len(cells) for cells in scores.values()}) == 1
    assert all(cell.strip() for arm in arms - {"base"} for cell in scores[arm][2 : 2 + len(POINTS)])
    assert scores["base"][1].strip() and not "".join(scores["base"][2 : 2 + len(POINTS)]).strip()
    assert float(scores["teacher_only"][2].partition("%")[0]) < 10, "that of the main rate is 5%, of a side rate 50%"
    assert "`tessy` less `teacher_only`" in "".join(lines)
    assert sum(line.startswith("| `tessy` |") for line in lines) == 2
