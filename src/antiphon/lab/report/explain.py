"""What explains the gap between data in turns and the teacher's own, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.analyse.telling import chance
from antiphon.lab.report.findings import LEVEL, LIKELIHOODS, STUDENT, TEACHER, TESSY, Contrast, Data, Findings, Gap
from antiphon.lab.report.telling import listed, share, told

_MAIN_LIKELIHOOD = next(iter(LIKELIHOODS))


def wrong_traces(found: Findings) -> Iterator[str]:
    """What wrong traces explain, and how many there are."""
    yield from _right_rows(found)
    yield from _explained(found, "wrong traces")


def _right_rows(found: Findings) -> Iterator[str]:
    rows = [f"{share(one.right_rows)} of {one.arm}" for one in _data(found) if one.right_rows is not None]
    if rows:
        yield f"Right among the rows: {listed(rows)}."


def length(found: Findings) -> Iterator[str]:
    """What length explains, and how long rows are."""
    rows = [f"{one.thinking + one.answer:.1f} in {one.arm}" for one in _data(found)]
    if rows:
        yield f"Tokens of thinking and answer of a row, in the mean: {listed(rows)}."
    yield from _explained(found, "length")


def style(found: Findings) -> Iterator[str]:
    """Whether unlikely style goes with deep dips, and what is gone where style is not learned."""
    main = next((one for one in found.style if one.measure == _MAIN_LIKELIHOOD), None)
    if main is None:
        yield "Likelihood and dips of at least three arms are not there yet: their order cannot be compared."
    else:
        sign = "deeper" if main.rho > 0 else "shallower"
        several = (
            f"over {len(main.arms)} arms the rank correlation of L_Sty with the depth of the dip is {main.rho:+.2f}"
        )
        if main.adjusted < LEVEL:
            yield f"The less likely the style to the base, the {sign} the dip: {several} (p {chance(main.adjusted)})."
        else:
            yield f"No order can be told: {several} (p {chance(main.adjusted)})."
        beside = [
            f"{LIKELIHOODS[one.measure]} {one.rho:+.2f}{'*' if one.adjusted < LEVEL else ''}"
            for one in found.style
            if one is not main
        ]
        if beside:
            yield f"The same of {listed(beside)} (* more than chance). Arms were made, not drawn: it describes these."
    yield from _explained(found, "the loss on style")


def other_reasons(found: Findings) -> Iterator[str]:
    """What else there is an arm without."""
    yield from _explained(found, "the teacher's answers")
    yield from _explained(found, "the lack of replay")


def _explained(found: Findings, by: str) -> Iterator[str]:
    """How much of the gap between data in turns and the teacher's own something explains."""
    if found.gap is None:
        yield f"{TESSY} or {TEACHER} is not evaluated at all points yet: there is no gap that {by} could explain."
        return
    gap = next((one for one in found.gaps if one.by == by), None)
    if gap is None:
        yield f"What {by} may explain cannot be told: an arm that it needs is not evaluated yet."
        return
    pair = f"{gap.left.first} less {gap.left.second}"
    yield (
        f"In the mean of the curve {TESSY} less {TEACHER}, the gap, is {told(found.gap)}; without {by}, {pair}, it is"
        f" {told(gap.left)}."
    )
    yield _said_of(gap, by, found.gap)


def _said_of(gap: Gap, by: str, whole: Contrast) -> str:
    gone = told(gap.gone)
    if whole.verdict < 1:
        return f"{TESSY} is not ahead of {TEACHER} by more than chance, so there is no gap that {by} could explain."
    if gap.gone.verdict == 0:
        if gap.high is not None and round(gap.high, 2) <= 0:
            return f"No difference between the two can be told, {gone}; the interval leaves {by} nothing to explain."
        most = "of which there is no bound" if gap.high is None else f"at most {gap.high:.0%} of the gap"
        return f"No difference between the two can be told, {gone}: {by} may explain a part, {most}, or nothing."
    if gap.gone.verdict < 0:
        return f"Without {by} the gap is larger, {gone}: none of it is explained so, a part is hidden."
    value = "a part of it" if gap.share is None else f"{gap.share:.0%} of it"
    low, high = ("?" if bound is None else f"{bound:.0%}" for bound in (gap.low, gap.high))
    rest = {
        1: "the rest remains",
        0: "whether any of it remains cannot be told",
        -1: "without it the order is even reversed",
    }[gap.left.verdict]
    return f"Without {by} the gap is smaller by {gone}: {value} ({low} to {high}) is explained so; {rest}."


def _data(found: Findings) -> list[Data]:
    return [one for one in found.data if one.arm in (TEACHER, TESSY, STUDENT)]
