"""What an evaluation says of its samples, counted once more by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.errors import StoreUnfit, UsageError
from antiphon.evaluation.report import compare, report
from antiphon.statistics import mean_interval
from antiphon.store import Store
from antiphon.trace import Key, Label, Status, Verdict
from antiphon.verify.result import Result
from tests.evaluation.evaluations import VARIANT, evaluated, problem, read

EVERYTHING = {
    "a": ["right", "right", "wrong", "too_long"],
    "b": ["wrong", "no_answer", "repetition", "context_full"],
    "c": ["right", "cannot_judge", "timed_out", "crashed"],
    "d": ["failed", "pending", "unjudged", "cannot_judge"],
}


def test_every_sample_is_counted_once_as_what_it_came_to(tmp_path: Path) -> None:
    found = report(read(evaluated(tmp_path, EVERYTHING)))
    assert found.whole.results == {
        Result.RIGHT: 3,
        Result.WRONG: 2,
        Result.NO_ANSWER: 1,
        Result.CUT_OFF: 3,
        Result.TIMED_OUT: 1,
        Result.CRASHED: 1,
        Result.CANNOT_JUDGE: 2,
        Result.NOT_JUDGED: 1,
        Result.FAILED: 1,
        Result.PENDING: 1,
    }
    assert sum(found.whole.results.values()) == 16
    assert (found.whole.problems, found.whole.samples) == (3, 11)
    assert found.cut_off == {Status.TOO_LONG: 1, Status.REPETITION: 1, Status.CONTEXT_FULL: 1}
    assert found.cannot_judge == {"it is cannot_judge": 2} and found.failed == {"it broke": 1}
    assert found.uncounted == ["d"]


def test_rates_are_means_over_problems_of_what_counts(tmp_path: Path) -> None:
    one, two, four = report(read(evaluated(tmp_path, EVERYTHING))).whole.rates
    assert (one.k, two.k, four.k) == (1, 2, 4)
    assert one.value == pytest.approx((2 / 4 + 0 / 4 + 1 / 3) / 3) and one.problems == 3
    assert two.value == pytest.approx((5 / 6 + 0 + 2 / 3) / 3) and two.problems == 3
    assert four.value == pytest.approx((1 + 0) / 2) and four.problems == 2, "c has three that count"
    assert one.interval == mean_interval([2 / 4, 0.0, 1 / 3])


def test_k_may_be_chosen(tmp_path: Path) -> None:
    evaluation = read(evaluated(tmp_path, {"a": ["right", "wrong", "wrong"]}))
    assert [rate.k for rate in report(evaluation).whole.rates] == [1, 2]
    assert [rate.k for rate in report(evaluation, ks=[3, 9]).whole.rates] == [3]


LEVELS = {"a": {"level": 10}, "b": {"level": 9}, "c": {"level": "hard"}, "d": {"level": "easy"}, "e": {"topic": "x"}}


def test_problems_are_parted_by_their_difficulty_in_its_order(tmp_path: Path) -> None:
    results = {id: ["right", "wrong"] if id in "ad" else ["wrong", "wrong"] for id in "abcde"}
    evaluation = read(evaluated(tmp_path, results, fields=LEVELS))
    found = report(evaluation)
    assert found.by == "level"
    assert [(group.name, group.rates[0].value) for group in found.groups] == [
        ("easy", 0.5),
        ("hard", 0.0),
        ("9", 0.0),
        ("10", 0.5),
        ("(none)", 0.0),
    ]
    assert [group.name for group in report(evaluation, by="topic").groups] == ["x", "(none)"]
    with pytest.raises(UsageError, match="--by subject: no problem has that field; there are: level, topic"):
        report(evaluation, by="subject")


def test_without_a_difficulty_there_are_no_parts(tmp_path: Path) -> None:
    found = report(read(evaluated(tmp_path, {"a": ["right"]})))
    assert found.by is None and not found.groups


def test_lengths_are_of_the_samples_that_count(tmp_path: Path) -> None:
    results = {"a": ["right", "too_long", "wrong"], "b": ["failed", "right", "right"]}
    found = report(read(evaluated(tmp_path, results, lengths=[10, 20, 30, 1000, 40, 50])))
    assert found.thinking is not None and found.answer is not None
    assert (found.thinking.median, found.thinking.mean, found.thinking.p90) == (30, 30, 46)
    assert found.answer.median == len("so it is 1") // 2
    assert found.exact


def test_lengths_without_ids_are_estimates(tmp_path: Path) -> None:
    found = report(read(evaluated(tmp_path, {"a": ["right"]}, lengths=[20], ids=False)))
    assert not found.exact
    assert found.thinking is not None and found.thinking.mean == 10, "four characters a token"


def test_nothing_that_counts_has_no_figures(tmp_path: Path) -> None:
    found = report(read(evaluated(tmp_path, {"a": ["failed", "pending"]})))
    assert not found.whole.rates and found.thinking is None and found.uncounted == ["a"]


def test_the_newest_verdict_counts(tmp_path: Path) -> None:
    evaluated(tmp_path, {"a": ["wrong"]})
    with Store.open(tmp_path) as store:
        store.add_verdicts(Key("a", VARIANT, 0), [Verdict("exact", "2", Label.RIGHT)])
    assert report(read(tmp_path)).whole.results == {Result.RIGHT: 1}


def test_only_some_traces(tmp_path: Path) -> None:
    evaluated(tmp_path, {"a": ["right", "wrong"], "b": ["right", "right"]})
    evaluation = read(tmp_path, keys=[Key("a", VARIANT, 0), Key("a", VARIANT, 1)])
    assert list(evaluation.problems) == ["a"] and len(evaluation.samples) == 2
    assert evaluation.model == "lab:student"


def test_a_variant_is_named_where_there_are_several(tmp_path: Path) -> None:
    evaluated(tmp_path, {"a": ["right"]})
    evaluated(tmp_path, {"a": ["wrong"]}, variant="hot")
    with pytest.raises(UsageError, match=r"holds the variants student_only, hot; name one, as in .*/NAME"):
        read(tmp_path)
    assert read(tmp_path / "hot").name == f"{tmp_path}/hot"
    assert report(read(tmp_path, variant=VARIANT)).whole.results == {Result.RIGHT: 1}
    with pytest.raises(UsageError, match="has no variant 'cold'; it holds the variants student_only, hot"):
        read(tmp_path / "cold")
    with pytest.raises(StoreUnfit, match="is not a run directory"):
        read(tmp_path / "far" / "away")


# -- two evaluations


def test_a_comparison_is_of_the_problems_that_both_have(tmp_path: Path) -> None:
    before = {"a": ["right", "wrong"], "b": ["wrong", "wrong"], "c": ["right", "right"], "e": ["right"]}
    after = {"b": ["right", "wrong"], "c": ["right", "right"], "d": ["wrong"], "a": ["right"], "e": ["cannot_judge"]}
    fields = {"a": {"level": 1}, "b": {"level": 2}, "c": {"level": 2}}
    first = read(evaluated(tmp_path / "before", before, fields=fields))
    found = compare(first, read(evaluated(tmp_path / "after", after, fields=fields)))
    one, two = found.whole
    assert (one.k, one.problems, one.first, one.second) == (1, 3, 0.5, pytest.approx(2.5 / 3))
    assert one.difference.mean == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert (two.k, two.problems) == (2, 2), "a has one sample afterwards"
    assert [(part.name, part.k, part.problems, part.difference.mean) for part in found.groups] == [
        ("1", 1, 1, 0.5),
        ("2", 1, 2, 0.25),
    ]
    assert (found.only_first, found.only_second, found.changed) == (["e"], ["d"], [])


def test_a_problem_in_other_words_is_another(tmp_path: Path) -> None:
    first = read(evaluated(tmp_path / "one", {"a": ["right"], "b": ["right"]}))
    other = [problem("a"), problem("c")]
    other[1] = type(other[1])("b", other[1].messages)
    second = read(evaluated(tmp_path / "two", {"a": ["right"], "b": ["right"]}, problems=other))
    found = compare(first, second)
    assert found.changed == ["b"] and found.whole[0].problems == 1


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    first = read(evaluated(tmp_path / "one", {"a": ["right"]}))
    second = read(evaluated(tmp_path / "two", {"b": ["right"]}))
    with pytest.raises(UsageError, match="share no problem"):
        compare(first, second)
