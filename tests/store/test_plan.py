"""What is set down before a token is spent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from antiphon.errors import ProblemError, StoreUnfit, UsageError, VariantChanged
from antiphon.problem import Problem
from antiphon.store import Reader, Store, columns, plan
from antiphon.store.batch import Changes
from antiphon.store.place import open_for_writing
from antiphon.trace import Author, Key, Label, Status, Usage, Verdict
from tests.store.records import VARIANT, finished, keys, planned, problem, span, turn, writing


def test_the_same_id_with_other_messages_is_refused_and_nothing_of_the_call_stays(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add_problems([replace(problem("p"), source="old.jsonl", line=4)])
        other = Problem("p", ({"role": "user", "content": "?"},), {}, "new.jsonl", 7)
        with pytest.raises(StoreUnfit, match=r"new\.jsonl:7: id 'p'.*other messages \(from old\.jsonl:4\)"):
            store.add_problems([problem("q"), other])
        with pytest.raises(StoreUnfit, match="a problem: id 'p'"):
            store.add_problems([replace(other, source="", line=None)])
    with Reader(tmp_path) as reader:
        assert [one.id for one in reader.problems()] == ["p"]
        with pytest.raises(UsageError, match="no problem 'q'"):
            reader.problem("q")


def test_corrected_metadata_take_the_place_of_the_old(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.add_problems([replace(problem(), metadata={"answer": 1})])
        with Reader(tmp_path) as reader:
            before = reader.change()
            store.add_problems([replace(problem(), metadata={"answer": 1})])
            assert reader.change() == before
            store.add_problems([replace(problem(), metadata={"answer": 2})])
            assert reader.problem("p").metadata == {"answer": 2}
            assert reader.change() > before


def test_the_last_word_of_one_call_on_a_problem_counts(tmp_path: Path) -> None:
    first, second, third = (replace(problem(), metadata={"answer": answer}) for answer in (1, 2, 3))
    with Store.open(tmp_path) as store, Reader(tmp_path) as reader:
        store.add_problems([first, second])
        assert list(reader.problems()) == [second]
        store.add_problems([third, second])
        assert list(reader.problems()) == [second]
        with pytest.raises(StoreUnfit, match="id 'q'"):
            store.add_problems([problem("q"), Problem("q", ({"role": "user", "content": "?"},))])
        assert reader.problem_count() == 1


def test_a_run_is_taken_up_with_few_questions_to_the_database(tmp_path: Path) -> None:
    """A question for each of 100,000 problems and traces would keep the first turn waiting for seconds."""
    asked: list[str] = []

    def counted(work: Callable[[sqlite3.Connection, Changes], None]) -> int:
        asked.clear()
        with closing(open_for_writing(tmp_path)) as connection:
            changes = Changes(connection)
            connection.set_trace_callback(asked.append)
            work(connection, changes)
            assert changes.last == before, "nothing is new"
            return len(asked)

    some = [problem(f"p{number}") for number in range(1000)]
    wanted = keys(*(one.id for one in some), samples=3)
    with Store.open(tmp_path) as store:
        planned(store, wanted)
    with Reader(tmp_path) as reader:
        before = reader.change()
    assert counted(partial(plan.add_problems, some, tmp_path)) <= len(some) / 50
    assert counted(partial(plan.plan, wanted)) <= len(wanted) / 25


def test_metadata_that_json_cannot_hold(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for place, there in (("", "problem 'p'"), ("a.parquet", r"a\.parquet")):
            with pytest.raises(ProblemError, match=f"{there}: its metadata hold what JSON cannot.*set"):
                store.add_problems([Problem("p", (), {"tags": {1}}, place)])


def test_a_variant_is_the_same_or_says_what_differs(tmp_path: Path) -> None:
    shaping = {"budget": {"thinking": 200, "answer": 1}, "seed": None, "models": ["a", "é"]}
    with Store.open(tmp_path) as store:
        store.add_variant(VARIANT, shaping, {"version": "1"})
        store.add_variant(VARIANT, dict(reversed(shaping.items())), {"version": "1"})
        store.add_variant(VARIANT, shaping, {"version": "2"})
        with pytest.raises(VariantChanged) as caught:
            store.add_variant(
                VARIANT, {"budget": {"thinking": 300, "answer": True}, "models": ["a", "b"], "guards": {}}, {}
            )
        assert str(caught.value).splitlines() == [
            "variant 'tessy' was begun with another configuration:",
            "  budget.thinking: 200 -> 300",
            "  budget.answer: 1 -> true",
            "  seed: null -> (none)",
            '  models: ["a","é"] -> ["a","b"]',
            "  guards: (none) -> {}",
            "take that one again, or give this one a name of its own (--variant NAME)",
        ]
        store.add_variant("other", {}, {})
    with Reader(tmp_path) as reader:
        variant, other = reader.variants()
    assert (variant.name, variant.shaping) == (VARIANT, shaping)
    assert variant.fingerprint == columns.fingerprint(shaping)
    assert variant.about == {"version": "2"}
    assert variant.earlier == ({"version": "1"},)
    assert other.name == "other"


def test_a_fingerprint_that_cannot_be_made_harms_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with pytest.raises(TypeError):
            store.add_variant(VARIANT, {"a": object()}, {})
        store.add_variant(VARIANT, {"a": 1}, {})


def test_plan_names_what_is_not_there(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        planned(store, keys("p"))
        with pytest.raises(UsageError, match=r"no variant 'x'.*there are: tessy"):
            store.plan(keys("p", variant="x"))
        with pytest.raises(UsageError, match="no problem 'q'"):
            store.plan(keys("p", "q", samples=2))
        assert store.pending(VARIANT) == keys("p")
        with pytest.raises(UsageError, match="no variant"):
            store.pending("x")
        for refused in (store.saved, store.recorder):
            with pytest.raises(UsageError, match="no trace p/tessy/1"):
                refused(Key("p", VARIANT, 1))


def test_pending_keeps_the_order_of_the_plan(tmp_path: Path) -> None:
    wanted = keys("c", "a", "b", samples=2)
    with Store.open(tmp_path) as store:
        planned(store, wanted)
        planned(store, keys("a", "d"))
        assert store.pending(VARIANT) == [*wanted, *keys("d")]


def test_retry_starts_afresh_and_keeps_the_cost(tmp_path: Path) -> None:
    failed, other, good = keys("p", "q", "r")
    finished(tmp_path, failed, status=Status.FAILED, cause="no")
    finished(tmp_path, other, status=Status.TOO_LONG)
    finished(tmp_path, good)

    async def work(store: Store) -> None:
        store.add_verdicts(failed, [Verdict("v", "1", Label.WRONG)])
        store.set_made_from(failed, [good])
        with Reader(tmp_path) as reader:
            await store.flush()
            before = reader.change()
            assert store.pending(VARIANT) == []
            assert store.pending(VARIANT, retry=[Status.FAILED, Status.REPETITION]) == [failed]
            trace = reader.trace(failed)
            assert trace.change > before
            assert (trace.status, trace.cause, trace.finished, trace.closed_by) == (None, "", None, None)
            assert trace.started is not None
            assert (trace.spans, trace.verdicts, trace.made_from, reader.turns(failed)) == ((), (), (), [])
            saved = store.saved(failed)
            assert (saved.spans, saved.turns) == ((), 0)
            assert saved.usage == {Author.STUDENT: Usage(requests=1, received=5, kept=0, seconds=0.5)}
            recorder = store.recorder(failed)
            recorder.close_span(0, span("anew", forced=True))
            recorder.turn(turn())
            await recorder.finish(Status.COMPLETE)
            assert reader.trace(failed).usage == {Author.STUDENT: Usage(requests=2, received=10, kept=3, seconds=1.0)}
            totals = reader.totals()[Author.STUDENT]
            assert (totals.requests, totals.thrown_away) == (4, 8 + 3)
            assert (totals.turns, totals.spans, totals.forced) == (3, 3, 1)
            assert reader.trace(other).status is Status.TOO_LONG

    writing(tmp_path, work)
