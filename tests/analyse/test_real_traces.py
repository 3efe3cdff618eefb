"""The two-sample test on traces of real models: it tells two of them apart, and halves of one no more than chance."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from antiphon.analyse.apart import told_apart
from antiphon.analyse.drift import APART, drift
from antiphon.analyse.form import Form, form_of
from antiphon.analyse.source import choose, find
from antiphon.trace import Status


def forms(*paths: Path) -> list[Form]:
    sides = find(map(str, paths))
    return [form_of(text) for side in sides for text, _ in side.texts(choose(side, [Status.COMPLETE], 100))]


def test_r1_is_told_from_gpt_oss_on_the_same_problems(shared: Path) -> None:
    traces = shared / "traces"
    r1 = forms(traces / "reasoningflow_argkp_deepseek_r1.jsonl")
    gpt_oss = forms(traces / "reasoningflow_argkp_gpt_oss_120b.jsonl")
    made = drift(r1, gpt_oss)
    (apart,) = (one for one in made.distances if one.name == APART)
    assert made.paired and made.first >= 15
    assert apart.star and apart.value is not None and apart.value > 0.9


@pytest.mark.slow
def test_halves_of_one_model_are_told_apart_as_often_as_chance_lets_them(shared: Path) -> None:
    texts = forms(shared / "traces" / "misguided_qwq_32b.jsonl")
    names = sorted({form.problem for form in texts})
    ps = []
    for split in range(40):
        half = set(random.Random(split).sample(names, len(names) // 2))
        sides = [[form for form in texts if (form.problem in half) is first] for first in (True, False)]
        made = told_apart(*sides, paired=False)
        assert made is not None
        ps.append(made.p)
    assert sum(p < 0.05 for p in ps) <= 5
