"""Directories taken into one: whatever they hold, however they grow meanwhile, whatever ends it half-way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import StoreBusy
from antiphon.store import Reader, Session, Store, intake
from antiphon.store.intake import Intake
from antiphon.trace import Author, Key, Label, Status, Verdict
from tests.store.records import VARIANT, finished, keys, planned, problems, span, spans, texts, turns, usages, writing

ROOT = Path(__file__).parents[2]


def records(*directories: Path) -> dict[Key, Any]:
    """All that is recorded of each trace but change numbers."""
    found = {}
    for directory in directories:
        with Reader(directory) as reader:
            for trace in reader.traces():
                facts = (trace.spans, trace.status, trace.cause, trace.closed_by, trace.usage, trace.verdicts)
                made = (set(trace.made_from), trace.started, trace.finished)
                found[trace.key] = (*facts, *made, reader.turns(trace.key), reader.calls(trace.key))
    return found


def take(to: Path, *sources: Path) -> None:
    with Intake.open(to) as taking:
        for source in sources:
            taking.take(source)


class Killed(Exception):
    """What ends a merge between two transactions."""


steps = st.one_of(
    st.tuples(st.just("span"), spans),
    st.tuples(st.just("grow"), texts),
    st.tuples(st.just("turn"), turns),
    st.tuples(st.just("finish"), st.sampled_from([Status.COMPLETE, Status.FAILED, Status.TOO_LONG])),
    st.tuples(st.just("retry"), st.just(Status.FAILED)),
    st.tuples(st.just("verdict"), texts),
    st.tuples(st.just("call"), usages),
    st.tuples(st.just("made"), st.integers(0, 5)),
    st.tuples(st.just("merge"), st.integers(0, 3)),
)
"""What happens to a trace, or to the whole: merged, at most so many transactions, 0 for all."""


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), steps), max_size=30))
def test_any_interleaving_of_writing_and_merging_comes_to_the_same(story: list[tuple[int, int, Any]]) -> None:
    wanted = [[Key(f"{side}-{number}", VARIANT, 0) for number in range(6)] for side in range(2)]

    async def tell(work: Path, stores: list[Store]) -> None:
        recorders = {}
        for side, number, (what, value) in story:
            store, key = stores[side], wanted[side][number]
            if what == "merge":
                await asyncio.gather(*(each.flush() for each in stores))
                cut_short(work, value)
                continue
            if key not in recorders:
                recorders[key] = [store.recorder(key), 0, False]
                recorders[key][0].begin()
            recorder, place, is_over = recorders[key]
            if what == "retry":
                store.pending(VARIANT, retry=[value])
                recorders = {}  # a failed one among them begins anew
                continue
            if what == "verdict":
                store.add_verdicts(key, [Verdict("v", str(number % 2), Label.RIGHT, value)])
            elif what == "call":
                store.add_call(key, Author.TEACHER, "grade", value, "5")
            elif what == "made":
                store.set_made_from(key, [wanted[side][value]])
            elif is_over or has_ended(work / str(side), key):
                continue
            elif what == "span":
                recorder.close_span(place, value)
                recorders[key][1] += 1
            elif what == "grow":
                recorder.grow(place, span(), value, span(value).ids, b"")
            elif what == "turn":
                recorder.turn(value)
            elif what == "finish":
                await recorder.finish(value)
                recorders[key][2] = True

    with TemporaryDirectory() as folder, mock.patch.object(intake, "_BATCH", 2):
        work = Path(folder)
        stores = [Store.open(work / str(side)) for side in range(2)]
        for store, theirs in zip(stores, wanted, strict=True):
            planned(store, theirs)
        asyncio.run(tell(work, stores))
        for store in stores:
            store.close()
        take(work / "whole", work / "1", work / "0")
        assert records(work / "whole") == records(work / "0", work / "1")
        changes = distinct_changes(work / "whole")
        take(work / "whole", work / "0", work / "1")
        assert distinct_changes(work / "whole") == changes, "the second time nothing is new"


def has_ended(directory: Path, key: Key) -> bool:
    with Reader(directory) as reader:
        return reader.trace(key).status is not None


def cut_short(work: Path, most: int) -> None:
    """Merges both, and is killed after so many transactions of each; 0: not at all."""
    done = 0

    def heard(traces: int) -> None:
        nonlocal done
        done += 1
        if done == most:
            raise Killed

    for side in range(2):
        done = 0
        with Intake.open(work / "whole") as taking:
            try:
                taking.take(work / str(side), heard)
            except Killed:
                pass


def distinct_changes(directory: Path) -> dict[Key, int]:
    """Each trace's change number; no two have the same."""
    with Reader(directory) as reader:
        changes = {trace.key: trace.change for trace in reader.traces()}
        assert len(set(changes.values())) == len(changes) and max(changes.values(), default=0) <= reader.change()
    return changes


@given(st.lists(problems, max_size=4, unique_by=lambda problem: problem.id), st.lists(spans, max_size=4), texts)
def test_any_text_comes_through(asked: list[Any], written: list[Any], name: str) -> None:
    async def work(store: Store) -> None:
        for problem in asked:
            recorder = store.recorder(Key(problem.id, name, 0))
            for position, each in enumerate(written):
                recorder.close_span(position, each)
            await recorder.finish(Status.COMPLETE, cause=name)

    with TemporaryDirectory() as folder:
        source, to = Path(folder, "source"), Path(folder, "to")
        with Store.open(source) as store:
            store.add_problems(asked)
            store.add_variant(name, {"method": name}, {"a": name})
            store.plan(Key(problem.id, name, 0) for problem in asked)
            asyncio.run(work(store))
        take(to, source)
        assert records(to) == records(source)
        with Reader(to) as ours, Reader(source) as theirs:
            assert list(ours.problems()) == list(theirs.problems())
            assert ours.variants() == theirs.variants()


def test_fields_that_were_added_to_problems_come_later(tmp_path: Path) -> None:
    from dataclasses import replace

    finished(tmp_path / "source", *keys("p", "q"))
    take(tmp_path / "to", tmp_path / "source")
    with Store.open(tmp_path / "source") as store, Reader(tmp_path / "source") as reader:
        store.add_problems([replace(reader.problem("p"), metadata={"answer": "4"})])
    take(tmp_path / "to", tmp_path / "source")
    with Reader(tmp_path / "to") as reader:
        assert reader.problem("p").metadata == {"answer": "4"} and reader.problem("q").metadata == {}


def test_a_shard_is_merged_while_it_is_written(tmp_path: Path) -> None:
    """Traces that come meanwhile are whole or not there at all, and what is made of them is, too."""
    first, second = keys("p", "q")
    to, source = tmp_path / "to", tmp_path / "source"

    async def work(store: Store) -> None:
        await store.recorder(first).finish(Status.COMPLETE)

        async def more() -> None:
            store.add_variant("later", {"method": "later"}, {})
            later = Key("p", "later", 0)
            store.plan([later])
            recorder = store.recorder(second)
            recorder.close_span(0, span("new "))
            store.set_made_from(second, [later])
            await recorder.finish(Status.COMPLETE)

        running = asyncio.get_running_loop()

        def heard(traces: int) -> None:
            nonlocal told
            if not told:
                told = True
                asyncio.run_coroutine_threadsafe(more(), running).result()

        told = False
        with mock.patch.object(intake, "_BATCH", 1), Intake.open(to) as taking:
            await asyncio.to_thread(taking.take, source, heard)

    writing(source, work, first, second)
    with Reader(to) as reader:
        assert reader.trace(second).response == "new " and reader.trace(second).made_from == (Key("p", "later", 0),)
    assert records(to) == records(source)


def test_one_merges_into_a_directory_at_a_time(tmp_path: Path) -> None:
    finished(tmp_path / "source", *keys("p"))
    with Intake.open(tmp_path / "to"), pytest.raises(StoreBusy, match="is being written by process"):
        Intake.open(tmp_path / "to")
    take(tmp_path / "to", tmp_path / "source")


MERGING = """
import sys
from pathlib import Path
from antiphon.store import intake
intake._BATCH = 1
left = int(sys.argv[3])
def tell(traces):
    global left
    print(traces, flush=True)
    left -= 1
    if left == 0:
        sys.stdin.read()  # until it is killed
with intake.Intake.open(Path(sys.argv[2])) as taking:
    taking.take(Path(sys.argv[1]), tell)
"""


def test_kill_9_in_mid_merge(tmp_path: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    finished(source, *keys("p", "q", "r", samples=40))
    for lines in (1, 20, 30):
        line = [sys.executable, "-c", MERGING, str(source), str(to), str(lines + 15)]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.kill()
        assert process.returncode == -signal.SIGKILL
        with Reader(to) as reader:
            assert reader.variants(), "can be read at any time"
    with Intake.open(to) as taking:
        taken = taking.take(source)
    assert 0 < taken.new < 120 and records(to) == records(source)


def test_sessions_come_with_their_variant_each_once(tmp_path: Path) -> None:
    """By them `plan` knows what a run took of its process."""
    early, late, last = (
        Session(10.0, 20.0, 4, 30, 1.5, 0.25),
        Session(15.0, 40.0, 8, 70, 6.0),
        Session(50.0, 51.0, 1, 2, 0.1),
    )

    def wrote(name: str, *sessions: tuple[str, Session]) -> None:
        with Store.open(tmp_path / name) as store:
            for variant in ("other", "one")[:: 1 if name == "a" else -1]:
                store.add_variant(variant, {}, {})
            for variant, session in sessions:
                store.add_session(variant, session)

    def merged() -> dict[str, list[Session]]:
        take(tmp_path / "whole", tmp_path / "a", tmp_path / "b")
        with Reader(tmp_path / "whole") as reader:
            return {variant: reader.sessions(variant) for variant in ("one", "other")}

    wrote("a", ("one", early), ("other", early))
    wrote("b", ("one", late))
    assert merged() == {"one": [early, late], "other": [early]}
    assert merged() == {"one": [early, late], "other": [early]}
    wrote("a", ("one", last))
    assert merged() == {"one": [early, late, last], "other": [early]}
