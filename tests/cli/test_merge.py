"""Shards through the command: each in a run directory of its own, shown together, joined into one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from antiphon.store import Reader, Store
from antiphon.store.place import LOCK
from antiphon.trace import Author
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.grading import GradingPair
from tests.cli.pair import Pair, install

TELLING = ("--verifier", "tests.verify.scripted:Telling")
SCRIPTED = ("--verifier", "tests.verify.scripted:ScriptedVerifier")
COUNT = 12


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "problems.jsonl", [asked(300 + 7 * number, 4) for number in range(COUNT)])


@pytest.fixture
def synth(command: Command, pair: Pair, problems: Path) -> Callable[..., Any]:
    """Writes traces of all problems into a directory."""

    def run(directory: Path, *more: object, code: int = 0) -> Any:
        done = command("synth", problems, "--run", directory, *MODELS, *more)
        assert done.code == code, done.err
        return done

    return run


@pytest.fixture
def shards(synth: Callable[..., Any], tmp_path: Path) -> list[Path]:
    """Three shards of the problems."""
    directories = [tmp_path / "shards" / str(index) for index in range(3)]
    for index, directory in enumerate(directories):
        synth(directory, "--shard", f"{index}/3")
    return directories


def records(*directories: Path, timed: bool = True) -> dict[str, Any]:
    """All that is recorded of each trace, change numbers apart; `timed`: with what a clock told."""
    found: dict[str, Any] = {}
    for directory in directories:
        with Reader(directory) as reader:
            for trace in reader.traces():
                turns, calls = reader.turns(trace.key), reader.calls(trace.key)
                facts: tuple[Any, ...] = (trace.spans, trace.status, trace.cause, trace.closed_by, trace.made_from)
                if timed:
                    facts += (trace.usage, trace.verdicts, trace.started, trace.finished, turns, calls)
                else:
                    facts += ([(verdict.verifier, verdict.label) for verdict in trace.verdicts],)
                    facts += ([(turn.role, turn.kept, turn.span) for turn in turns], [call.text for call in calls])
                assert str(trace.key) not in found
                found[str(trace.key)] = facts
    return found


def tables(directory: Path) -> dict[str, list[Any]]:
    """All rows of the database."""
    connection = sqlite3.connect(directory / "run.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    connection.close()
    return rows


def change(directory: Path, statement: str) -> None:
    connection = sqlite3.connect(directory / "run.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


# -- shards


def test_merged_shards_are_what_one_process_writes(
    command: Command, synth: Callable[..., Any], shards: list[Path], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    done = command("merge", *reversed(shards), "--to", whole)
    assert (done.code, done.err) == (0, "")
    assert f"{COUNT} problems, {COUNT} traces: {COUNT} complete" in done.out
    assert records(whole) == records(*shards), "with all that a shard knows"
    synth(tmp_path / "one")
    assert records(whole, timed=False) == records(tmp_path / "one", timed=False)
    with Reader(whole) as merged, Reader(tmp_path / "one") as one:
        assert {each.id: each for each in merged.problems()} == {each.id: each for each in one.problems()}
        (variant,), (known,) = merged.variants(), one.variants()
        assert (variant.name, variant.fingerprint, variant.about) == (known.name, known.fingerprint, known.about)
        totals, sums = merged.totals(), one.totals()
        assert {role: total.kept for role, total in totals.items()} == {role: sum.kept for role, sum in sums.items()}


MADE_OF = {"teacher_score": ("--set", "candidates=2"), "teacher_answer": (), "revoice": ("--from", "teacher_only")}


@pytest.mark.parametrize("method", MADE_OF)
def test_traces_made_of_others_come_with_them(
    method: str, command: Command, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(directory: Path, *shard: str) -> None:
        install(GradingPair(), monkeypatch.setattr)
        for flags in (("teacher_only",), (method, *MADE_OF[method])):
            done = command("synth", problems, "--run", directory, *MODELS, "--method", *flags, *shard)
            assert done.code == 0, done.err
        assert command("verify", directory, *TELLING).code == 0

    directories = [tmp_path / str(index) for index in range(2)]
    for index, directory in enumerate(directories):
        write(directory, "--shard", f"{index}/2")
    assert command("merge", *directories, "--to", tmp_path / "whole").code == 0
    merged = records(tmp_path / "whole")
    assert merged == records(*directories)
    write(tmp_path / "one")
    if method == "teacher_score":  # the scripted grades go by their order
        assert merged.keys() == records(tmp_path / "one").keys()
    else:
        assert records(tmp_path / "whole", timed=False) == records(tmp_path / "one", timed=False)


def test_half_of_a_shard_is_the_teachers_in_teacher_mix(synth: Callable[..., Any], tmp_path: Path) -> None:
    synth(tmp_path / "0", "--shard", "0/2", "--method", "teacher_mix")
    with Reader(tmp_path / "0") as reader:
        authors = [trace.spans[1].author for trace in reader.traces()]
    assert abs(2 * authors.count("teacher") - len(authors)) <= 1


def test_whoever_began_a_trace_goes_on_with_it_in_the_whole(
    command: Command, synth: Callable[..., Any], problems: Path, tmp_path: Path
) -> None:
    mix = ("--method", "teacher_mix", "--concurrency", 64)
    directories = [tmp_path / str(index) for index in range(2)]
    for index, directory in enumerate(directories):
        synth(directory, "--shard", f"{index}/2", *mix, "--max-tokens-total", 60)
    done = command("merge", *directories, "--to", tmp_path / "whole", "--json").json
    assert done["traces"] == {"pending": COUNT}
    synth(tmp_path / "whole", *mix)
    with Reader(tmp_path / "whole") as reader:
        for trace in reader.traces():
            assert trace.status == "complete"
            assert len({span.author for span in trace.spans if span.author is not Author.NONE}) == 1


@pytest.mark.parametrize("flags", [("--limit", 5), ("--where", 'answer > "1230"', "--limit", 5)])
def test_where_and_limit_come_before_the_shard(
    flags: tuple[object, ...], synth: Callable[..., Any], tmp_path: Path
) -> None:
    held = []
    for index in range(2):
        told = synth(tmp_path / str(index), "--shard", f"{index}/2", *flags, "--json").json
        assert told["problems"] == 5
        held += records(tmp_path / str(index))
    synth(tmp_path / "one", *flags)
    assert sorted(held) == sorted(records(tmp_path / "one"))


def test_a_shard_without_problems_ends_well(synth: Callable[..., Any], tmp_path: Path) -> None:
    assert synth(tmp_path / "run", "--shard", "3/7", "--limit", 1, "--json").json["shard"] == "3/7"
    told = synth(tmp_path / "run", "--shard", "3/7", "--limit", 1).out
    assert "shard 3/7: 0 of 1 problem\n" in told or "shard 3/7: 1 of 1 problem\n" in told


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ("1/3", "2/3", "holds shard 1/3, not 2/3"),
        ("1/3", "1/4", "holds shard 1/3, not 1/4"),
        ("1/3", None, "give --shard 1/3"),
        (None, "1/3", "holds a run that is no shard"),
    ],
)
def test_a_run_directory_is_of_one_shard(
    first: str | None, then: str | None, said: str, synth: Callable[..., Any], tmp_path: Path
) -> None:
    def flag(shard: str | None) -> tuple[str, ...]:
        return () if shard is None else ("--shard", shard)

    synth(tmp_path / "run", *flag(first))
    before = tables(tmp_path / "run")
    refused = synth(tmp_path / "run", *flag(then), code=2)
    assert said in refused.err and "Traceback" not in refused.err
    assert tables(tmp_path / "run") == before
    again = synth(tmp_path / "run", *flag(first), "--json").json
    assert again["planned"] == 0


@pytest.mark.parametrize("shard", ["0/3", "1/4", None])
def test_a_directory_of_another_shard_is_refused_before_models_are_loaded(
    shard: str | None,
    synth: Callable[..., Any],
    shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("antiphon.engine.models.open_engine", load)
    flags = () if shard is None else ("--shard", shard)
    assert "holds shard 1/3" in synth(shards[1], *flags, code=2).err
    with Store.open(shards[1]):
        assert "is being written by process" in synth(shards[1], "--shard", "1/3", code=2).err
    with pytest.raises(AssertionError, match="a model is loaded"):
        synth(shards[1], "--shard", "1/3")


def test_a_shard_that_is_none(synth: Callable[..., Any], tmp_path: Path) -> None:
    assert "the 4 shards are 0/4 to 3/4" in synth(tmp_path / "run", "--shard", "4/4", code=2).err
    assert not (tmp_path / "run").exists()


def test_lengths_of_a_part_are_not_those_of_the_whole(synth: Callable[..., Any], shards: list[Path]) -> None:
    refused = synth(shards[0], "--shard", "0/3", "--method", "random_boundaries", "--like", "tessy", code=2)
    assert "merge that variant's shards" in refused.err


def test_imported_traces_are_rewritten_shard_by_shard(command: Command, pair: Pair, tmp_path: Path) -> None:
    response = "<think>\nOkay, so units 3x4=12\n</think>\n\nI get 12."
    rows = [{"id": f"q{n}", "question": f"What is {300 + n} times 4?", "response": response} for n in range(6)]
    data, directories = write_lines(tmp_path / "data.jsonl", rows), [tmp_path / "0", tmp_path / "1"]
    for index, directory in enumerate(directories):
        assert command("import", data, "--run", directory).code == 0
        done = command(
            *(
                "synth",
                "--run",
                directory,
                *MODELS,
                "--method",
                "revoice",
                "--from",
                "imported",
                "--shard",
                f"{index}/2",
            )
        )
        assert done.code == 0, done.err
    done = command("merge", *directories, "--to", tmp_path / "whole", "--json").json
    assert (done["exit_code"], done["problems"], done["traces"]) == (0, 6, {"complete": 12})
    assert done["taken"][str(directories[1])]["same"] == 6, "imported twice, and the same"


def test_a_shard_whose_process_died_is_taken_up_and_says_so(synth: Callable[..., Any], tmp_path: Path) -> None:
    synth(tmp_path / "run", "--shard", "0/1", "--max-tokens-total", 60)
    (tmp_path / "run" / LOCK).write_text("process 1 on elsewhere")
    done = synth(tmp_path / "run", "--shard", "0/1", "--json")
    assert "process 1 on elsewhere ended without closing this run" in done.json["repaired"]
    assert done.err.count("ended without closing this run") == 1


def test_two_processes_on_one_shard(synth: Callable[..., Any], shards: list[Path]) -> None:
    with Store.open(shards[0]):
        refused = synth(shards[0], "--shard", "0/3", code=2)
        assert "is being written by process" in refused.err
    synth(shards[0], "--shard", "0/3")


def test_a_clock_that_jumps(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dates what is recorded, and nothing else goes by it: no duration, no order, no merge."""
    jumps = cycle([0.0, 2e9, 5.0, 1e9])
    monkeypatch.setattr("time.time", lambda: next(jumps))
    run, whole = tmp_path / "run", tmp_path / "whole"
    known = 0
    for limit in (4, 8, COUNT):
        assert command("synth", problems, "--run", run, *MODELS, "--shard", "0/1", "--limit", limit).code == 0
        taken = command("merge", run, "--to", whole, "--json").json["taken"][str(run)]
        assert (taken["new"], taken["changed"]) == (4, 0)
        with Reader(run) as reader:
            new = list(reader.traces(since=known))
            assert len(new) == 4 and [trace.change for trace in new] == sorted({trace.change for trace in new})
            assert all(0 <= turn.seconds < 60 for trace in new for turn in reader.turns(trace.key))
            assert all(0 <= session.ended - session.began < 60 for session in reader.sessions("tessy"))
            known = reader.change()
    assert command("verify", run, *SCRIPTED).code == 0
    assert command("merge", run, "--to", whole, "--json").json["taken"][str(run)]["changed"] == COUNT
    assert records(whole) == records(run)


# -- merging


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
