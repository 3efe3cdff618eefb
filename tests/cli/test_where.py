"""`antiphon synth --where`: only some of the problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.store import Reader
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Pair


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    rates = {347: 0.25, 123: 0.75, 588: None, 219: 0.0, 432: 0.4}
    records = [asked(number, 6, pass_rate=rate) for number, rate in rates.items()]
    return write_lines(tmp_path / "rated.jsonl", [*records, asked(777, 6)])


def worked_on(run: Path) -> list[str]:
    with Reader(run) as reader:
        return [problem.id for problem in reader.problems()]


def test_only_those_for_which_it_is_true(command: Command, pair: Pair, rated: Path, tmp_path: Path) -> None:
    done = command("synth", rated, "--run", tmp_path / "run", *MODELS, "--where", "pass_rate < 0.5")
    assert done.code == 0
    assert worked_on(tmp_path / "run") == ["347x6", "219x6", "432x6"]
    assert "where pass_rate < 0.5: 3 of 6 problems" in done.err
    assert "2 of the others cannot be compared so: 2 have no pass_rate" in done.err


def test_the_limit_counts_what_is_chosen(command: Command, pair: Pair, rated: Path, tmp_path: Path) -> None:
    run = ("synth", rated, "--run", tmp_path / "run", *MODELS, "--where", "pass_rate < 0.5", "--limit", 2)
    assert command(*run).code == 0
    assert worked_on(tmp_path / "run") == ["347x6", "219x6"]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("pass_rat < 0.5", "no problem has a field 'pass_rat'"),
        ("pass_rate <", "not an expression"),
        ("open('x')", "is not understood"),
        ("pass_rate > 1", "no problem is left"),
    ],
)
def test_nothing_is_spent_on_a_slip(
    command: Command, pair: Pair, rated: Path, tmp_path: Path, expression: str, said: str
) -> None:
    refused = command("synth", rated, "--run", tmp_path / "run", *MODELS, "--where", expression)
    assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err
    assert not (tmp_path / "run").exists() and not pair.engines


def test_texts_of_a_table_are_no_numbers(command: Command, pair: Pair, tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    table.write_text("id,question,rate\na,What is 347 times 6?,0.2\nb,What is 347 times 5?,0.9\n")
    refused = command("synth", table, "--run", tmp_path / "run", *MODELS, "--where", "rate < 0.5")
    assert refused.code == 2 and "in CSV all are text" in refused.err
