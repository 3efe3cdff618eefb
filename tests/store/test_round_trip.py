"""What is recorded comes back the same, however it came in."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.problem import Problem
from antiphon.store import Call, Outcome, Reader, Recorder, Store, columns
from antiphon.trace import Author, Key, Label, Span, Status, Turn, Usage, Verdict, pack_ids
from tests.store.records import (
    VARIANT,
    finished,
    keys,
    planned,
    problem,
    problems,
    span,
    spans,
    texts,
    turn,
    turns,
    usages,
    writing,
)

(KEY,) = keys()


MEMORY = Path("/dev/shm")


@contextmanager
def folder() -> Iterator[Path]:
    """For one example: in memory where there is such a place, for durability costs time."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name, "run")


def open_(span: Span) -> Span:
    return replace(span, end=None)


def parts(span: Span, draw: Callable[..., int]) -> list[tuple[str, int, int]]:
    """The span cut at random into pieces of text, ids and words."""
    cuts = sorted(draw(st.integers(0, len(span.text))) for _ in range(draw(st.integers(0, 3))))
    edges = [0, *cuts, len(span.text)]
    words = len(span.words) // 6
    result = []
    for number, (begin, end) in enumerate(pairwise(edges), 1):
        share = number / (len(edges) - 1)
        result.append((span.text[begin:end], round(len(span.ids) * share), round(words * share) * 6))
    return result


def grow(recorder: Recorder, index: int, span: Span, draw: Callable[..., int]) -> None:
    ids = words = 0
    for text, ids_to, words_to in parts(span, draw):
        recorder.grow(index, span, text, span.ids[ids:ids_to], span.words[words:words_to])
        ids, words = ids_to, words_to


@given(st.lists(spans, max_size=4), st.data())
def test_a_span_grown_in_any_parts_is_the_span_closed_whole(written: list[Span], data: st.DataObject) -> None:
    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        for index, one in enumerate(written):
            grow(recorder, index, one, data.draw)
            if data.draw(st.booleans()):
                await store.flush()
            assert store.saved(KEY).spans == (*written[:index], open_(one))
            recorder.close_span(index, one)
        await recorder.finish(Status.COMPLETE)
        assert store.saved(KEY).spans == tuple(written)

    with folder() as directory:
        writing(directory, work, KEY)
        with Reader(directory) as reader:
            assert reader.trace(KEY).spans == tuple(written)
            assert reader.trace(KEY).response == "".join(one.text for one in written)


@given(
    st.lists(
        st.tuples(st.lists(spans, max_size=3), st.none() | spans, st.sampled_from([None, *Status])),
        min_size=1,
        max_size=4,
    ),
    st.sets(st.sampled_from([None, *Status])),
)
def test_outcomes_are_the_traces_without_their_spans(
    traces: list[tuple[list[Span], Span | None, Status | None]], asked: set[Status | None]
) -> None:
    """Whatever was closed, and whatever a trace that ended in the middle of a span was still growing."""
    wanted = keys("p", "q", samples=2)[: len(traces)]

    async def work(store: Store) -> None:
        for key, (closed, open_span, status) in zip(wanted, traces, strict=True):
            recorder = store.recorder(key)
            recorder.begin()
            for index, one in enumerate(closed):
                recorder.close_span(index, one)
            if open_span is not None:  # the last one that was closed goes on, if there is one
                recorder.grow(max(0, len(closed) - 1), open_span, open_span.text, open_span.ids, b"")
            if status is not None:
                await recorder.finish(status)

    with folder() as directory:
        writing(directory, work, *wanted)
        with Reader(directory) as reader:
            middle = reader.trace(wanted[0]).change
            for since in (0, middle):
                assert list(reader.outcomes(asked, variant=VARIANT, since=since)) == [
                    (
                        reader.problem(trace.key.problem),
                        Outcome(
                            trace.key,
                            trace.status,
                            trace.response if trace.status in asked else None,
                            trace.change,
                            "" if trace.status in asked else trace.status or "pending",
                        ),
                    )
                    for trace in reader.traces(since=since)
                ]


@given(spans, spans, st.booleans(), st.data())
def test_a_span_that_was_closed_may_grow_on(first: Span, more: Span, flushed: bool, data: st.DataObject) -> None:
    whole = replace(more, text=first.text + more.text, ids=first.ids + more.ids, words=first.words + more.words)

    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        grow(recorder, 0, first, data.draw)
        recorder.close_span(0, first)
        if flushed:
            await store.flush()
        grow(recorder, 0, more, data.draw)
        assert store.saved(KEY).spans == (open_(whole),)
        if flushed:
            await store.flush()
        recorder.close_span(0, whole)
        assert store.saved(KEY).spans == (whole,)
        recorder.close_span(0, first)  # shorter again
        assert store.saved(KEY).spans == (first,)

    with folder() as directory:
        writing(directory, work, KEY)


@given(st.lists(turns, max_size=5), st.dictionaries(st.sampled_from(Author), usages))
def test_turns_and_usage(taken: list[Turn], usage: dict[Author, Usage]) -> None:
    async def work(store: Store) -> None:
        recorder = store.recorder(KEY)
        for one in taken[:2]:
            recorder.turn(one)
        assert store.saved(KEY).turns == len(taken[:2])
        recorder = store.recorder(KEY)  # goes on counting
        for one in taken[2:]:
            recorder.turn(one)
        summed = store.saved(KEY).usage
        for role in (Author.STUDENT, Author.TEACHER):
            mine = [one for one in taken if one.role is role]
            total = summed.get(role, Usage())
            assert total.requests == sum(one.requests for one in mine)
            assert total.received == sum(one.received for one in mine)
            assert total.kept == sum(one.kept for one in mine)
            told = [one.cached for one in mine if one.cached is not None]
            assert total.cached == (sum(told) if told else None)
            assert total.prompt == sum(one.prompt for one in mine)
            assert total.told == sum(one.told for one in mine)
            assert total.seconds == pytest.approx(sum(one.seconds for one in mine))
        await recorder.finish(Status.COMPLETE, usage=usage)

    with folder() as directory:
        writing(directory, work, KEY)
        with Reader(directory) as reader:
            assert reader.turns(KEY) == taken
            stored = reader.trace(KEY).usage
            assert {role: stored[role] for role in usage} == usage


@given(st.lists(problems, max_size=4, unique_by=lambda problem: problem.id))
def test_problems(added: list[Problem]) -> None:
    with folder() as directory:
        with Store.open(directory) as store:
            store.add_problems(added)
            store.add_problems(added)
        with Reader(directory) as reader:
            assert list(reader.problems()) == added
            assert [reader.problem(one.id) for one in added] == added


@given(
    texts,
    texts,
    texts,
    st.lists(st.builds(Verdict, texts, texts, st.sampled_from(Label), texts, st.floats(0, 1e6)), max_size=3),
    usages,
)
def test_any_text_in_any_place(id: str, variant: str, text: str, verdicts: list[Verdict], usage: Usage) -> None:
    key = Key(id, variant, 3)

    async def work(store: Store) -> None:
        recorder = store.recorder(key)
        recorder.turn(turn(server=text, rejected=text))
        store.add_verdicts(key, verdicts)
        store.add_call(key, Author.TEACHER, text, usage, text)
        await recorder.finish(Status.FAILED, cause=text)

    with folder() as directory:
        writing(directory, work, key)
        with Reader(directory) as reader:
            (trace,) = reader.traces(variant=variant, problem=id)
            assert trace.key == key
            assert trace.cause == text
            assert list(trace.verdicts) == latest(verdicts)
            assert [one.server for one in reader.turns(key)] == [text]
            assert reader.calls(key) == [Call(Author.TEACHER, text, usage, text)]
            assert reader.causes() == ({text: 1} if text else {})
            assert key in reader.find(str(key))


def latest(verdicts: list[Verdict]) -> list[Verdict]:
    """Each verifier's last word."""
    kept: dict[tuple[str, str], Verdict] = {}
    for verdict in verdicts:
        kept.pop((verdict.verifier, verdict.version), None)
        kept[verdict.verifier, verdict.version] = verdict
    return list(kept.values())


@given(texts)
@example("\ud800")
@example("a\0")
def test_one_text_has_one_column_which_other_tools_can_hold(text: str) -> None:
    column = columns.text_in(text)
    assert columns.text_out(column) == text
    connection = sqlite3.connect(":memory:")
    kind, back = connection.execute("SELECT typeof(value), value FROM (SELECT ? AS value)", (column,)).fetchone()
    connection.close()
    assert back == column
    holds = "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
    assert kind == ("text" if holds else "blob")


def test_ids_are_little_endian_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pack_ids([1, 0x01020304])
    assert columns.ids_in(ids) == bytes([1, 0, 0, 0, 4, 3, 2, 1])
    monkeypatch.setattr("sys.byteorder", "big")
    swapped = columns.ids_in(ids)
    assert swapped == bytes([0, 0, 0, 1, 1, 2, 3, 4])
    assert columns.ids_out(swapped) == ids
    assert ids == pack_ids([1, 0x01020304])


def test_a_trace_tells_when_and_how_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 20.0, 30.0])

    async def work(store: Store) -> None:
        monkeypatch.setattr("antiphon.store.writer.time.time", lambda: next(now))
        store.recorder(KEY).begin()
        recorder = store.recorder(KEY)
        recorder.begin()  # a resume
        await recorder.finish(Status.TOO_LONG, cause="budget", closed_by=Author.NONE)

    writing(tmp_path, work, KEY)
    with Reader(tmp_path) as reader:
        trace = reader.trace(KEY)
    assert (trace.started, trace.finished) == (10.0, 30.0)
    assert (trace.status, trace.cause, trace.closed_by) == (Status.TOO_LONG, "budget", Author.NONE)


def test_made_from_links_traces_and_is_set_anew(tmp_path: Path) -> None:
    made, *sources = keys("p", "q", "r")

    async def work(store: Store) -> None:
        store.set_made_from(made, sources)
        store.set_made_from(made, reversed(sources))
        await store.flush()
        store.set_made_from(made, [sources[1], sources[0]])

    writing(tmp_path, work, made, *sources)
    with Reader(tmp_path) as reader:
        assert reader.trace(made).made_from == (sources[1], sources[0])
        assert reader.trace(sources[0]).made_from == ()


def test_finished_traces_stay_when_more_are_planned(tmp_path: Path) -> None:
    first, second = keys("p", "q")
    finished(tmp_path, first)
    with Store.open(tmp_path) as store:
        planned(store, [second, first])
        assert store.pending(VARIANT) == [second]
    with Reader(tmp_path) as reader:
        assert reader.trace(first).status is Status.COMPLETE
        assert reader.trace(first).spans == (span(f"of {first}"),)
        assert reader.problem("q") == problem("q")


def test_nothing_is_lost_when_the_loop_is_gone(tmp_path: Path) -> None:
    """An interrupted run closes its store after its event loop."""
    with Store.open(tmp_path) as store:
        planned(store, [KEY])

        async def work() -> None:
            recorder = store.recorder(KEY)
            recorder.close_span(0, span())
            task = asyncio.ensure_future(recorder.finish(Status.COMPLETE))
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(work())
    with Reader(tmp_path) as reader:
        assert reader.trace(KEY).spans == (span(),)
        assert reader.trace(KEY).status is Status.COMPLETE
