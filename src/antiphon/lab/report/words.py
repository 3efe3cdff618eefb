"""What the figures say, in plain words: a claim only where a test holds, else what remains possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from antiphon.lab.report.explain import length, other_reasons, style, wrong_traces
from antiphon.lab.report.findings import (
    BOUNDARIES,
    CEILING,
    STUDENT,
    TEACHER,
    TESSY,
    Contrast,
    Findings,
)
from antiphon.lab.report.telling import between, brief, listed, points, rated, share, told, where
from antiphon.lab.results import BASE

_FORGETS = {-1: "forgets", 0: "cannot be said to forget", 1: "gains"}
_KEEPS = {-1: "keeps less", 0: "cannot be told apart", 1: "keeps more"}
_MAIN = (TEACHER, TESSY, STUDENT)


class Part(NamedTuple):
    """A part of the claim: what came of it, and by which figures."""

    name: str
    verdict: str
    figures: str


class Answer(NamedTuple):
    """A question and what is said to it, a paragraph each."""

    question: str
    paragraphs: tuple[str, ...]


def claim(found: Findings) -> list[Part]:
    """The four parts of the claim, as docs/lab.md fixed when each of them holds."""
    first = _tests(found.primary, TEACHER, BASE)
    below = [one for one in first if one.verdict < 0]
    if not first:
        parts = [Part("worse at first", "not run", "")]
    elif below:
        parts = [Part("worse at first", "holds", f"{TEACHER} is below base {_after(below)}")]
    elif (dip := found.dip(TEACHER, found.rate)) is not None and not dip.base:
        parts = [Part("worse at first", "not to be told", "base has nothing right, and below that is nothing")]
    else:
        parts = [Part("worse at first", "fails", f"{TEACHER} is below base after none of {_steps(first)}")]
    for name, pair, wanted in (
        ("worse for good", (TEACHER, BASE), -1),
        ("a gain", (TESSY, BASE), 1),
        ("better than the teacher's", (TESSY, TEACHER), 1),
    ):
        last = _last(found, _tests(found.primary, *pair))
        if last is None:
            parts.append(Part(name, "not run", ""))
        else:
            said = {wanted: "holds", 0: "not shown", -wanted: "contradicted"}[last.verdict]
            parts.append(Part(name, said, f"{_pair(last)} after {last.step} steps: {told(last)}"))
    return parts


def answers(found: Findings) -> list[Answer]:
    """The questions of the experiment, each with its answer."""
    asked: list[tuple[str, Callable[[Findings], Iterator[str]]]] = [
        ("Do the teacher's own data put the student below base, and when?", _harm),
        ("Do data in turns make it better?", _gain),
        ("Who forgets what?", _forgetting),
        ("How much do wrong traces explain?", wrong_traces),
        ("How much does length explain?", length),
        ("How much does style explain?", style),
        ("What else explains the gap?", other_reasons),
        ("Do other boundaries do as well?", _boundaries),
        ("How near is the ceiling?", _ceiling),
    ]
    return [Answer(question, tuple(answer(found))) for question, answer in asked]


def _harm(found: Findings) -> Iterator[str]:
    tests = _tests(found.primary, TEACHER, BASE)
    if not tests:
        yield _not_run(f"{TEACHER} or {BASE}")
        return
    below = [one for one in tests if one.verdict < 0]
    dip = found.dip(TEACHER, found.rate)
    if below:
        yield f"Yes: at the main rate, {rated(found.rate)}, {TEACHER} is below base {_after(below)}."
    else:
        yield (
            f"Not by more than chance: at the main rate, {rated(found.rate)}, {TEACHER} is below base after none of"
            f" {_steps(tests)}."
        )
    if dip is not None:
        bounds = f"{between(dip.low, dip.high)}, whichever point is the lowest"
        yield (
            f"Its lowest point is after {dip.step} steps: {share(dip.value)} are right, {share(dip.base)} at base, a"
            f" difference of {points(dip.mean)} points ({bounds})."
        )
    yield from _rest(tests, found.points[-1])
    last = _last(found, tests)
    if last is not None:
        yield {
            -1: f"At the end it is still below base, {told(last)}: worse for good, as far as {last.step} steps go.",
            0: f"At the end it cannot be told from base, {told(last)}: that it is worse for good is not shown.",
            1: f"At the end it is above base, {told(last)}: it is not worse for good.",
        }[last.verdict]
    yield from _side(found, TEACHER)


def _gain(found: Findings) -> Iterator[str]:
    tests = _tests(found.primary, TESSY, BASE)
    last = _last(found, tests)
    if last is None:
        yield _not_run(f"{TESSY} or {BASE}")
        return
    yield {
        -1: f"No, they make it worse: after {last.step} steps {TESSY} is below base, {told(last)}.",
        0: f"Not by more than chance: after {last.step} steps {TESSY} cannot be told from base, {told(last)}.",
        1: f"Yes: after {last.step} steps {TESSY} is above base, {told(last)}.",
    }[last.verdict]
    yield from _rest(tests, found.points[-1])
    below = [one for one in tests if one.verdict < 0]
    yield f"It is below base {_after(below)}." if below else "It is below base at no point, as far as can be told."
    yield from _against(found, _tests(found.primary, TESSY, TEACHER))
    yield from _side(found, TESSY)
    for one in _tests(found.every, STUDENT, BASE):
        if one.step is not None:
            yield f"{STUDENT}, for comparison, {_verb(one)} base after {one.step} steps: {told(one)}."


def _against(found: Findings, tests: Sequence[Contrast]) -> Iterator[str]:
    """How it stands to the teacher's own data."""
    last = _last(found, tests)
    if last is None:
        return
    parts = [
        f"{word} {_after(some)}"
        for verdict, word in ((1, "ahead"), (-1, "behind"), (0, "not told apart"))
        if (some := [one for one in tests if one.verdict == verdict])
    ]
    yield f"Held against {TEACHER}, it is {'; '.join(parts)}. At the end: {told(last)}."


def _rest(tests: Sequence[Contrast], last: int) -> Iterator[str]:
    """What there is to say of points before the last that are not below base."""
    before = [one for one in tests if one.step != last]
    above, level = ([one for one in before if one.verdict == verdict] for verdict in (1, 0))
    if above:
        yield f"Before the end it is above base {_after(above)}."
    if level:
        each = "; ".join(f"{one.step}: {told(one)}" for one in level)
        yield f"No difference from base can be told {_after(level)} ({each})."


def _side(found: Findings, arm: str) -> Iterator[str]:
    for rate in found.rates[1:]:
        tests = [one for one in found.side if (one.first, one.rate) == (arm, rate)]
        if not tests:
            continue
        parts = [
            f"{word} base {_after(some)}"
            for verdict, word in ((-1, "below"), (1, "above"), (0, "not told from"))
            if (some := [one for one in tests if one.verdict == verdict])
        ]
        last = told(tests[-1])
        yield f"At the rate {rated(rate)}, which decides nothing, {arm} is {'; '.join(parts)}. The last: {last}."


def _forgetting(found: Findings) -> Iterator[str]:
    main = [one for one in found.forgetting if one.rate == found.rate and one.second == BASE]
    if not main:
        yield "Other families are not evaluated, or the base or all arms are missing: no answer."
        return
    for arm in _MAIN:
        for one in _tests(main, arm, BASE):
            families = _tests(found.by_family, arm, BASE)
            lost, won = ([f"{one.of} ({brief(one)})" for one in families if one.verdict == sign] for sign in (-1, 1))
            parts = [f"loses {listed(lost)}" if lost else "no family is lost by more than chance"]
            parts += [f"gains {listed(won)}"] if won else []
            yield f"{arm} {_FORGETS[one.verdict]}: on all of them together {told(one)}; {'; '.join(parts)}."
    for verdict, said in ((-1, "forget"), (0, "cannot be said to forget"), (1, "gain")):
        some = [f"{one.first} ({brief(one)})" for one in main if one.verdict == verdict and one.first not in _MAIN]
        if some:
            yield f"Of the other arms, {said}: {listed(some)}."
    for rate in found.rates[1:]:
        beside = [one for one in found.forgetting if one.rate == rate and one.second == BASE]
        if beside:
            each = listed([f"{one.first} {_FORGETS[one.verdict]} ({brief(one)})" for one in beside])
            yield f"At the rate {rated(rate)}, {each}."
    for other in (TEACHER, STUDENT):
        tests = _tests(found.forgetting, TESSY, other)
        if tests:
            each = listed([f"{_KEEPS[one.verdict]} at {rated(one.rate)} ({brief(one)})" for one in tests])
            yield f"Held against {other}, {TESSY} {each}."


def _boundaries(found: Findings) -> Iterator[str]:
    for arm in BOUNDARIES:
        tests = _tests(found.boundaries, arm, TESSY)
        if not tests:
            yield _not_run(f"{arm} or {TESSY}")
        for one in tests:
            yield {
                -1: f"{arm} does worse than {TESSY} {where(one)}: {told(one)}.",
                0: f"{arm} cannot be told from {TESSY} {where(one)}: {told(one)} is what remains possible.",
                1: f"{arm} does better than {TESSY} {where(one)}: {told(one)}.",
            }[one.verdict]


def _ceiling(found: Findings) -> Iterator[str]:
    tests = _tests(found.boundaries, TESSY, CEILING)
    if not tests:
        yield _not_run(f"{CEILING} or {TESSY}")
    for one in tests:
        yield {
            -1: f"{TESSY} stays below {CEILING} {where(one)}: {told(one)}.",
            0: f"{TESSY} cannot be told from {CEILING} {where(one)}: {told(one)} is what remains possible.",
            1: f"{TESSY} is above {CEILING} {where(one)}, which is no ceiling then: {told(one)}.",
        }[one.verdict]


def _tests(contrasts: Sequence[Contrast], first: str, second: str) -> list[Contrast]:
    return [one for one in contrasts if (one.first, one.second) == (first, second)]


def _last(found: Findings, tests: Sequence[Contrast]) -> Contrast | None:
    return next((one for one in tests if one.step == found.points[-1]), None)


def _pair(one: Contrast) -> str:
    return f"{one.first} less {one.second}"


def _verb(one: Contrast) -> str:
    return {-1: "is below", 0: "cannot be told from", 1: "is above"}[one.verdict]


def _steps(tests: Sequence[Contrast]) -> str:
    return f"{listed([str(one.step) for one in tests])} steps"


def _after(tests: Sequence[Contrast]) -> str:
    return f"after {_steps(tests)}"


def _not_run(what: str) -> str:
    return f"{what} is not evaluated yet: no answer."
