"""Several experiments beside each other, as when the same is done with other pairs of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.analyse.telling import chance
from antiphon.lab.arms import MAIN
from antiphon.lab.report.findings import LIKELIHOODS, OTHERS, Contrast, Findings
from antiphon.lab.report.measure import find
from antiphon.lab.report.page import table
from antiphon.lab.report.telling import between, points, rated, share, star
from antiphon.lab.report.words import claim
from antiphon.lab.results import BASE, Results

_NONE = "-"


def beside(several: Mapping[str, Results]) -> str:
    """A Markdown table with a column for each experiment, headed by its key: the base, what decides, the dips, the
    other families, the order of likelihood and dip, and what came of the claim. Each stands by itself, nothing is
    pooled; what one has not is "-"."""
    found = [find(results) for results in several.values()]
    rows: list[list[str]] = []

    def row(name: str, cells: Sequence[str | None]) -> None:
        if any(cells):
            rows.append([name, *(cell or _NONE for cell in cells)])

    row("seeds", [", ".join(map(str, one.seeds)) for one in found])
    row("main rate", [rated(one.rate) for one in found])
    for of in ("target", OTHERS):
        row(f"base, {of}", [_score(one, BASE, 0, of) for one in found])
    for arm in MAIN:
        row(f"{arm}, lowest point", [_lowest(one, arm) for one in found])
    for arm in MAIN:
        for of in ("target", OTHERS):
            row(f"{arm}, {of}, at the end", [_score(one, arm, one.points[-1], of) for one in found])
    pairs = dict.fromkeys((test.first, test.second, test.step) for one in found for test in one.primary)
    for first, second, step in pairs:
        row(f"{first} less {second}, {step} steps", [_test(one.primary, first, second, step, None) for one in found])
    for arm in MAIN:
        cells = [_test(one.forgetting, arm, BASE, one.points[-1], OTHERS) for one in found]
        row(f"{arm} less base, {OTHERS}, at the end", cells)
    row("L_Sty and dip, rank correlation", [_order(one) for one in found])
    for number, part in enumerate(claim(found[0]) if found else ()):
        row(f"the claim: {part.name}", [claim(one)[number].verdict for one in found])
    return "\n".join(table(("", *several), rows))


def _score(found: Findings, arm: str, step: int, of: str) -> str | None:
    one = found.score(arm, found.rate, step, found.target if of == "target" else of)
    return None if one is None else share(one.value)


def _lowest(found: Findings, arm: str) -> str | None:
    dip = found.dip(arm, found.rate)
    return (
        None if dip is None else f"{share(dip.value)} at {dip.step}, {points(dip.mean)} ({between(dip.low, dip.high)})"
    )


def _test(tests: Sequence[Contrast], first: str, second: str, step: int | None, of: str | None) -> str | None:
    for one in tests:
        if (one.first, one.second, one.step) == (first, second, step) and of in (None, one.of):
            return f"{points(one.mean)}{star(one)} ({between(one.low, one.high)})"
    return None


def _order(found: Findings) -> str | None:
    main = next(iter(LIKELIHOODS))
    told = [f"{one.rho:+.2f} (p {chance(one.adjusted)})" for one in found.style if one.measure == main]
    return told[0] if told else None
