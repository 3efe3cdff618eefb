"""Traces that are made of others: what is taken, what is asked for, and what is refused before anything is spent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bench.pair import settings

from antiphon.engine.base import Reply
from antiphon.engine.scripted import Fault
from antiphon.errors import AntiphonError, EngineUnavailable, ProblemError, SettingsError, UsageError, VariantChanged
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.synth.methods import METHODS
from antiphon.synth.run import Run
from antiphon.synth.wording import hashed
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status
from tests.synth.test_reply import says
from tests.synth.writing import STUDENT, TEACHER, Pair, by, paid, problem, run, variants, written

# -- taking what is there

THINKERS = {"teacher_think": (TEACHER, "teacher_only"), "teacher_answer": (STUDENT, "student_only")}


@pytest.mark.parametrize("method", THINKERS)
def test_a_thinking_that_is_there_is_taken_and_paid_once(tmp_path: Path, method: str) -> None:
    thinker, alone = THINKERS[method]
    (source,) = written(tmp_path, alone)
    pair = Pair()
    (trace,) = written(tmp_path, method, pair)
    assert trace.thinking == source.thinking
    assert [span.ids for span in trace.spans if span.kind is Kind.THINKING] == [source.spans[1].ids]
    assert by(trace) == [(thinker, Kind.THINKING), (thinker.other, Kind.ANSWER)]
    assert (trace.status, trace.closed_by, trace.made_from) == (Status.COMPLETE, thinker, (source.key,))
    assert pair.requests == {thinker.other: 1}
    assert set(paid(tmp_path, method)) == {thinker.other}


@pytest.mark.parametrize("method", THINKERS)
def test_a_thinking_that_is_not_there_is_written(tmp_path: Path, method: str) -> None:
    thinker, _ = THINKERS[method]
    (trace,) = written(tmp_path, method)
    assert by(trace) == [(thinker, Kind.THINKING), (thinker.other, Kind.ANSWER)]
    assert (trace.closed_by, trace.made_from) == (thinker, ())
    assert set(paid(tmp_path, method)) == {STUDENT, TEACHER}


@pytest.mark.parametrize(
    "flags",
    [{"teacher__sampling__temperature": 0.1}, {"budget__thinking": 99}, {"seed": 4}, {"guards__repetition": True}],
)
def test_what_was_written_by_other_settings_is_not_taken(tmp_path: Path, flags: dict[str, Any]) -> None:
    written(tmp_path, "teacher_only", **flags)
    (trace,) = written(tmp_path, "teacher_think")
    assert trace.made_from == ()


def test_what_a_teacher_wrote_without_a_student_is_taken(tmp_path: Path) -> None:
    (source,) = written(tmp_path, "teacher_only", student__model=None)
    (trace,) = written(tmp_path, "teacher_think")
    assert trace.made_from == (source.key,)


def test_a_thinking_that_did_not_end_ends_as_it_did(tmp_path: Path) -> None:
    (source,) = written(tmp_path, "teacher_only", budget__thinking=3)
    pair = Pair()
    (trace,) = written(tmp_path, "teacher_think", pair, budget__thinking=3)
    assert (source.status, source.closed_by) == (Status.TOO_LONG, None)
    assert (trace.status, trace.cause, trace.thinking) == (source.status, source.cause, source.thinking)
    assert not pair.requests


def test_what_failed_is_written_again(tmp_path: Path) -> None:
    written(tmp_path, "teacher_only", Pair(faults=lambda role, request: Fault("refuse")))
    (trace,) = written(tmp_path, "teacher_think")
    assert (trace.status, trace.made_from) == (Status.COMPLETE, ())


def test_an_interrupted_trace_goes_on_from_what_it_was_made_of(tmp_path: Path) -> None:
    (source,) = written(tmp_path, "teacher_only")
    gone = Pair(faults=lambda role, request: Fault("gone"))
    with pytest.raises(EngineUnavailable):
        written(tmp_path, "teacher_think", gone, outage=0.01)
    with Reader(tmp_path / "run") as reader:
        begun = reader.trace(Key("p0", "teacher_think", 0))
    assert (begun.status, begun.thinking, begun.made_from) == (None, source.thinking, (source.key,))
    pair = Pair()
    (trace,) = written(tmp_path, "teacher_think", pair)
    assert (trace.status, trace.closed_by, trace.thinking) == (Status.COMPLETE, TEACHER, source.thinking)
    assert pair.requests == {"student": 1}


def test_a_thinking_begun_by_itself_is_not_mixed_with_one_that_came_later(tmp_path: Path) -> None:
    gone = Pair(faults=lambda role, request: Fault("gone", after=2) if role == "teacher" else None)
    with pytest.raises(EngineUnavailable):
        written(tmp_path, "teacher_think", gone, outage=0.01)
    written(tmp_path, "teacher_only")
    (trace,) = written(tmp_path, "teacher_think")
    assert trace.made_from == ()
    assert trace.thinking == " calculate 3 4 Hence"


def test_a_teacher_that_gives_whole_replies_can_think_for_a_student(tmp_path: Path) -> None:
    (trace,) = written(tmp_path, "teacher_think", Pair(chat=["teacher"]))
    assert (trace.thinking, trace.answer) == ("Chat thinks.", "answer0")
    assert trace.made_from == (Key("p0", "teacher_think.teacher_only", 0),)
    assert set(paid(tmp_path, "teacher_think")) == {STUDENT}


# -- mixes


def test_a_mix_is_one_half_of_each_of_different_problems(tmp_path: Path) -> None:
    traces = written(tmp_path, "teacher_mix", Pair(), 6, samples=2)
    authors = {trace.key.problem: {author for author, _ in by(trace)} for trace in traces}
    assert [authors[f"p{n}"] for n in range(6)] == [{TEACHER}, {STUDENT}] * 3
    assert len(traces) == 12
    more = written(tmp_path, "teacher_mix", Pair(), [problem(7), problem(0), problem(6)], samples=1)
    assert [by(trace)[0][0] for trace in more] == [TEACHER, STUDENT, TEACHER]  # p0 was there, p7 came before p6


def test_a_mix_of_what_is_there_costs_nothing(tmp_path: Path) -> None:
    whole = {
        trace.key.problem: trace
        for method, some in (("teacher_only", [problem(0)]), ("student_only", [problem(1)]))
        for trace in written(tmp_path, method, Pair(), some)
    }
    pair = Pair()
    for trace in written(tmp_path, "teacher_mix", pair, 2):
        source = whole[trace.key.problem]
        assert (trace.spans, trace.closed_by, trace.made_from) == (source.spans, source.closed_by, (source.key,))
    assert not pair.requests
    assert not paid(tmp_path, "teacher_mix")


# -- references


def test_the_student_is_shown_the_whole_response_of_the_teacher(tmp_path: Path) -> None:
    pair = Pair()
    (trace,) = written(tmp_path, "teacher_reference", pair)
    assert by(trace) == [(STUDENT, Kind.THINKING), (STUDENT, Kind.ANSWER)]
    (reference,) = trace.made_from
    assert reference == Key("p0", "teacher_reference.teacher_only", 0)
    assert "calculate 3 4 Hence\n\nanswer100" in pair.prompts[-1]
    assert "Question 0" in pair.prompts[-1]
    with Reader(tmp_path / "run") as reader:
        assert reader.problem("p0").messages == problem(0).messages
    assert set(paid(tmp_path, "teacher_reference")) == {STUDENT}
    assert set(paid(tmp_path, reference.variant)) == {TEACHER}


def test_a_reference_that_is_there_is_taken(tmp_path: Path) -> None:
    (source,) = written(tmp_path, "teacher_only")
    pair = Pair()
    (trace,) = written(tmp_path, "teacher_reference", pair)
    assert trace.made_from == (source.key,)
    assert set(pair.requests) == {"student"}
    assert variants(tmp_path) == ["teacher_only", "teacher_reference"]


def test_without_a_teacher_the_problems_own_reference_is_shown(tmp_path: Path) -> None:
    pair = Pair()
    asked = [problem(0, reference="It is {response} 42.")]
    (trace,) = written(tmp_path, "teacher_reference", pair, asked, teacher__model=None)
    assert "It is {response} 42." in pair.prompts[-1]
    assert (trace.status, trace.made_from) == (Status.COMPLETE, ())


def test_a_reference_that_did_not_end_ends_the_trace(tmp_path: Path) -> None:
    pair = Pair()
    written(tmp_path, "teacher_only", pair, budget__thinking=3)
    (trace,) = written(tmp_path, "teacher_reference", pair, budget__thinking=3)
    assert trace.status is Status.TOO_LONG
    assert trace.cause == "the response to be shown: thinking reached its budget of 3 tokens"
    assert not trace.spans


def test_a_reference_that_failed_is_written_again_with_its_trace(tmp_path: Path) -> None:
    failing = Pair(faults=lambda role, request: Fault("refuse") if role == "teacher" else None)
    (trace,) = written(tmp_path, "teacher_reference", failing)
    assert (trace.status, trace.cause) == (Status.FAILED, "the response to be shown: teacher refused the request")
    (trace,) = written(tmp_path, "teacher_reference", Pair(), retry=[Status.FAILED])
    assert trace.status is Status.COMPLETE


# -- like others


@pytest.mark.parametrize("method", ["random_boundaries", "fixed_boundaries"])
def test_spans_are_as_long_as_those_of_another_variant(tmp_path: Path, method: str) -> None:
    written(tmp_path, "tessy", Pair(), 4)
    (first, *_) = written(tmp_path, method, Pair(), 4, like="tessy")
    assert {kind for _, kind in by(first)} == {Kind.THINKING, Kind.ANSWER}
    with Reader(tmp_path / "run") as reader:
        like, mine = (variant.fingerprint for variant in reader.variants())
        (_, own) = reader.variants()
    assert own.shaping["like"]["fingerprint"] == like != mine
    written(tmp_path, "tessy", Pair(), 6)
    with pytest.raises(VariantChanged, match=r"like\.lengths"):
        written(tmp_path, method, Pair(), 4, like="tessy")


def test_their_lengths_are_drawn_or_always_alike(tmp_path: Path) -> None:
    written(tmp_path, "tessy", Pair(), 4)
    for method, how in (("random_boundaries", "random"), ("fixed_boundaries", "fixed")):
        task = run(tmp_path, method, Pair(), 4, like="tessy")
        asyncio.run(task.work())
        assert task.cast is not None
        assert {predictor.id.partition(":")[0] for predictor in task.cast.predictors} == {how}


def test_a_wording_is_in_the_fingerprint_by_the_head_of_its_digest() -> None:
    assert hashed("a") == "ca978112ca1bbdca"


def test_what_is_told_of_a_variant(tmp_path: Path) -> None:
    task = run(tmp_path, "tessy", Pair(), budget__thinking=50, budget__answer=9, teacher__price_out=2.0)
    asyncio.run(task.work())
    assert task.cast is not None
    about, shaping = task.cast.about, task.cast.shaping
    assert {role: about[role]["model"] for role in ("student", "teacher")} == {
        "student": "student",
        "teacher": "teacher",
    }
    assert {"context", "ids", "counts_tokens"} <= about["teacher"].keys()
    assert about["teacher"]["prices"]["written"] == 2.0 and "prices" not in about["student"]
    assert shaping["method"] == {"name": "tessy", "revision": METHODS["tessy"].revision}
    assert (shaping["budget"]["thinking"], shaping["budget"]["answer"]) == (50, 9)
    assert shaping["student"].keys() >= {"dialect", "engine", "boundary"}
    assert "boundary" not in shaping


# -- revoiced


def imported(directory: Path, text: str = " So 1 2 But 3", status: Status = Status.COMPLETE, sample: int = 0) -> None:
    """A variant as `antiphon import` makes it."""

    async def record(store: Store) -> None:
        key = Key("p0", "imported", sample)
        store.plan([key])
        recorder = store.recorder(key)
        recorder.begin()
        spans = (
            Span(Author.UNKNOWN, Kind.MARKER, "<think>\n", end=SpanEnd.SEAM),
            Span(Author.UNKNOWN, Kind.THINKING, text, end=SpanEnd.THINK_CLOSE),
            Span(Author.UNKNOWN, Kind.MARKER, "\n</think>\n\n", end=SpanEnd.SEAM),
            Span(Author.UNKNOWN, Kind.ANSWER, "Six.", end=SpanEnd.END_OF_TURN),
        )
        for index, span in enumerate(spans):
            recorder.close_span(index, span)
        await recorder.finish(status, closed_by=Author.UNKNOWN)

    with Store.open(directory / "run") as store:
        store.add_problems([problem(0), problem(1)])
        store.add_variant("imported", {"method": "import"}, {})
        asyncio.run(record(store))


def test_imported_traces_are_revoiced_without_a_teacher(tmp_path: Path) -> None:
    imported(tmp_path)
    remarks: list[str] = []
    pair = Pair()
    task = run(tmp_path, "revoice", pair, 2, source="imported", teacher__model=None)
    asyncio.run(task.work(on_remark=remarks.append))
    assert remarks == ["1 of 2 traces not written: the variant imported has none that is complete"]
    with Reader(tmp_path / "run") as reader:
        trace = reader.trace(Key("p0", "revoice", 0))
    assert [(span.author, span.text) for span in trace.spans] == [
        (Author.NONE, "<think>\n"),
        (STUDENT, " Student"),
        (Author.UNKNOWN, " 1 2"),
        (STUDENT, " Student"),
        (Author.UNKNOWN, " 3"),
        (Author.NONE, "\n</think>\n\n"),
        (STUDENT, "answer0"),
    ]
    assert (trace.status, trace.closed_by) == (Status.COMPLETE, Author.UNKNOWN)
    assert trace.made_from == (Key("p0", "imported", 0),)
    assert set(pair.requests) == {"student"}


def test_a_teachers_traces_are_revoiced(tmp_path: Path) -> None:
    written(tmp_path, "teacher_only")
    (trace,) = written(tmp_path, "revoice", source="teacher_only")
    assert by(trace)[0] == (TEACHER, Kind.CAPABILITY)
    assert trace.closed_by is TEACHER


def test_traces_of_two_authors_are_not_revoiced(tmp_path: Path) -> None:
    written(tmp_path, "tessy")
    (trace,) = written(tmp_path, "revoice", source="tessy")
    assert (trace.status, trace.cause) == (Status.FAILED, "p0/tessy/0 has no thinking of one author alone")


# -- what is missing is said before anything is loaded


def nothing(reference: str, **_: object) -> Any:
    raise AssertionError("nothing is to be loaded")


@pytest.mark.parametrize(
    ("method", "flags", "error", "says"),
    [
        ("random_boundaries", {}, SettingsError, "give --like VARIANT"),
        ("fixed_boundaries", {"like": "none"}, UsageError, "there is no variant 'none'"),
        ("fixed_boundaries", {"like": "fixed_boundaries"}, SettingsError, "that is this variant itself"),
        ("random_boundaries", {"like": "pending"}, SettingsError, "1 of its traces are not finished"),
        ("random_boundaries", {"like": "imported"}, SettingsError, "no complete trace in which student and teacher"),
        ("revoice", {}, SettingsError, "give --from VARIANT"),
        ("revoice", {"source": "cut"}, SettingsError, "it has no complete trace"),
        ("revoice", {"source": "imported", "until_right": 1}, SettingsError, "does not go with until_right"),
        ("teacher_reference", {"teacher.model": None}, ProblemError, "problem 'p0': it has no field reference"),
    ],
)
def test_what_a_method_lacks_is_said_first(
    tmp_path: Path, method: str, flags: dict[str, Any], error: type[AntiphonError], says: str
) -> None:
    imported(tmp_path)
    with Store.open(tmp_path / "run") as store:
        for name in ("pending", "cut"):
            store.add_variant(name, {"method": "import"}, {})
        store.plan([Key("p0", "pending", 0)])
    task = Run([problem(0)], tmp_path / "run", settings(method=method, **flags), open_engine=nothing, check=unasked)
    with pytest.raises(error) as raised:
        list(task)
    assert says in str(raised.value)
    assert raised.value.exit_code == 2


async def unasked(problem: Problem, answer: str) -> Any:
    raise AssertionError("nothing is to be judged")


@pytest.mark.parametrize("method", ["random_boundaries", "revoice"])
def test_where_there_is_no_run_yet_that_is_said(tmp_path: Path, method: str) -> None:
    task = Run(
        [problem(0)],
        tmp_path / "run",
        settings(method=method, like="tessy", source="tessy"),
        open_engine=nothing,
    )
    with pytest.raises(AntiphonError) as raised:
        list(task)
    assert raised.value.exit_code == 2
    assert f"the method {method}" in str(raised.value)
    assert not (tmp_path / "run").exists()


BY_CHAT = ("student_only", "teacher_only", "teacher_mix", "teacher_reference", "teacher_score")


def test_what_goes_on_from_the_middle_of_a_reply() -> None:
    assert tuple(name for name, method in METHODS.items() if not method.continuing) == BY_CHAT
    assert METHODS["teacher_think"].continuing == METHODS["revoice"].continuing == (STUDENT,)


@pytest.mark.parametrize("method", BY_CHAT[:-1])
def test_models_that_give_whole_replies_write_what_needs_no_more(tmp_path: Path, method: str) -> None:
    traces = written(tmp_path, method, Pair(chat=["teacher", "student"]), 2)
    assert {trace.status for trace in traces} == {Status.COMPLETE}


def test_a_teacher_by_chat_grades(tmp_path: Path) -> None:
    class Grading(Pair):
        def _reply(self, role: str) -> Reply:
            return says("Grade: 4", "") if role == "teacher" else super()._reply(role)

    (trace,) = written(tmp_path, "teacher_score", Grading(chat=["teacher", "student"]), candidates=2)
    assert (trace.status, trace.thinking, trace.answer) == (Status.COMPLETE, "Chat thinks.", "answer0")


def test_a_copy_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    (source,) = written(tmp_path, "teacher_only")
    gone = Pair(faults=lambda role, request: Fault("gone"))
    with pytest.raises(EngineUnavailable):  # the variant is there, its second trace pending
        written(tmp_path, "teacher_mix", gone, 2, outage=0.01)
    key = Key("p1", "teacher_mix", 0)
    with Store.open(tmp_path / "run") as store:
        recorder = store.recorder(key)
        recorder.begin()
        store.set_made_from(key, [source.key])
        for index, span in enumerate(source.spans):
            recorder.close_span(index, span)
    pair = Pair()
    traces = written(tmp_path, "teacher_mix", pair, 2)
    assert [trace.response for trace in traces] == [source.response] * 2
    assert not pair.requests
    assert all(trace.started is not None and trace.finished is not None for trace in traces)
