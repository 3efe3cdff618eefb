"""Shards joined into one by the command, and shown as one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.store import Reader
from tests.cli.conftest import MODELS, Command, write_lines
from tests.cli.pair import Pair
from tests.cli.shards.conftest import COUNT, SCRIPTED, TELLING, change, records, tables


def test_again_changes_nothing(command: Command, shards: list[Path], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    command("merge", *shards, "--to", whole)
    before = tables(whole)
    again = command("merge", *shards, "--to", whole)
    assert again.code == 0 and again.out.count("nothing new") == 3
    assert tables(whole) == before


def test_a_shard_that_has_grown_gives_what_is_new(
    command: Command, synth: Callable[..., Any], tmp_path: Path, problems: Path
) -> None:
    whole, shard = tmp_path / "whole", tmp_path / "shard"
    synth(shard, "--shard", "0/1", "--limit", 5)
    command("merge", shard, "--to", whole)
    synth(shard, "--shard", "0/1")
    synth(shard, "--shard", "0/1", "--limit", 2, "--method", "student_only")
    command("verify", shard, *TELLING, "--variant", "tessy", "--limit", 3)
    (taken,) = command("merge", shard, "--to", whole, "--json").json["taken"].values()
    assert taken["new"] == COUNT - 5 + 2 and taken["changed"] == 3
    assert records(whole) == records(shard)


def test_a_missing_shard_is_named_and_comes_later(command: Command, shards: list[Path], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with Reader(shards[1]) as reader:
        lacking = reader.problem_count()
    done = command("merge", shards[0], shards[2], "--to", whole)
    assert done.code == 1 and f"shard 1/3 is missing: {lacking} problems" in done.err
    assert f"shard 1/3 is missing: {lacking} problems" in command("status", whole).err
    done = command("merge", shards[1], "--to", whole)
    assert (done.code, done.err) == (0, ""), "the others are there"
    assert records(whole) == records(*shards)
    assert command("status", whole).err == ""


def test_merged_halves_are_merged(command: Command, shards: list[Path], tmp_path: Path) -> None:
    assert command("merge", *shards[:2], "--to", tmp_path / "first").code == 1
    done = command("merge", tmp_path / "first", shards[2], "--to", tmp_path / "whole")
    assert (done.code, done.err) == (0, "")
    assert records(tmp_path / "whole") == records(*shards)


def test_the_same_shard_from_two_machines(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "again", "--shard", "1/3")
    done = command("merge", *shards, tmp_path / "again", "--to", tmp_path / "whole", "--json").json
    with Reader(shards[1]) as reader:
        assert done["taken"][str(tmp_path / "again")]["same"] == reader.problem_count()
    assert (done["exit_code"], done["traces"]) == (0, {"complete": COUNT})
    assert records(tmp_path / "whole") == records(*shards), "the first stays"


def test_one_trace_with_two_texts_is_named_and_the_first_stays(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "again", "--shard", "1/3")
    change(tmp_path / "again", "UPDATE spans SET text = 'other ' WHERE trace = 1 AND position = 1")
    done = command("merge", *shards, tmp_path / "again", "--to", tmp_path / "whole")
    with Reader(shards[1]) as reader:
        first = next(iter(reader.problems())).id
    assert done.code == 1 and f"  {first}/tessy/0" in done.err
    assert records(tmp_path / "whole") == records(*shards)
    again = command("merge", *shards, tmp_path / "again", "--to", tmp_path / "whole", "--json").json
    assert again["taken"][str(tmp_path / "again")]["differing"] == [f"{first}/tessy/0"], "until it is mended"


def test_what_is_finished_anywhere_takes_the_place_of_what_is_not(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "again", "--shard", "1/3")
    change(shards[1], "UPDATE traces SET status = 'failed', cause = 'refused' WHERE number = 1")
    done = command("merge", *shards, tmp_path / "again", "--to", tmp_path / "whole", "--json").json
    assert (done["exit_code"], done["traces"]) == (0, {"complete": COUNT})
    reversed_ = command("merge", tmp_path / "again", *shards, "--to", tmp_path / "other", "--json").json
    assert reversed_["taken"][str(shards[1])]["kept"] == 1
    assert reversed_["traces"] == {"complete": COUNT}


def test_what_was_done_with_the_whole_stays(
    command: Command, shards: list[Path], tmp_path: Path, problems: Path
) -> None:
    whole = tmp_path / "whole"
    command("merge", *shards, "--to", whole)
    assert command("verify", whole, *TELLING).code == 0
    assert command("synth", problems, "--run", whole, *MODELS, "--method", "student_only").code == 0
    before = records(whole)
    command("verify", shards[0], *TELLING)
    done = command("merge", *shards, "--to", whole, "--json").json
    assert done["exit_code"] == 0 and records(whole) == before


def test_shards_of_different_configurations(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "other", "--shard", "0/3", "--set", "student.sampling.temperature=0.1")
    refused = command("merge", tmp_path / "other", *shards[1:], "--to", tmp_path / "whole")
    assert refused.code == 2
    assert "student.sampling.temperature: 0.1 -> 0.7" in refused.err and str(shards[1]) in refused.err
    with Reader(tmp_path / "whole") as reader:
        assert reader.problem_count() == 0
    command("merge", *shards[1:], "--to", tmp_path / "whole")
    refused = command("merge", tmp_path / "other", "--to", tmp_path / "whole")
    assert refused.code == 2 and "student.sampling.temperature: 0.7 -> 0.1" in refused.err
    assert records(tmp_path / "whole") == records(*shards[1:])


def test_shards_of_different_divisions(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "half", "--shard", "0/2")
    refused = command("merge", shards[1], tmp_path / "half", "--to", tmp_path / "whole")
    assert refused.code == 2 and "shard 1/3" in refused.err and "shard 0/2" in refused.err


def test_shards_that_were_given_different_problems(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "less", "--shard", "0/3", "--limit", 3)
    done = command("merge", tmp_path / "less", *shards[1:], "--to", tmp_path / "whole")
    assert "was it given the same files and --limit?" in done.err and str(tmp_path / "less") in done.err


def test_the_same_id_with_other_messages(command: Command, shards: list[Path], tmp_path: Path, pair: Pair) -> None:
    with Reader(shards[0]) as reader:
        id = next(iter(reader.problems())).id
    other = write_lines(tmp_path / "other.jsonl", [{"id": id, "question": "What is 111 times 3?"}])
    assert command("synth", other, "--run", tmp_path / "other", *MODELS).code == 0
    refused = command("merge", shards[0], tmp_path / "other", "--to", tmp_path / "whole")
    assert refused.code == 2 and f"problem '{id}'" in refused.err and "other messages" in refused.err
    assert records(tmp_path / "whole") == records(shards[0])


def test_different_versions_are_said(command: Command, shards: list[Path], tmp_path: Path) -> None:
    change(shards[1], "UPDATE about SET about = json_set(about, '$.antiphon', '9.9')")
    done = command("merge", *shards, "--to", tmp_path / "whole")
    assert done.code == 0 and f"9.9 ({shards[1]})" in done.err


def test_a_newer_form_is_refused(command: Command, shards: list[Path], tmp_path: Path) -> None:
    change(shards[1], "PRAGMA user_version = 1000")
    refused = command("merge", *shards, "--to", tmp_path / "whole")
    assert refused.code == 2 and "newer version" in refused.err and not (tmp_path / "whole").exists()


def test_a_folder_of_something_else(command: Command, shards: list[Path], tmp_path: Path) -> None:
    to = tmp_path / "full"
    to.mkdir()
    (to / "thesis.txt").write_text("years")
    refused = command("merge", *shards, "--to", to)
    assert refused.code == 2 and "is not empty (there is thesis.txt)" in refused.err
    assert [path.name for path in to.iterdir()] == ["thesis.txt"]


def test_a_run_that_was_not_made_by_merging(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "one")
    before = records(tmp_path / "one")
    refused = command("merge", *shards, "--to", tmp_path / "one")
    assert refused.code == 2 and "not made by merging" in refused.err
    assert records(tmp_path / "one") == before


def test_what_cannot_be_sources(command: Command, shards: list[Path], tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    for given, said in (
        ([shards[0], shards[0]], "is named twice"),
        ([shards[0], tmp_path / "none"], "is not a run directory"),
        ([shards[0], whole], "merged into itself"),
    ):
        refused = command("merge", *given, "--to", whole)
        assert refused.code == 2 and said in refused.err
    shutil.copytree(shards[0], tmp_path / "copy")
    refused = command("merge", shards[0], tmp_path / "copy", "--to", whole)
    assert refused.code == 2 and "are copies of one run" in refused.err
    assert not whole.exists()


def test_an_older_copy_does_not_undo_anything(command: Command, synth: Callable[..., Any], tmp_path: Path) -> None:
    whole, shard = tmp_path / "whole", tmp_path / "shard"
    synth(shard, "--shard", "0/1", "--limit", 5)
    shutil.copytree(shard, tmp_path / "old")
    synth(shard, "--shard", "0/1")
    command("merge", shard, "--to", whole)
    refused = command("merge", tmp_path / "old", "--to", whole)
    assert refused.code == 2 and "is an older copy" in refused.err
    shutil.move(shard, tmp_path / "elsewhere")
    assert "nothing new" in command("merge", tmp_path / "elsewhere", "--to", whole).out, "known by what it is"


def test_a_damaged_shard_is_named(command: Command, shards: list[Path], tmp_path: Path) -> None:
    database = shards[1] / "run.sqlite"
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    refused = command("merge", *shards, "--to", tmp_path / "whole")
    assert refused.code == 2 and f"{database} is damaged" in refused.err


def test_a_disk_that_is_full(
    command: Command, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from antiphon.store import intake

    def small(directory: Path) -> sqlite3.Connection:
        connection = opened(directory)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    opened = intake.open_for_writing
    monkeypatch.setattr(intake, "_BATCH", 1)
    monkeypatch.setattr(intake, "open_for_writing", small)
    stopped = command("merge", *shards, "--to", tmp_path / "whole")
    assert stopped.code == 3 and "Make room there" in stopped.err and str(tmp_path / "whole") in stopped.err
    monkeypatch.undo()
    assert command("merge", *shards, "--to", tmp_path / "whole").code == 0
    assert records(tmp_path / "whole") == records(*shards)


# -- many at once


def test_status_shows_shards_as_one(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    shown = command("status", *shards)
    assert shown.err == "" and f"together: {COUNT} problems" in shown.out
    for index, directory in enumerate(shards):
        assert f"{directory}, shard {index}/3: " in shown.out
    together = command("status", *shards, "--json").json
    assert [line["shard"] for line in together["runs"]] == ["0/3", "1/3", "2/3"]
    synth(tmp_path / "one")
    one = command("status", tmp_path / "one", "--json").json
    (variant,), (known,) = together["variants"], one["variants"]
    assert (variant["traces"], variant["results"]) == (known["traces"], known["results"])
    for role, numbers in known["roles"].items():
        for name in ("requests", "received", "kept", "turns", "words", "spans", "words_per_span"):
            assert variant["roles"][role][name] == numbers[name], name
    assert "shard 1/3 is missing" in command("status", shards[0], shards[2]).err
    assert command("status", shards[0]).err == "", "one alone is what was asked for"


def test_status_tells_of_different_configurations(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    synth(tmp_path / "other", "--shard", "0/3", "--set", "student.sampling.temperature=0.1")
    assert "tessy has different configurations" in command("status", tmp_path / "other", *shards[1:]).err


def test_verify_judges_shards_in_turn(command: Command, shards: list[Path]) -> None:
    done = command("verify", *shards, *SCRIPTED, "--limit", COUNT - 1, "--json").json
    assert sum(sum(run["judged"]["tessy"].values()) for run in done["runs"]) == COUNT - 1
    shown = command("verify", *shards, *SCRIPTED)
    assert shown.code == 0
    assert all(str(directory) in shown.out for directory in shards)
    assert "1 answer judged" in shown.out
    assert command("status", *shards, "--json").json["variants"][0]["pass_rate"] is not None
