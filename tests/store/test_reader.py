"""Reading, also beside a writer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from antiphon.errors import UsageError
from antiphon.store import Reader, Session, Standing, Store, Totals, columns
from antiphon.store import reader as reader_module
from antiphon.trace import Author, Key, Kind, Label, Span, Status, Usage, Verdict
from tests.store.records import VARIANT, finished, keys, planned, span, turn, writing


def read_keys(reader: Reader, **how: object) -> list[Key]:
    return [trace.key for trace in reader.traces(**how)]  # type: ignore[arg-type]


def test_traces_in_the_order_of_their_changes(tmp_path: Path) -> None:
    a, b, c, d = keys("a", "b", "c", "d")
    with Store.open(tmp_path) as store:
        planned(store, [a, b, c, d])
    finished(tmp_path, c)
    with Reader(tmp_path) as reader:
        middle = reader.change()
    finished(tmp_path, a, status=Status.FAILED)
    with Reader(tmp_path) as reader:
        assert read_keys(reader) == [b, d, c, a]
        assert read_keys(reader, since=middle) == [a]
        assert read_keys(reader, since=reader.change()) == []
        assert read_keys(reader, status=[Status.COMPLETE, None]) == [b, d, c]
        assert read_keys(reader, status=[Status.FAILED]) == [a]
        assert read_keys(reader, status=[]) == []
        assert read_keys(reader, problem="d", variant=VARIANT) == [d]
        assert read_keys(reader, problem="nobody") == []
        changes = [trace.change for trace in reader.traces()]
        assert changes == sorted(set(changes))
        assert changes[-1] == reader.change()
        assert list(reader.traces()) == [reader.trace(key) for key in (b, d, c, a)]
        with pytest.raises(UsageError, match="no variant 'x'"):
            next(reader.traces(variant="x"))


def test_every_later_word_on_a_trace_is_a_change(tmp_path: Path) -> None:
    key, other = keys("p", "q")
    finished(tmp_path, key, other)

    async def work(store: Store) -> None:
        with Reader(tmp_path) as reader:
            for change in (
                lambda: store.add_verdicts(key, [Verdict("v", "1", Label.RIGHT)]),
                lambda: store.set_made_from(key, [other]),
                lambda: store.add_call(key, Author.TEACHER, "grade", Usage(1, 2, 2), "A"),
            ):
                before = reader.change()
                change()
                await store.flush()
                assert read_keys(reader, since=before) == [key]
            before = reader.change()
            await store.flush()
            assert read_keys(reader, since=before) == []

    writing(tmp_path, work)


def test_outcomes_of_whole_traces_make_no_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what makes an export of long traces fast."""
    wanted = keys("a", "b")
    finished(tmp_path, *wanted)
    monkeypatch.setattr(columns, "span_out", None)
    with Reader(tmp_path) as reader:
        assert [outcome.response for _, outcome in reader.outcomes([Status.COMPLETE])] == [f"of {k}" for k in wanted]
        assert [outcome.response for _, outcome in reader.outcomes([Status.FAILED])] == [None, None]
        with pytest.raises(UsageError, match="no variant 'x'"):
            next(reader.outcomes([], variant="x"))


def test_an_iteration_is_of_one_moment_and_others_may_interleave(tmp_path: Path) -> None:
    a, b, c = keys("a", "b", "c")
    finished(tmp_path, a, b)

    async def work(store: Store) -> None:
        with Reader(tmp_path) as reader:
            outer = reader.traces()
            assert next(outer).key == a
            store.add_verdicts(b, [Verdict("v", "1", Label.RIGHT)])
            planned(store, [c])
            await store.recorder(c).finish(Status.COMPLETE)
            assert reader.trace(b).verdicts  # new outside the iteration
            assert len(list(reader.traces())) == 3
            assert [(trace.key, trace.verdicts) for trace in outer] == [(b, ())]

    writing(tmp_path, work)


def test_a_reader_sees_a_finished_turn_at_once(tmp_path: Path) -> None:
    (key,) = keys()

    async def work(store: Store) -> None:
        with Reader(tmp_path) as reader:
            assert reader.turns(key) == []
            recorder = store.recorder(key)
            recorder.close_span(0, span())
            recorder.turn(turn())
            await store.flush()
            assert reader.turns(key) == [turn()]
            trace = reader.trace(key)
            assert (trace.status, trace.spans) == (None, (span(),))

    writing(tmp_path, work, key)


def test_one_reader_serves_several_threads(tmp_path: Path) -> None:
    wanted = keys("p", samples=20)
    finished(tmp_path, *wanted)
    results: list[list[object]] = []
    with Reader(tmp_path) as reader:
        expected = [reader.trace(key) for key in wanted]
        threads = [
            threading.Thread(target=lambda: results.append([reader.trace(key) for key in wanted])) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [expected] * 4


def test_find(tmp_path: Path) -> None:
    wanted = [*keys("ab", "abc", samples=2), *keys("ab", variant="other"), *keys("x/y", "x")]
    with Store.open(tmp_path) as store:
        planned(store, wanted)
    with Reader(tmp_path) as reader:
        assert reader.find("ab") == [*keys("ab", samples=2), *keys("ab", variant="other")]
        assert reader.find("ab/other") == keys("ab", variant="other")
        assert reader.find("ab/tessy/1") == [Key("ab", VARIANT, 1)]
        assert reader.find("a") == wanted[:5]
        assert reader.find("abc/t") == keys("abc", samples=2)
        assert reader.find("x/y") == keys("x/y")
        assert reader.find("nobody") == []
        with pytest.raises(UsageError, match="no trace nobody/tessy/0"):
            reader.trace(Key("nobody", VARIANT, 0))


def test_counts_and_causes(tmp_path: Path) -> None:
    good, bad, worse, other = *keys("a", "b", "c"), *keys("a", variant="other")
    finished(tmp_path, good)
    finished(tmp_path, bad, worse, status=Status.FAILED, cause="refused")
    finished(tmp_path, other, status=Status.FAILED, cause="broken")
    with Store.open(tmp_path) as store:
        planned(store, keys("d"))
    with Reader(tmp_path) as reader:
        assert reader.counts() == {Status.COMPLETE: 1, Status.FAILED: 3, None: 1}
        assert reader.counts("other") == {Status.FAILED: 1}
        assert list(reader.causes().items()) == [("refused", 2), ("broken", 1)]
        assert reader.causes(VARIANT) == {"refused": 2}
        for ask in (reader.counts, reader.causes, reader.totals):
            with pytest.raises(UsageError, match="no variant 'x'"):
                ask("x")


def test_totals_count_each_turn_and_span_once(tmp_path: Path) -> None:
    key, other = *keys("p"), *keys("p", variant="other")

    async def work(store: Store) -> None:
        recorder = store.recorder(key)
        recorder.close_span(0, Span(Author.NONE, Kind.MARKER, "<think>"))
        recorder.close_span(1, span("so "))
        recorder.close_span(1, span("so we "))  # it went on
        recorder.turn(turn(cached=7, prompt=20, told=9))
        recorder.close_span(2, span("196", Author.TEACHER, forced=True))
        recorder.turn(turn(Author.TEACHER, kept=0, words=0, received=9, requests=3, prompt=60))
        recorder.turn(turn(Author.TEACHER, kept=1, words=1, cut=False, received=0, requests=0))
        recorder = store.recorder(key)
        recorder.close_span(2, span("196 ", Author.TEACHER, forced=True))
        recorder.grow(3, span(), "open", span().ids, b"")
        recorder = store.recorder(other)
        recorder.turn(turn(cached=1, words=0, prompt=3, told=3))

    writing(tmp_path, work, key, other)
    with Reader(tmp_path) as reader:
        assert reader.totals(VARIANT) == {
            Author.STUDENT: Totals(1, 5, 3, 7, 0.5, 20, 9, turns=1, words=2, refused=0, spans=1, forced=0),
            Author.TEACHER: Totals(3, 9, 1, None, 1.0, 60, 0, turns=2, words=1, refused=1, spans=1, forced=1),
        }
        assert reader.totals()[Author.STUDENT] == Totals(
            2, 10, 6, 8, 1.0, 23, 12, turns=2, words=2, refused=1, spans=1, forced=0
        )


def test_a_reader_that_was_left_in_the_middle_holds_nothing(tmp_path: Path) -> None:
    finished(tmp_path, *keys("a", "b"))
    with Reader(tmp_path) as reader:
        traces = reader.traces()
        next(traces)
        traces.close()
        problems = reader.problems()
        next(problems)
        problems.close()
    reader.close()
    finished(tmp_path, *keys("c"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.sqlite", "writer.lock"]


def judged(directory: Path, verdicts: dict[Key, list[Verdict]]) -> None:
    with Store.open(directory) as store:
        for key, them in verdicts.items():
            store.add_verdicts(key, them)


def test_standings_are_of_all_traces_problem_by_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_GROUP", 2)
    with Store.open(tmp_path) as store:
        planned(store, [*keys("a", samples=2), *keys("b", "c", "d", variant="other"), *keys("e", "a", variant="other")])
        store.plan(keys("a", samples=3))
    finished(tmp_path, *keys("a", samples=2), status=Status.TOO_LONG)
    old, new = Verdict("v", "1", Label.WRONG, "no", 0.5), Verdict("v", "2", Label.RIGHT, "\udcff", 0.25)
    judged(tmp_path, {Key("a", VARIANT, 1): [old], Key("e", "other", 0): [new]})
    judged(tmp_path, {Key("a", VARIANT, 1): [new]})
    with Reader(tmp_path) as reader:
        every = list(reader.standings())
        assert every[0] == [
            Standing(Key("a", VARIANT, 0), Status.TOO_LONG, ()),
            Standing(Key("a", VARIANT, 1), Status.TOO_LONG, (old, new)),
            Standing(Key("a", VARIANT, 2), None, ()),
            Standing(Key("a", "other", 0), None, ()),
        ]
        assert [[standing.key.problem for standing in them] for them in every[1:]] == [["b"], ["c"], ["d"], ["e"]]
        assert (every[0][1].verdict, every[0][0].verdict) == (new, None)
        assert [them[0].key for them in reader.standings(variant="other")] == keys(
            "a", "b", "c", "d", "e", variant="other"
        )
        with pytest.raises(UsageError, match="no variant 'x'"):
            next(reader.standings(variant="x"))
        assert reader.standing_counts() == {
            (None, None): 5,
            (None, Label.RIGHT): 1,
            (Status.TOO_LONG, None): 1,
            (Status.TOO_LONG, Label.RIGHT): 1,
        }
        assert reader.standing_counts("other") == {(None, None): 4, (None, Label.RIGHT): 1}
        with pytest.raises(UsageError, match="no variant 'x'"):
            reader.standing_counts("x")


def test_standings_keep_no_log_while_they_are_gone_through(tmp_path: Path) -> None:
    """Whoever judges writes meanwhile: what is read next is as it is then."""
    wanted = keys("a", "b")
    finished(tmp_path, *wanted)
    with Reader(tmp_path) as reader, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_module, "_GROUP", 1)
        standings = reader.standings()
        assert next(standings)[0].verdicts == ()
        verdict = Verdict("v", "1", Label.RIGHT)
        judged(tmp_path, {wanted[0]: [verdict], wanted[1]: [verdict]})
        assert next(standings)[0].verdicts == (verdict,)


ANSWERS = [
    [],
    [("thinking", "so"), ("marker", "</think>"), ("answer", "4")],
    [
        ("marker", "<think>"),
        ("style", "so"),
        ("capability", "2"),
        ("marker", "</think>"),
        ("answer", "4"),
        ("answer", "2"),
    ],
    [("answer", "4"), ("marker", "<end>")],
    [("style", "answer"), ("marker", "</think>")],
]


@pytest.mark.parametrize("spans", ANSWERS)
@pytest.mark.parametrize("grows", [False, True])
def test_an_answer_is_the_traces(tmp_path: Path, spans: list[tuple[str, str]], grows: bool) -> None:
    (key,) = keys("p")

    async def work(store: Store) -> None:
        recorder = store.recorder(key)
        for index, (kind, text) in enumerate(spans):
            recorder.close_span(index, span(text, kind=Kind(kind)))
        if grows and spans:
            recorder.grow(len(spans) - 1, span(kind=Kind(spans[-1][0])), " more", span("x").ids, b"")

    writing(tmp_path, work, key)
    with Reader(tmp_path) as reader:
        assert reader.answer(key) == reader.trace(key).answer
        with pytest.raises(UsageError, match="no trace"):
            reader.answer(Key("p", VARIANT, 9))


def test_sessions_are_of_one_variant_and_in_order(tmp_path: Path) -> None:
    first, second = Session(10.0, 20.0, 4, 30, 1.5, 0.25), Session(30.0, 31.0, 8, 3, 0.5)
    with Store.open(tmp_path) as store:
        for variant in ("one", "other"):
            store.add_variant(variant, {}, {})
        for variant, session in (("one", first), ("other", second), ("one", second)):
            store.add_session(variant, session)
        with pytest.raises(UsageError, match="there is no variant 'none'"):
            store.add_session("none", first)
    with Reader(tmp_path) as reader:
        assert reader.sessions("one") == [first, second]
        assert reader.sessions("other") == [second]
