"""Every answer of a run is judged once, whatever comes between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import ProblemError, StoreBusy, StoreUnfit, UsageError
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Key, Label, Status, Verdict
from antiphon.verify.judge import Judged, Judges, judge
from tests.verify.scripted import Broken, ScriptedVerifier, SelfTested, answered, asked, label_counts


def judged(directory: Path, *verifiers: ScriptedVerifier, **how: Any) -> Judged:
    return asyncio.run(judge(directory, verifiers, **how))


def labels(directory: Path) -> dict[str, list[Label]]:
    """The labels of every trace's verdicts."""
    with Reader(directory) as reader:
        return {str(trace.key): [verdict.label for verdict in trace.verdicts] for trace in reader.traces()}


def test_answers_are_judged_once_and_nothing_but_answers(tmp_path: Path) -> None:
    """The thinking says "right" each time; the verifier never sees it."""
    answered(tmp_path, [asked("a", answer="1"), asked("b", answer="2")], {"a": ["1", "2"], "b": ["2"]})
    verifier = ScriptedVerifier()
    told: list[tuple[Key, Verdict]] = []
    done = judged(tmp_path, verifier, jobs=2, on_verdict=lambda *verdict: told.append(verdict))
    assert sorted(verifier.asked) == [("a", "1"), ("a", "2"), ("b", "2")]
    assert done.labels == {"tessy": {Label.RIGHT: 2, Label.WRONG: 1}}
    assert (done.given, done.before, done.unsuited, done.cannot_judge) == (3, 0, 0, 0)
    with Reader(tmp_path) as reader:
        assert {trace.key: trace.verdicts for trace in reader.traces()} == {key: (one,) for key, one in told}
        assert label_counts(reader) == {Label.RIGHT: 2, Label.WRONG: 1}
    known: list[tuple[Key, Verdict]] = []
    again = judged(tmp_path, verifier, on_known=lambda *verdict: known.append(verdict))
    assert (again.given, again.before) == (0, 3)
    assert sorted(known) == sorted(told)
    assert len(verifier.asked) == 3


def test_a_new_version_judges_anew_and_keeps_the_old_verdicts(tmp_path: Path) -> None:
    (key,) = answered(tmp_path, [asked(answer="1")], {"p": ["1"]})
    judged(tmp_path, ScriptedVerifier())
    newer = ScriptedVerifier(version="2")
    assert judged(tmp_path, newer).given == 1
    assert judged(tmp_path, newer).given == 0
    with Reader(tmp_path) as reader:
        assert [verdict.version for verdict in reader.trace(key).verdicts] == ["1", "2"]


def test_again_puts_the_new_verdict_in_the_old_ones_place(tmp_path: Path) -> None:
    (key,) = answered(tmp_path, [asked(answer="1")], {"p": ["1"]})
    judged(tmp_path, ScriptedVerifier())
    verifier = ScriptedVerifier()
    verifier.label = lambda problem, answer: Label.CRASHED  # type: ignore[method-assign]
    assert judged(tmp_path, verifier, again=True).labels == {"tessy": {Label.CRASHED: 1}}
    with Reader(tmp_path) as reader:
        assert [verdict.label for verdict in reader.trace(key).verdicts] == [Label.CRASHED]
        assert label_counts(reader, "tessy") == {Label.CRASHED: 1}


def test_what_could_not_be_judged_is_tried_again(tmp_path: Path) -> None:
    answered(tmp_path, [asked(answer="1")], {"p": ["cannot_judge", "wrong"]})
    verifier = ScriptedVerifier()
    done = judged(tmp_path, verifier)
    assert (done.cannot_judge, done.reasons) == (1, ("it said cannot_judge",))
    assert judged(tmp_path, verifier).given == 1
    assert [answer for _, answer in verifier.asked] == ["cannot_judge", "wrong", "cannot_judge"]


def test_only_answers_of_whole_traces_are_judged_unless_asked(tmp_path: Path) -> None:
    ends = [*Status, None]
    answered(
        tmp_path, [asked(answer="1")], {"p": [f"{n}" for n in range(len(ends))]}, status=lambda key: ends[key.sample]
    )
    verifier = ScriptedVerifier()
    assert judged(tmp_path, verifier).given == 1
    assert verifier.asked == [("p", "0")]
    assert judged(tmp_path, verifier, statuses=[Status.TOO_LONG]).given == 1
    assert verifier.asked[1:] == [("p", str(ends.index(Status.TOO_LONG)))]


def test_one_variant_and_a_limit(tmp_path: Path) -> None:
    problems = [asked("a", answer="1"), asked("b", answer="1")]
    answered(tmp_path, problems, {"a": ["1"], "b": ["1", "2"]})
    answered(tmp_path, problems, {"a": ["3"], "b": ["1"]}, variant="teacher_only")
    assert judged(tmp_path, ScriptedVerifier(), variant="teacher_only").labels == {
        "teacher_only": {Label.WRONG: 1, Label.RIGHT: 1}
    }
    assert judged(tmp_path, ScriptedVerifier(), limit=2).given == 2
    assert judged(tmp_path, ScriptedVerifier(), limit=2).given == 1
    with pytest.raises(UsageError, match="no variant 'x'"):
        judged(tmp_path, ScriptedVerifier(), variant="x")


def test_the_first_verifier_that_suits_judges(tmp_path: Path) -> None:
    problems = [asked("a", number="1"), asked("b", answer="2"), asked("c", poem="?"), asked("d", number="1", answer="")]
    answered(tmp_path, problems, {id: ["1"] for id in "abcd"})
    done = judged(tmp_path, ScriptedVerifier("numbers", field="number"), ScriptedVerifier("answers"))
    with Reader(tmp_path) as reader:
        assert {t.key.problem: [v.verifier for v in t.verdicts] for t in reader.traces()} == {
            "a": ["numbers"],
            "b": ["answers"],
            "c": [],
            "d": ["numbers"],
        }
    assert (done.unsuited, done.cannot_judge) == (1, 1)
    assert done.reasons == ("problems.jsonl:7: no verifier suits it; its fields are: poem",)


def test_one_reason_of_many_answers_is_said_once_with_their_number(tmp_path: Path) -> None:
    problems = [replace(asked(id, poem="?", answer=""), line=line) for line, id in enumerate("abc", 1)]
    answered(tmp_path, problems, {"a": ["1"], "b": ["1", "2"], "c": ["1"]})
    alike = "problems.jsonl:1: no verifier suits it; its fields are: poem, answer"
    assert judged(tmp_path, ScriptedVerifier("numbers", field="number")).reasons == (f"{alike} (3 more alike)",)
    assert judged(tmp_path, Unable(), jobs=2).reasons == ("problems.jsonl:1: no tool (3 more alike)",)
    with pytest.raises(ProblemError) as raised:
        Judges([ScriptedVerifier("numbers", field="number")]).require(problems)
    assert str(raised.value) == f"{alike} (2 more alike)"


class Unable(ScriptedVerifier):
    async def check(self, problem: Problem, answer: str) -> Verdict:
        return Verdict(self.name, self.version, Label.CANNOT_JUDGE, f"{problem.place}: no tool", 0.0)


def test_no_more_than_jobs_at_once(tmp_path: Path) -> None:
    answered(tmp_path, [asked(answer="1")], {"p": ["1"] * 9})
    verifier = ScriptedVerifier()
    judged(tmp_path, verifier, jobs=3)
    assert verifier.most == 3


@pytest.mark.parametrize(
    ("canonical", "reason"),
    [
        ("2", "problems.jsonl:7: its check calls its own answer wrong: it said 2"),
        ("timed_out", "problems.jsonl:7: its check calls its own answer timed_out: it said timed_out"),
        ("cannot_judge", "it said cannot_judge"),
    ],
)
def test_a_check_that_refuses_its_own_answer_judges_nobody(tmp_path: Path, canonical: str, reason: str) -> None:
    problems = [
        asked("a", answer="1", canonical=canonical),
        asked("b", answer="1", canonical="1"),
        asked("c", answer="1"),
    ]
    answered(tmp_path, problems, {id: ["1", "3"] for id in "abc"})
    verifier = SelfTested()
    done = judged(tmp_path, verifier, jobs=4)
    assert done.labels == {"tessy": {Label.CANNOT_JUDGE: 2, Label.RIGHT: 2, Label.WRONG: 2}}
    assert done.reasons == (f"{reason} (1 more alike)",), "of both answers to the first"
    assert sorted(verifier.asked) == sorted(
        [("a", canonical), ("b", "1"), ("b", "1"), ("b", "3"), ("c", "1"), ("c", "3")]
    ), "each own answer once"


def test_a_verifier_that_breaks_costs_that_verdict_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answered(tmp_path, [asked(answer="1")], {"p": ["1", "2", "1"]})
    done = judged(tmp_path, Broken())
    assert done.labels == {"tessy": {Label.RIGHT: 2, Label.CANNOT_JUDGE: 1}}
    assert done.reasons == ("problems.jsonl:7: unexpected KeyError: '2'",)
    assert "the verifier scripted failed" in caplog.text


def test_what_is_missing_on_the_machine_ends_it_with_what_was_judged_kept(tmp_path: Path) -> None:
    class Unequipped(ScriptedVerifier):
        def label(self, problem: Problem, answer: str) -> Label:
            if answer == "2":
                raise UsageError("there is no compiler")
            return super().label(problem, answer)

    answered(tmp_path, [asked(answer="1")], {"p": ["1", "2", "1"]})
    with pytest.raises(UsageError, match="no compiler"):
        judged(tmp_path, Unequipped())
    assert labels(tmp_path) == {"p/tessy/0": [Label.RIGHT], "p/tessy/1": [], "p/tessy/2": []}


def test_it_can_be_stopped_though_the_verifier_never_waits(tmp_path: Path) -> None:
    class Busy(ScriptedVerifier):
        async def check(self, problem: Problem, answer: str) -> Verdict:
            return Verdict(self.name, self.version, Label.RIGHT)

    keys = answered(tmp_path, [asked(answer="1")], {"p": ["1"] * 50})

    async def stopped() -> int:
        given: list[Key] = []
        some = asyncio.Event()

        def told(key: Key, verdict: Verdict) -> None:
            given.append(key)
            some.set()

        work = asyncio.create_task(judge(tmp_path, [Busy()], on_verdict=told))
        await some.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return len(given)

    given = asyncio.run(stopped())
    assert given < len(keys)
    with Reader(tmp_path) as reader:
        assert label_counts(reader) == {Label.RIGHT: given}, "what was given is kept"


def test_a_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    answered(tmp_path, [asked(answer="1")], {"p": ["1"]})
    with Store.open(tmp_path), pytest.raises(StoreBusy, match="is being written by process"):
        judged(tmp_path, ScriptedVerifier())
    with pytest.raises(StoreUnfit, match="is not a run directory"):
        judged(tmp_path / "none", ScriptedVerifier())
    assert not (tmp_path / "none").exists()


def test_problems_that_nobody_can_judge_are_named() -> None:
    judges = Judges([ScriptedVerifier()])
    judges.require([asked(answer="1")])
    with pytest.raises(ProblemError) as raised:
        judges.require([asked(answer="1"), asked("q"), asked("r", poem="?")])
    assert str(raised.value) == (
        "problems.jsonl:7: no verifier suits it; its fields are: none\n"
        "problems.jsonl:7: no verifier suits it; its fields are: poem"
    )
