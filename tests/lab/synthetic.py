"""Made-up results of an experiment: students whose chances of being right are known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.lab.results import BASE, ArmData, Drift, DriftFigure, Evaluation, Results, Training

POINTS = (40, 80, 150, 300)
FAMILIES = {"multiplication": 80, "addition": 20, "sorting": 20}
TARGET = "multiplication"

Curve = Sequence[float]
"""The chances of a right answer at the points."""

CURVES: Mapping[tuple[str, float], Mapping[str, Curve]] = {
    ("teacher_only", 1e-4): {TARGET: (0.05, 0.3, 0.7, 0.95), "addition": (0.3,) * 4, "sorting": (0.9,) * 4},
    ("tessy", 1e-4): {TARGET: (0.9, 0.95, 0.95, 0.97), "addition": (0.95,) * 4, "sorting": (0.95,) * 4},
    ("student_only", 1e-4): {TARGET: (0.55,) * 4, "addition": (0.95,) * 4, "sorting": (0.95,) * 4},
    ("teacher_only", 3e-5): {TARGET: (0.5, 0.3, 0.1, 0.2), "addition": (0.9,) * 4, "sorting": (0.9,) * 4},
}


def config(**more: Any) -> dict[str, Any]:
    """The settings that a report reads."""
    training = {"rate": 1e-4, "side_rates": [3e-5], "side_arms": ["teacher_only"], "points": list(POINTS)}
    return {
        "training": {**training, **more.pop("training", {})},
        "problems": {"evaluation": {}},
        "synthesis": {"boundary": {"student": "lab"}},
        "arms": [BASE, "teacher_only", "tessy", "student_only"],
        "seeds": [0, 1, 2, 3, 4],
        **more,
    }


def results(
    curves: Mapping[tuple[str, float], Mapping[str, Curve]] = CURVES,
    *,
    base: Mapping[str, float] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    families: Mapping[str, int] = FAMILIES,
    data: Sequence[ArmData] = (),
    drift: Sequence[Drift] = (),
    name: str = "made up",
    **more: Any,
) -> Results:
    """Results of students that are right with these chances, each problem harder or easier than another by the same
    luck for all."""
    chances = base or {TARGET: 0.55, "addition": 0.95, "sorting": 0.95}
    rng = random.Random(name)
    hard = {family: [rng.uniform(-0.05, 0.05) for _ in range(number)] for family, number in families.items()}

    def evaluation(arm: str, rate: float | None, seed: int, step: int, family: str, chance: float) -> Evaluation:
        drawn = random.Random(f"{name} {arm} {rate} {seed} {step} {family}")
        right = tuple(drawn.random() < chance + luck * (0 < chance < 1) for luck in hard[family])
        ids = tuple(f"{family}-{number}" for number in range(len(right)))
        return Evaluation(arm, rate, seed, step, family, ids, right, {"complete": len(right)}, 50.0)

    found = [evaluation(BASE, None, 0, 0, family, chances[family]) for family in families]
    for (arm, rate), of_family in curves.items():
        for seed in seeds:
            found += [
                evaluation(arm, rate, seed, step, family, chance)
                for family in families
                for step, chance in zip(POINTS, of_family[family], strict=True)
            ]
    trainings = tuple(Training(arm, rate, seed, "", "", 30.0) for arm, rate in curves for seed in seeds)
    environment = {"antiphon": "1.0", "python": "3.12"}
    arms = {"arms": [BASE, *dict.fromkeys(arm for arm, _ in curves)], "seeds": list(seeds), **more}
    told = config(**arms)
    return Results(name, told, tuple(found), tuple(data), trainings, tuple(drift), environment, 3600.0, {"train": 60.0})


def arm_data(arm: str, seed: int = 0, *, style: float = 1.0, **more: Any) -> ArmData:
    """An arm's data, whose style costs the base so much."""
    likelihood = {
        "whole": style + 0.2,
        "style": 4 * style,
        "capability": 0.1,
        "answer": 0.1,
        "style part": style,
        "capability part": 0.05,
    }
    told = {
        "method": arm,
        "traces": 500,
        "statuses": {"complete": 490, "repetition": 10},
        "right": 441,
        "rows": 490,
        "excluded": {"repetition": 10},
        "tokens_trained": 20_000,
        "thinking": 40.0,
        "answer": 8.0,
        "shares": {"student style": 0.4, "teacher capability": 0.6},
        "likelihood": likelihood,
        "right_rows": 441,
    }
    return ArmData(arm, seed, **{**told, **more})


def drifted(arm: str, rate: float = 1e-4, seed: int = 0, value: float = 0.2) -> Drift:
    """How far an arm's student went from the base."""
    told = {"style words": DriftFigure(value, value - 0.1, value + 0.1, 0.01, 0.001), "told apart": DriftFigure(None)}
    return Drift(arm, rate, seed, TARGET, 80, told)
