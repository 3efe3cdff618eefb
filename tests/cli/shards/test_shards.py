"""Shards through the command: each in a run directory of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from antiphon.store import Reader, Store
from antiphon.store.place import LOCK
from antiphon.trace import Author
from tests.cli.conftest import MODELS, Command, write_lines
from tests.cli.grading import GradingPair
from tests.cli.pair import Pair, install
from tests.cli.shards.conftest import COUNT, SCRIPTED, TELLING, records, tables


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
