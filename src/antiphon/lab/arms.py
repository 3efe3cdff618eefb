"""The arms of the experiment: what students are trained on, each a line of a table (docs/lab.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from antiphon.errors import SettingsError
from antiphon.lab.results import BASE

BY_RULE, REPLAY = "by_rule", "replay"
"""Variants that no method names: right traces in the student's manner, written by rule; the student's own traces of
problems of the other families."""


@dataclass(frozen=True, slots=True)
class Writing:
    """A variant of the run directory: by which method its traces are written ("": by rule) and of which problems;
    `like` and `source` are the variants that the method goes by."""

    method: str
    like: str | None = None
    source: str | None = None
    problems: Literal["train", "replay"] = "train"


WRITINGS: Mapping[str, Writing] = {
    "student_only": Writing("student_only"),
    "teacher_only": Writing("teacher_only"),
    "tessy": Writing("tessy"),
    "teacher_think": Writing("teacher_think"),
    "teacher_answer": Writing("teacher_answer"),
    "teacher_mix": Writing("teacher_mix"),
    "random_boundaries": Writing("random_boundaries", like="tessy"),
    "swapped": Writing("swapped"),
    "revoice": Writing("revoice", source="teacher_only"),
    REPLAY: Writing("student_only", problems="replay"),
    BY_RULE: Writing(""),
}
"""All variants by name; what others go by comes first."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one student is trained on.

    Attributes:
        name: what it is called.
        says: in a few words.
        variant: whose traces.
        right_only: only those with the right answer.
        level_with: rows are left out until there are no more of any length than this variant has.
        loss: which tokens are learned (`antiphon.train.recipe.Loss`).
        added: a variant of which so many rows are added that they are `share` of all.
    """

    name: str
    says: str
    variant: str
    right_only: bool = False
    level_with: str | None = None
    loss: Literal["all", "capability"] = "all"
    added: str | None = None
    share: float = 0.25

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants that its rows or their choice depend on."""
        return tuple(name for name in (self.variant, self.level_with, self.added) if name)


ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("teacher_only", "the teacher alone", "teacher_only"),
        Arm("tessy", "both in turns", "tessy"),
        Arm("student_only", "the student alone", "student_only"),
        Arm("teacher_think", "the teacher thinks, the student answers", "teacher_think"),
        Arm("teacher_answer", "the student thinks, the teacher answers", "teacher_answer"),
        Arm("teacher_mix", "half by the teacher alone, half by the student alone", "teacher_mix"),
        Arm("random_boundaries", "in turns, but spans end at random", "random_boundaries"),
        Arm("swapped", "in turns, but the teacher writes the style", "swapped"),
        Arm("revoice", "the teacher's capability, its style rewritten by the student", "revoice"),
        Arm("teacher_only_right", "the teacher alone, right answers only", "teacher_only", right_only=True),
        Arm("tessy_right", "in turns, right answers only", "tessy", right_only=True),
        Arm(
            "teacher_only_level",
            "the teacher alone, rows as long as those of tessy_level",
            "teacher_only",
            level_with="tessy",
        ),
        Arm("tessy_level", "in turns, rows as long as those of teacher_only_level", "tessy", level_with="teacher_only"),
        Arm("teacher_only_capability", "the teacher alone, its style not learned", "teacher_only", loss="capability"),
        Arm("teacher_only_replay", "the teacher alone, a quarter the student's own", "teacher_only", added=REPLAY),
        Arm("by_rule", "right, in the student's manner, written by rule", BY_RULE),
    )
}
"""All arms but the base, which is no training."""

MAIN = ("teacher_only", "tessy", "student_only")
"""Those that are trained at the side rates too, and in a quick experiment."""


def arm(name: str) -> Arm:
    """The arm of this name.

    Raises:
        SettingsError: there is none; lists them.
    """
    try:
        return ARMS[name]
    except KeyError:
        raise SettingsError(f"there is no arm {name!r}; there are {', '.join((BASE, *ARMS))}") from None


def writings(arms: Iterable[str]) -> dict[str, Writing]:
    """The variants that these arms need, each after those that it goes by."""
    needed = {variant for name in arms for variant in arm(name).variants}
    while (
        more := {other for name in needed for other in (WRITINGS[name].like, WRITINGS[name].source) if other} - needed
    ):
        needed |= more
    return {name: writing for name, writing in WRITINGS.items() if name in needed}
