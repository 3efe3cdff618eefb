"""Every figure of a report, as plain values: what stands in its JSON, and what its words and pictures are made of.

What is compared with what, and which tests are one family for Holm's correction, was fixed before the experiment was
run: docs/lab.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from antiphon.lab.results import BASE

TEACHER, TESSY, STUDENT = "teacher_only", "tessy", "student_only"
CEILING, CAPABILITY_LOSS = "by_rule", "teacher_only_capability"
OTHERS = "others"
"""All families but the target, together."""

WHO_WROTE = (
    *(TEACHER, TESSY, STUDENT, "teacher_think", "teacher_answer", "teacher_mix"),
    *("random_boundaries", "swapped", "revoice", CEILING),
)
"""The arms that differ in who wrote what, over which likelihood is held against the dip."""

GAPS = {
    "wrong traces": ("tessy_right", "teacher_only_right"),
    "length": ("tessy_level", "teacher_only_level"),
    "the loss on style": (TESSY, CAPABILITY_LOSS),
    "the teacher's answers": (TESSY, "teacher_think"),
    "the lack of replay": (TESSY, "teacher_only_replay"),
}
"""What may explain the gap between tessy and teacher_only, and the two arms whose gap is without it."""

BOUNDARIES = ("random_boundaries", "swapped", "revoice")
LIKELIHOODS = {
    "style part": "L_Sty (style, over all tokens)",
    "style": "style, nats a style token",
    "capability part": "L_Cap (capability, over all tokens)",
    "answer": "answer, nats a token of it",
    "whole": "whole response",
}
"""How likely data are under the base (`ArmData.likelihood`): what is held against the dip, the main one first."""

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Score:
    """The share of right answers of an arm's students at one point, on `of`: the target, another family, `OTHERS`.

    Attributes:
        rate: None for the base, whose step is 0.
        low, high: the 95% interval over seeds and problems.
        seeds: the share of each seed.
    """

    arm: str
    rate: float | None
    step: int
    of: str
    value: float
    low: float
    high: float
    seeds: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Contrast:
    """By how much an arm's students are ahead of another's.

    Attributes:
        step: the point; None: the mean of the curve.
        of: the family, or `OTHERS`.
        mean, low, high: the difference in shares of right answers, and its 95% interval over seeds and problems.
        p, adjusted: how often chance makes it as large; and after Holm's correction within its table.
        seeds: the difference of each seed.
        problems: how many.
    """

    first: str
    second: str
    rate: float
    step: int | None
    of: str
    mean: float
    low: float
    high: float
    p: float
    seeds: Mapping[int, float]
    problems: int
    adjusted: float = 1.0

    @property
    def verdict(self) -> int:
        """1 above, -1 below, 0 where no difference can be told."""
        return 0 if self.adjusted >= LEVEL else 1 if self.mean > 0 else -1


@dataclass(frozen=True, slots=True)
class Dip:
    """The lowest of an arm's points, and how it stands to the base: `mean` less it, with an interval that holds
    whichever point is the lowest."""

    arm: str
    rate: float
    step: int
    value: float
    base: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gap:
    """What is left of the gap between tessy and teacher_only, in the mean of the curve, where something that may
    explain it is the same for both.

    Attributes:
        by: what may explain it.
        left: the gap between the two arms without it.
        gone: the gap less that one.
        share: `gone` of the gap, and its 95% interval; None where there is no gap, a bound where there is none.
    """

    by: str
    left: Contrast
    gone: Contrast
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation of what the data cost the base in likelihood with the depth of the dip, over arms."""

    measure: str
    arms: tuple[str, ...]
    rho: float
    p: float
    adjusted: float = 1.0


@dataclass(frozen=True, slots=True)
class Data:
    """An arm's data, in the mean over seeds where not said otherwise.

    Attributes:
        seeds: how many.
        traces, rows, tokens: written, trained on, tokens of the rows that count in the loss.
        right: share of the complete traces that are right; `right_rows` of the rows.
        excluded: of all seeds together, by reason.
    """

    arm: str
    seeds: int
    traces: float
    rows: float
    tokens: float
    thinking: float
    answer: float
    right: float | None
    right_rows: float | None
    excluded: Mapping[str, int]
    shares: Mapping[str, float]
    likelihood: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Form:
    """How far the students of an arm write from the base, one figure: in the mean over seeds, the least, the most, and
    what chance alone comes to."""

    arm: str
    rate: float
    of: str
    figure: str
    mean: float
    least: float
    most: float
    chance: float | None
    seeds: int


@dataclass(frozen=True, slots=True)
class Findings:
    """All figures of an experiment.

    Attributes:
        problems: how many of each family, the target first.
        rate, rates, points, seeds, arms: see `antiphon.lab.report.tables.Answers`.
        primary: the twelve tests that decide (fewer where points or arms are missing).
        side: the main arms less base at the other rates.
        every: each arm less base on the target.
        forgetting: on the other families together at the last point.
        by_family: each arm less base on each of them.
        gap: tessy less teacher_only in the mean of the curve, and what explains it.
        boundaries: other boundaries less tessy, and tessy less the ceiling.
        missing: what is not there, a line each.
    """

    name: str
    target: str
    problems: Mapping[str, int]
    rate: float
    rates: tuple[float, ...]
    points: tuple[int, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    scores: tuple[Score, ...]
    primary: tuple[Contrast, ...]
    side: tuple[Contrast, ...]
    every: tuple[Contrast, ...]
    forgetting: tuple[Contrast, ...]
    by_family: tuple[Contrast, ...]
    gap: Contrast | None
    gaps: tuple[Gap, ...]
    boundaries: tuple[Contrast, ...]
    dips: tuple[Dip, ...]
    style: tuple[Correlation, ...]
    data: tuple[Data, ...]
    form: tuple[Form, ...]
    missing: tuple[str, ...]

    def score(self, arm: str, rate: float, step: int, of: str) -> Score | None:
        """One of the scores."""
        wanted = (BASE, None, 0, of) if arm == BASE else (arm, rate, step, of)
        return next((one for one in self.scores if (one.arm, one.rate, one.step, one.of) == wanted), None)

    def dip(self, arm: str, rate: float) -> Dip | None:
        """The dip of an arm."""
        return next((one for one in self.dips if (one.arm, one.rate) == (arm, rate)), None)
