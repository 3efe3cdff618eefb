"""What a report says follows from its tests, for each way in which these can come out."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.lab.arms import ARMS
from antiphon.lab.report.findings import GAPS, OTHERS, Contrast, Correlation, Findings, Gap
from antiphon.lab.report.measure import find
from antiphon.lab.report.telling import listed, rated
from antiphon.lab.report.words import answers, claim
from antiphon.lab.results import BASE, Results
from tests.lab.synthetic import CURVES, POINTS, TARGET, Curve, arm_data, results

HARM, GAIN, FORGETS, WRONG, LENGTH, STYLE, ELSE, BOUNDARIES, CEILING = range(9)
OUTCOMES = list(product((-1, 0, 1), repeat=4))
MEANS = {-1: -0.2, 0: 0.01, 1: 0.2}


def everything(without: str = "") -> Results:
    """All arms at the main rate, all alike, but one."""
    few = {TARGET: 12, "addition": 4, "sorting": 4}
    curve: dict[str, Curve] = {TARGET: (0.5,) * 4, "addition": (0.9,) * 4, "sorting": (0.9,) * 4}
    curves = {**{(arm, 1e-4): curve for arm in ARMS}, ("teacher_only", 3e-5): curve, ("tessy", 3e-5): curve}
    made = results(curves, families=few, seeds=(0, 1), data=[arm_data(arm) for arm in ARMS])
    return replace(made, evaluations=tuple(one for one in made.evaluations if one.arm != without))


@cache
def whole() -> Findings:
    return find(everything())


def come_out(one: Contrast, verdict: int) -> Contrast:
    """As if its test had come out so."""
    mean = MEANS[verdict]
    adjusted = 0.2 if verdict == 0 else 0.001
    seeds = dict.fromkeys(one.seeds, mean)
    return replace(one, mean=mean, low=mean - 0.05, high=mean + 0.05, p=adjusted / 9, adjusted=adjusted, seeds=seeds)


def with_primary(first: str, second: str, verdicts: tuple[int, ...]) -> Findings:
    """The differences of two arms at the four points."""
    wanted = dict(zip(POINTS, verdicts, strict=True))
    told = tuple(
        come_out(one, wanted[one.step]) if (one.first, one.second) == (first, second) and one.step else one
        for one in whole().primary
    )
    return replace(whole(), primary=told)


def said(found: Findings, question: int) -> str:
    return "\n".join(answers(found)[question].paragraphs)


@pytest.mark.parametrize("verdicts", OUTCOMES)
def test_whether_the_teachers_data_put_it_below_base(verdicts: tuple[int, ...]) -> None:
    found = with_primary("teacher_only", BASE, verdicts)
    text = said(found, HARM)
    below = [str(step) for step, verdict in zip(POINTS, verdicts, strict=True) if verdict < 0]
    first, good, *_ = claim(found)
    if below:
        assert text.startswith(f"Yes: at the main rate, 1e-4, teacher_only is below base after {listed(below)} steps.")
        assert first.verdict == "holds" and listed(below) in first.figures
    else:
        assert text.startswith("Not by more than chance") and "Yes" not in text
        assert first.verdict == "fails"
    end = {
        -1: "worse for good, as far as 300 steps go",
        0: "worse for good is not shown",
        1: "it is not worse for good",
    }
    assert end[verdicts[-1]] in text
    assert all(other not in text for verdict, other in end.items() if verdict != verdicts[-1])
    assert good.verdict == {-1: "holds", 0: "not shown", 1: "contradicted"}[verdicts[-1]]
    early = [str(step) for step, verdict in zip(POINTS[:-1], verdicts, strict=False) if verdict > 0]
    assert (f"Before the end it is above base after {listed(early)} steps." in text) if early else "Before" not in text


def test_below_a_base_that_has_nothing_right_there_is_nothing() -> None:
    found = with_primary("teacher_only", BASE, (0, 1, 0, 0))
    floored = replace(found, dips=tuple(replace(one, base=0.0) for one in found.dips))
    assert claim(found)[0].verdict == "fails"
    assert claim(floored)[0].verdict == "not to be told"


@pytest.mark.parametrize("verdicts", OUTCOMES)
def test_whether_data_in_turns_make_it_better(verdicts: tuple[int, ...]) -> None:
    found = with_primary("tessy", BASE, verdicts)
    text, (_, _, gain, _) = said(found, GAIN), claim(found)
    starts = {-1: "No, they make it worse", 0: "Not by more than chance", 1: "Yes: after 300 steps tessy is above base"}
    assert text.startswith(starts[verdicts[-1]])
    assert gain.verdict == {-1: "contradicted", 0: "not shown", 1: "holds"}[verdicts[-1]]
    assert ("It is below base at no point" in text) == (-1 not in verdicts)


@pytest.mark.parametrize("verdict", [-1, 0, 1])
def test_how_it_stands_to_the_teachers_own(verdict: int) -> None:
    found = with_primary("tessy", "teacher_only", (1, -1, 0, verdict))
    text, part = said(found, GAIN), claim(found)[3]
    assert {-1: "behind after 80 and 300", 0: "not told apart after 150 and 300", 1: "ahead after 40 and 300"}[
        verdict
    ] in text
    assert part.verdict == {-1: "contradicted", 0: "not shown", 1: "holds"}[verdict]


@pytest.mark.parametrize("verdict", [-1, 0, 1])
def test_side_rates_are_told_and_decide_nothing(verdict: int) -> None:
    found = replace(whole(), side=tuple(come_out(one, verdict) for one in whole().side))
    word = {-1: "below base", 0: "not told from base", 1: "above base"}[verdict]
    for question, arm in ((HARM, "teacher_only"), (GAIN, "tessy")):
        assert f"At the rate 3e-5, which decides nothing, {arm} is {word} after 40, 80, 150 and 300" in said(
            found, question
        )
    assert claim(found) == claim(whole())


@pytest.mark.parametrize("verdict", [-1, 0, 1])
def test_who_forgets_what(verdict: int) -> None:
    found = replace(
        whole(),
        forgetting=tuple(come_out(one, verdict) for one in whole().forgetting),
        by_family=tuple(come_out(one, verdict if one.of == "sorting" else 0) for one in whole().by_family),
    )
    text = said(found, FORGETS)
    word = {-1: "forgets", 0: "cannot be said to forget", 1: "gains"}[verdict]
    families = {
        -1: "loses sorting (-20.0",
        0: "no family is lost by more than chance.",
        1: "no family is lost by more than chance; gains sorting (+20.0",
    }
    for arm in ("teacher_only", "tessy", "student_only"):
        assert f"{arm} {word}: on all of them together" in text
    assert families[verdict] in text
    assert f"Of the other arms, {word.removesuffix('s')}: teacher_think (" in text
    assert f"At the rate 3e-5, teacher_only {word}" in text
    kept = {-1: "keeps less", 0: "cannot be told apart", 1: "keeps more"}[verdict]
    assert f"Held against student_only, tessy {kept} at 1e-4" in text


ASKED = {
    "wrong traces": WRONG,
    "length": LENGTH,
    "the loss on style": STYLE,
    "the teacher's answers": ELSE,
    "the lack of replay": ELSE,
}


def explained(by: str, whole_gap: int, gone: int, left: int, bounds: tuple[float | None, float | None]) -> str:
    assert whole().gap is not None and set(ASKED) == set(GAPS)

    def changed(gap: Gap) -> Gap:
        low, high = bounds
        outcome = come_out(gap.left, left), come_out(gap.gone, gone)
        return replace(gap, left=outcome[0], gone=outcome[1], share=0.6, low=low, high=high) if gap.by == by else gap

    gap = come_out(whole().gap, whole_gap)  # type: ignore[arg-type]
    return said(replace(whole(), gap=gap, gaps=tuple(map(changed, whole().gaps))), ASKED[by])


@pytest.mark.parametrize("by", GAPS)
def test_how_much_is_explained(by: str) -> None:
    assert "is explained so; the rest remains" in explained(by, 1, 1, 1, (0.4, 0.8))
    assert "60% of it (40% to 80%)" in explained(by, 1, 1, 1, (0.4, 0.8))
    assert "whether any of it remains cannot be told" in explained(by, 1, 1, 0, (0.4, 1.1))
    assert "the order is even reversed" in explained(by, 1, 1, -1, (1.1, 2.0))
    assert "(? to ?)" in explained(by, 1, 1, 1, (None, None))
    nothing = explained(by, 1, 0, 1, (-0.1, 0.15))
    assert (
        f"{by} may explain a part, at most 15% of the gap, or nothing" in nothing and "is explained so" not in nothing
    )
    assert "of which there is no bound" in explained(by, 1, 0, 1, (None, None))
    assert f"leaves {by} nothing to explain" in explained(by, 1, 0, 1, (-0.3, -0.1))
    hidden = explained(by, 1, -1, 1, (-0.5, -0.1))
    assert f"Without {by} the gap is larger" in hidden and "none of it is explained so" in hidden
    for verdict in (0, -1):
        text = explained(by, verdict, 1, 1, (0.4, 0.8))
        assert f"there is no gap that {by} could explain" in text and "explained so" not in text


@pytest.mark.parametrize(
    ("rho", "adjusted", "words"), [(0.9, 0.01, "deeper"), (-0.9, 0.01, "shallower"), (0.9, 0.2, "No")]
)
def test_whether_unlikely_style_goes_with_deep_dips(rho: float, adjusted: float, words: str) -> None:
    order = Correlation("style part", tuple(ARMS)[:10], rho, adjusted / 2, adjusted)
    text = said(replace(whole(), style=(order, replace(order, measure="answer"))), STYLE)
    assert words in text and f"{rho:+.2f}" in text and "answer, nats a token of it" in text
    assert ("No order can be told" in text) == (adjusted >= 0.05)


@pytest.mark.parametrize("verdict", [-1, 0, 1])
def test_boundaries_and_the_ceiling(verdict: int) -> None:
    found = replace(whole(), boundaries=tuple(come_out(one, verdict) for one in whole().boundaries))
    word = {-1: "does worse than", 0: "cannot be told from", 1: "does better than"}[verdict]
    for arm, where in product(
        ("random_boundaries", "swapped", "revoice"), ("in the mean of the curve", "after 300 steps")
    ):
        assert f"{arm} {word} tessy {where}" in said(found, BOUNDARIES)
    word = {-1: "stays below", 0: "cannot be told from", 1: "is above"}[verdict]
    assert f"tessy {word} by_rule after 300 steps" in said(found, CEILING)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_no_difference_is_claimed_that_no_test_bears_out(rng: random.Random) -> None:
    """Nothing told apart: no sentence says that something is more, less, lost or explained."""

    def none(contrasts: tuple[Contrast, ...]) -> tuple[Contrast, ...]:
        return tuple(replace(come_out(one, rng.choice((-1, 1))), adjusted=rng.uniform(0.05, 1)) for one in contrasts)

    few = ("primary", "side", "forgetting", "by_family", "boundaries", "every")
    found = replace(whole(), **{name: none(getattr(whole(), name)) for name in few})
    assert found.gap is not None
    found = replace(found, gap=none((found.gap,))[0], style=tuple(replace(one, adjusted=1.0) for one in found.style))
    text = "\n".join(paragraph for one in answers(found) for paragraph in one.paragraphs)
    claims = r"\b(Yes|No,|worse than|better than|forgets|gains|loses|explained so|stays below)\b"
    assert not re.findall(claims, text)
    assert [part.verdict for part in claim(found)] == ["fails", "not shown", "not shown", "not shown"]


def test_an_effect_that_is_there_is_found_and_one_that_is_not_is_not() -> None:
    """From answers to words, all the way."""
    found = find(results())
    assert [part.verdict for part in claim(found)][:3] == ["holds", "contradicted", "holds"]
    assert "teacher_only forgets" in said(found, FORGETS) and "tessy forgets" not in said(found, FORGETS)
    alike: dict[str, Curve] = {TARGET: (0.55,) * 4, "addition": (0.95,) * 4, "sorting": (0.95,) * 4}
    nothing = find(results(dict.fromkeys(CURVES, alike), name="nothing"))
    assert [part.verdict for part in claim(nothing)] == ["fails", "not shown", "not shown", "not shown"]
    assert said(nothing, WRONG).endswith("not evaluated yet.")


@pytest.mark.parametrize("name", ["teacher_only", "tessy", "by_rule", "random_boundaries", "tessy_level", BASE])
def test_an_arm_that_is_missing_is_named_where_it_is_needed(name: str) -> None:
    found = find(everything(without=name))
    text = "\n".join(paragraph for one in answers(found) for paragraph in one.paragraphs)
    assert len(answers(found)) == 9 and all(one.paragraphs for one in answers(found))
    assert any(name in line or name.title() in line or f"The {name}" in line for line in found.missing)
    assert "not evaluated" in text
    assert all(one.of != OTHERS or one.problems == 8 for one in found.forgetting)


def test_rates_are_written_as_recipes_write_them() -> None:
    assert [rated(rate) for rate in (1e-4, 3e-5, 5e-4, 2.5e-5, 1.0)] == ["1e-4", "3e-5", "5e-4", "2.5e-5", "1e0"]
