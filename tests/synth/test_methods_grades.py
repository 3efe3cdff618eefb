"""The best of the student's traces, by the teacher's grades."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.engine.scripted import Fault, Request
from antiphon.errors import EngineUnavailable
from antiphon.store import Reader
from antiphon.synth.wording import grade
from antiphon.trace import Key, Status
from tests.synth.writing import TEACHER, Pair, paid, run, written

READ = {
    "Grade: 7": 7,
    "7": 7,
    "**Grade: 8**": 8,
    "grade = 6.5": 6.5,
    "It is right, though long-winded.\n\nGrade: 9/10": 9,
    "The grade is 3.": 3,
    "Grade: 10 out of 10": 10,
    "I gave the last one grade 4.\nGrade: 4": 4,
    "The grade is good.\nGrade: 9": 9,
}
UNREADABLE = (
    "",
    "   \n",
    "It is right and well argued.",
    "Grade: N",
    "Grade: seven",
    "Grade: 0",
    "Grade: 11",
    "Grade: -3",
    "Grade: 7 or 8",
    "Grade: between 6 and 8",
    "Grade: 7, perhaps 8",
    "Grade: 3\nGrade: 9",
    "Grade: 9\nThat grade is final",
    "17",
    "7 8",
    "It has 7 steps.\nNone of them is wrong.",
    "Grade: 7/8",
    "Grade: 1e1",
    "Grade: ７７",
)


@pytest.mark.parametrize("reply", READ)
def test_a_grade_is_read(reply: str) -> None:
    assert grade(reply) == READ[reply]


@pytest.mark.parametrize("reply", UNREADABLE)
def test_where_nobody_can_say_which_grade_was_meant_there_is_none(reply: str) -> None:
    assert grade(reply) is None


def test_the_best_of_the_students_stays(tmp_path: Path) -> None:
    pair = Pair(grades={0: ["Grade: 3"], 1: ["Grade: 9"], 2: ["Grade: 9"]})
    (trace,) = written(tmp_path, "teacher_score", pair, candidates=3)
    assert (trace.answer, trace.status) == ("answer1", Status.COMPLETE)
    candidates = [Key("p0", "teacher_score.student_only", n) for n in range(3)]
    assert trace.made_from == (candidates[1], candidates[0], candidates[2])
    with Reader(tmp_path / "run") as reader:
        assert trace.spans == reader.trace(candidates[1]).spans
        calls = reader.calls(trace.key)
        asked = reader.call_totals("teacher_score")
    assert [(call.role, call.purpose, call.text) for call in calls] == [
        (TEACHER, f"grade {candidate}", f"Grade: {value}")
        for candidate, value in zip(candidates, (3, 9, 9), strict=True)
    ]
    assert all(call.usage.received > 0 for call in calls)
    assert not paid(tmp_path, "teacher_score")
    assert asked == {TEACHER: sum((call.usage for call in calls[1:]), calls[0].usage)}


def test_a_grade_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    pair = Pair(grades={0: ["", "7 or 8", "Grade: 8"], 1: ["Grade: 99", "Grade: 5"]})
    (trace,) = written(tmp_path, "teacher_score", pair, candidates=2)
    assert trace.answer == "answer0"
    with Reader(tmp_path / "run") as reader:
        assert [call.text for call in reader.calls(trace.key)] == ["", "7 or 8", "Grade: 8", "Grade: 99", "Grade: 5"]


def test_a_candidate_without_a_grade_is_passed_over(tmp_path: Path) -> None:
    pair = Pair(grades={0: ["good", "very good", "excellent"], 1: ["Grade: 1"]})
    (trace,) = written(tmp_path, "teacher_score", pair, candidates=2)
    assert trace.answer == "answer1"


def test_without_any_grade_the_trace_fails(tmp_path: Path) -> None:
    pair = Pair(grades={0: ["good"] * 3, 1: ["bad"] * 3})
    (trace,) = written(tmp_path, "teacher_score", pair, candidates=2)
    assert trace.status is Status.FAILED
    assert trace.cause == "no grade could be read in the teacher's replies (candidates: 2)"
    again = Pair(grades={0: ["still good", "Grade: 2"], 1: ["Grade: 1"]})
    (trace,) = written(tmp_path, "teacher_score", again, candidates=2, retry=[Status.FAILED])
    assert (trace.status, trace.answer) == (Status.COMPLETE, "answer0")
    assert set(again.requests) == {"teacher"}


def test_where_no_candidate_is_complete_the_trace_ends_as_the_first(tmp_path: Path) -> None:
    (trace,) = written(tmp_path, "teacher_score", candidates=2, budget__thinking=3)
    assert (trace.status, trace.spans) == (Status.TOO_LONG, ())
    reached = "thinking reached its budget of 3 tokens"
    assert trace.cause == f"none of 2 candidates is complete; the first: {reached}"


def test_candidates_that_are_there_are_graded_and_not_written(tmp_path: Path) -> None:
    written(tmp_path, "student_only", Pair(), samples=4)
    pair = Pair(grades={n: [f"Grade: {n + 1}"] for n in range(4)})
    first, second = written(tmp_path, "teacher_score", pair, samples=2, candidates=2)
    assert set(pair.requests) == {"teacher"}
    assert [first.made_from[0], second.made_from[0]] == [Key("p0", "student_only", 1), Key("p0", "student_only", 3)]


def test_grades_that_were_given_are_not_asked_for_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def faults(role: str, request: Request) -> Fault | None:
        if role == "teacher" and "</think>" in request.situation.text:
            seen.append(request.number)
            return Fault("gone") if len(seen) == 2 else None
        return None

    first = Pair(grades={0: ["Grade: 2"], 1: []}, faults=faults)
    with pytest.raises(EngineUnavailable):
        written(tmp_path, "teacher_score", first, candidates=2, outage=0.01)
    again = Pair(grades={0: [], 1: ["Grade: 4"]})
    (trace,) = written(tmp_path, "teacher_score", again, candidates=2)
    assert trace.answer == "answer1"
    assert set(again.requests) == {"teacher"}


def test_what_its_parts_and_grades_cost_counts_towards_limits(tmp_path: Path) -> None:
    pair = Pair(grades={0: ["Grade: 2"], 1: ["Grade: 3"]})
    whole = run(tmp_path, "teacher_score", pair, candidates=2)
    list(whole)
    assert whole.tally.spend is not None
    again = run(tmp_path, "teacher_score", Pair(), candidates=2)
    list(again)
    assert again.tally.spend is not None
    assert again.tally.spend.tokens == whole.tally.spend.tokens == sum(u.received for u in whole.tally.usage.values())
