"""Clean data: what evaluation sets, near-duplicates and a balance leave out, and that it is told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.dialect import Message
from antiphon.errors import ProblemError, UsageError
from antiphon.export.base import Filter, Pair
from antiphon.export.clean import Balance, NearDuplicates, Without, listed
from antiphon.export.clean.overlap import Index
from antiphon.export.clean.words import NUMBER, reworded, runs, words
from antiphon.problem import Problem
from antiphon.store import Outcome
from antiphon.trace import Key, Status
from tests.cli.conftest import write_lines

ITEM = (
    "A farmer has 17 sheep and 25 goats in a meadow by the river. Each sheep eats 3 kilos of grass a day, each goat"
    " half as much. How many days will 1,200 kilos of grass last for all the animals together?"
)
OTHER = (
    "A baker sells 40 loaves in the morning and twice as many in the afternoon. Each loaf costs 3 dollars. How many"
    " dollars does the baker take in on one day if 5 loaves are given away?"
)


def asked(id: str, text: str, **metadata: object) -> Problem:
    return Problem(id, (Message(role="system", content=ITEM), Message(role="user", content=text)), metadata)


def pair(problem: Problem, response: str = "42", sample: int = 0, change: int = 1) -> Pair:
    return problem, Outcome(Key(problem.id, "v", sample), Status.COMPLETE, response, change)


def kept(one: Filter, pairs: Sequence[Pair]) -> list[str]:
    one.prepare(iter(pairs))
    return [problem.id for problem, outcome in pairs if one.reason(problem, outcome) is None]


@pytest.fixture
def evaluation(tmp_path) -> Without:  # type: ignore[no-untyped-def]
    solution = "Count what all of them eat on one day, " * 3 + "then divide the grass by that sum and round down."
    return Without([write_lines(tmp_path / "eval.jsonl", [{"id": "e1", "problem": ITEM, "solution": solution}])])


NEAR = {
    "case": ITEM.upper(),
    "punctuation": ITEM.replace(".", ";").replace(",", " "),
    "numbers": ITEM.replace("17", "seventeen").replace("25", "one hundred and five").replace("1,200", "900"),
    "added": f"Solve this puzzle. {ITEM} Think step by step and box the answer.",
    "within": ITEM.replace("meadow", "meadow (picture it before you go on, please)"),
    "reworded": ITEM.replace("farmer", "peasant").replace("kilos", "kilograms"),
}


@pytest.mark.parametrize("how", NEAR)
def test_a_near_copy_is_found(evaluation: Without, how: str) -> None:
    assert kept(evaluation, [pair(asked("a", OTHER)), pair(asked("b", NEAR[how]))]) == ["a"]


def test_an_item_of_common_words_and_numbers_is_found_word_for_word(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one = Without([write_lines(tmp_path / "eval.jsonl", [{"problem": "What is $2^3 + 14$?"}, {"problem": "1+1"}])])
    texts = {"a": "Solve this: WHAT IS 2 ^ 3 + 14? Show your work.", "b": "What is 2 + 3?", "c": "What is 1+1?"}
    assert kept(one, [pair(asked(id, text)) for id, text in texts.items()]) == ["b", "c"]
    assert one.report()["too_short"] == 1


def test_an_item_in_a_response_is_found(evaluation: Without) -> None:
    thought = "<think>\nHmm. The problem says: {}. So let me see.\n</think>\n\n42"
    solution = "count what all of them eat on one day, " * 3 + "THEN divide the grass by that sum and round down"
    pairs = [
        pair(asked("a", OTHER), thought.format(ITEM)),
        pair(asked("b", OTHER), thought.format(solution)),
        pair(asked("c", OTHER), thought.format(OTHER)),
    ]
    assert kept(evaluation, pairs) == ["c"]
    rows = list(listed(pairs, [evaluation]))
    assert [(row["problem"], row["id"], row["part"], row["where"]) for row in rows] == [
        ("a", "e1", "problem", "response"),
        ("b", "e1", "solution", "response"),
    ]
    assert {row["reason"] for row in rows} == {"in eval.jsonl"}


def test_what_was_written_meanwhile_is_looked_at_too(evaluation: Without) -> None:
    evaluation.prepare(iter([pair(asked("a", OTHER), change=5)]))
    problem, outcome = pair(asked("b", ITEM), change=6)
    assert evaluation.reason(problem, outcome) == "in eval.jsonl"


def test_an_evaluation_set_is_taken_whole_or_not_at_all(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProblemError, match=r"eval\.jsonl:2: .*whole or not at all"):
        Without([write_lines(tmp_path / "eval.jsonl", [{"problem": ITEM}, {"text": "x"}])])


def test_numbers_are_one_however_they_are_written() -> None:
    spelled = reworded("Two hundred and five apples, 1,000.50 pears AND twenty-one figs: ｆｏｕｒ plums, 3 and 4.")
    figures = reworded("205 apples, 7 pears and 21 figs: 4 plums, 3 and 4.")
    assert spelled == figures
    assert NUMBER in figures
    assert words("漢字 and Straße") == ["漢", "字", "and", "strasse"]


@given(st.lists(st.sampled_from(["sheep", "goats", "grass", "#", "x", "of"]), max_size=12), st.integers(1, 4))
def test_equal_runs_have_equal_hashes(said: list[str], length: int) -> None:
    spelled = [tuple(said[at : at + length]) for at in range(len(said) - length + 1)]
    hashes = runs(said, length).tolist()
    assert len(hashes) == len(spelled)
    assert len(set(hashes)) == len(set(spelled))
    assert len(set(zip(hashes, spelled, strict=True))) == len(set(spelled))


_VOCABULARY = [f"{first}{second}" for first in "abcdefghijklmnopqrst" for second in "abcdefghijklmnopqrst"]


@given(st.randoms(use_true_random=False), st.integers(20, 60), st.integers(0, 40))
def test_the_share_is_that_of_the_words_in_common_runs(draw: random.Random, size: int, hidden: int) -> None:
    text = draw.sample(_VOCABULARY, size)
    index = Index(3)
    index.add(["some", "other", "text", "before"])
    index.add(text)
    shown = text[hidden:]
    found = index.best(["other", *shown, "words"])
    share = len(shown) / size if len(shown) >= 3 else 0.0
    assert (found is not None and found == (1, share)) if share >= 0.5 else found is None


def test_nothing_is_found_in_nothing() -> None:
    index = Index(3)
    assert index.best(["some", "words", "here"]) is None
    index = Index(3)
    index.add(["what", "is", "#"])
    index.add([])
    assert (index.unfit, index.best([]), index.best(["what", "is", "#"])) == (2, None, None)


def test_a_phrase_of_the_trade_finds_nothing() -> None:
    index = Index(3)
    phrase = ["write", "a", "python", "function", "that", "returns", "the", "sum"]
    for number in range(50):
        index.add([*phrase, f"first{number}", f"second{number}"])
    assert index.best(phrase) is None
    found = index.best([*phrase, "first7", "second7"])
    assert found is not None
    assert found.text == 7


def changed(text: str, count: int, draw: random.Random) -> str:
    said = text.split()
    for place in draw.sample(range(len(said)), count):
        said[place] = draw.choice(_VOCABULARY)
    return " ".join(said)


def alike(one: str, other: str) -> float:
    first, second = ({*zip(said, said[1:], said[2:], strict=False)} for said in (words(one), words(other)))
    return len(first & second) / len(first | second)


def test_of_near_duplicates_the_first_stays() -> None:
    draw = random.Random(3)
    texts = [" ".join(draw.sample(_VOCABULARY, 60)) for _ in range(30)]
    near = [changed(text, 2, draw) for text in texts]
    far = [changed(text, 25, draw) for text in texts]
    assert min(map(alike, texts, near)) > 0.75
    assert max(map(alike, texts, far)) < 0.45
    pairs = [
        pair(asked(f"{kind}{number}", text), sample=sample)
        for kind, several in (("a", texts), ("b", near), ("c", far))
        for number, text in enumerate(several)
        for sample in range(2)
    ]
    one = NearDuplicates(0.7)
    assert Counter(id[0] for id in kept(one, pairs)) == {"a": 60, "c": 60}
    row = next(listed(pairs, [one]))
    assert (row["problem"], row["twin"]) == ("b0", "a0")
    assert one.report() == {"near_duplicates": 0.7, "problems": 90, "removed": 30}


def test_equal_texts_are_duplicates_and_other_numbers_are_other_problems() -> None:
    pairs = [pair(asked(*both)) for both in (("a", ITEM), ("b", ITEM.upper()), ("c", "∫∑"), ("d", "∑∫"), ("e", "∫∑"))]
    assert kept(NearDuplicates(1.0), pairs) == ["a", "c", "d"]
    sums = [pair(Problem(f"{n}", (Message(role="user", content=f"What is {n} + {n + 7}?"),))) for n in range(20)]
    assert len(kept(NearDuplicates(0.8), sums)) == 20
    assert kept(NearDuplicates(0.8), []) == []


def test_a_chain_of_near_duplicates_loses_no_end() -> None:
    """Each is like the next; the first and the last are not alike, and one of every few stays."""
    draw = random.Random(1)
    texts = [" ".join(draw.sample(_VOCABULARY, 80))]
    for _ in range(9):
        texts.append(changed(texts[-1], 2, draw))
    pairs = [pair(asked(str(number), text)) for number, text in enumerate(texts)]
    stays = [texts[int(id)] for id in kept(NearDuplicates(0.8), pairs)]
    assert len(stays) >= 3
    assert max(alike(one, other) for one, other in pairwise(stays)) < 0.9


@pytest.mark.parametrize("threshold", [0.4, 1.1, float("nan")])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(UsageError, match="alike"):
        NearDuplicates(threshold)


def sources(*counts: int) -> list[Pair]:
    return [
        pair(asked(f"{value}-{number}", OTHER, source=f"s{value}"))
        for value, count in enumerate(counts)
        for number in range(count)
    ]


def test_as_many_of_each_as_the_rarest_has() -> None:
    pairs = sources(50, 7, 20)
    pairs += [pair(asked("none", OTHER))]
    one = Balance("source")
    stays = kept(one, pairs)
    assert Counter(id.partition("-")[0] for id in stays) == {"0": 7, "1": 7, "2": 7, "none": 1}
    assert kept(Balance("source"), pairs[::-1])[::-1] == stays  # whatever their order
    assert one.report() == {"balance": "source", "most": 7, "values": {"(none)": 1, "s0": 50, "s1": 7, "s2": 20}}
    assert next(listed(pairs, [one]))["source"] == "s0"


def test_at_most_so_many_of_each() -> None:
    assert Counter(id[0] for id in kept(Balance("source", 10), sources(50, 7, 20))) == {"0": 10, "1": 7, "2": 10}
    problems = [pair(asked(str(level), OTHER, level=level)) for level in (1, 2, 2.5, [1], True)]
    assert len(kept(Balance("level", 1), problems)) == 5


def test_a_field_that_nobody_has() -> None:
    with pytest.raises(UsageError, match="no problem of this run has that field"):
        Balance("level").prepare(iter(sources(1)))
    Balance("level").prepare(iter([]))


def test_pending_answers_are_not_listed() -> None:
    problem, outcome = pair(asked("a", ITEM))
    one = NearDuplicates(0.8)
    assert kept(one, [(problem, outcome), pair(asked("b", ITEM))]) == ["a"]
    assert list(listed([(asked("b", ITEM), replace(outcome, response=None))], [one])) == []
