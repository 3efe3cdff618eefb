"""`antiphon export` leaving out what is not clean, and telling it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, write_lines

ASKED = "A farmer has {} sheep and {} goats in a meadow by the river, and each of them eats {} kilos of grass a day."
OTHER = "A baker sells {} loaves of bread in the morning and {} in the afternoon, and gives the other {} away."


@pytest.fixture
def run(command: Command, tmp_path: Path) -> Path:
    """Six problems: one of an evaluation set, two the same, and one source with more of them than the other."""
    texts = [ASKED.format(3, 4, 5), OTHER.format(6, 7, 8), OTHER.format(6, 7, 8) + "!", "1+1?", "2+2?", "3+3?"]
    rows = [
        {"id": str(number), "problem": text, "source": "book" if number < 2 else "site", "response": "42"}
        for number, text in enumerate(texts)
    ]
    assert command("import", write_lines(tmp_path / "rows.jsonl", rows), "--run", tmp_path / "run").code == 0
    return tmp_path / "run"


def test_what_is_left_out_is_counted_and_listed(command: Command, run: Path, tmp_path: Path) -> None:
    evaluation = write_lines(tmp_path / "eval.jsonl", [{"id": "e", "problem": ASKED.format(30, 41, 2).upper()}])
    export = (
        *("export", run, "--format", "messages", "--to", tmp_path / "t.jsonl", "--removed", tmp_path / "r.jsonl.gz"),
        *("--balance", "source", "--near-duplicates", 0.9, "--without", evaluation),
    )
    done = command(*export, "--json")
    assert done.json["left_out"] == {
        "in eval.jsonl": 1,
        "near-duplicate problem": 1,
        "beyond 1 of one source": 2,
    }
    assert [next(iter(report)) for report in done.json["clean"]] == ["without", "near_duplicates", "balance"]
    assert done.json["clean"][2]["values"] == {"book": 1, "site": 3}
    assert command(*export).code == 2  # the files are there
    done = command(*export, "--overwrite")
    assert f"{evaluation}: 1 of 1 item found" in done.out
    assert "near-duplicates: 1 of 5 problems" in done.out
    assert "source, at most 1 of each: book 1, site 3" in done.out


def test_each_row_of_the_listing_says_why(command: Command, run: Path, tmp_path: Path) -> None:
    evaluation = write_lines(tmp_path / "eval.jsonl", [{"id": "e", "problem": ASKED.format(30, 41, 2)}])
    removed = tmp_path / "r.jsonl"
    command(
        *("export", run, "--format", "tessy", "--to", tmp_path / "t.jsonl", "--removed", removed),
        *("--without", evaluation, "--near-duplicates", 0.9, "--balance", "source=1"),
    )
    rows = {row["problem"]: row for row in map(json.loads, removed.read_text("utf-8").splitlines())}
    assert (rows["0"]["file"], rows["0"]["id"], rows["0"]["where"]) == (str(evaluation), "e", "problem")
    assert (rows["2"]["twin"], rows["2"]["alike"]) == ("1", 1.0)
    assert [row["source"] for row in rows.values() if row["reason"] == "beyond 1 of one source"] == ["site", "site"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--near-duplicates", "0.2"), "at least 0.5"),
        (("--balance", "source=none"), "FIELD=N"),
        (("--balance", "colour"), "no problem of this run has that field"),
        (("--without", "none.jsonl"), "there is no such file"),
        (("--removed", "list.txt"), "ends in .jsonl"),
    ],
)
def test_wrong_use_writes_nothing(
    command: Command, run: Path, tmp_path: Path, wrong: tuple[str, str], says: str
) -> None:
    done = command("export", run, "--format", "messages", "--to", tmp_path / "t.jsonl", *wrong)
    assert (done.code, says in done.err, (tmp_path / "t.jsonl").exists()) == (2, True, False)
