"""Likelihoods that were measured before, read without the model."""

from __future__ import annotations

import asyncio
from pathlib import Path

from antiphon.analyse.scores import Kept
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.text import Stretch, Text
from tests.analyse.runs import ANSWER, STUDENT, STYLE, Scoring, model_of


def text(said: str) -> Text:
    stretches = (Stretch(STUDENT, STYLE, f"Okay, {said}. "), Stretch(STUDENT, ANSWER, said))
    return Text(said, said, ({"role": "user", "content": said},), stretches)


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_what_was_scored_is_known_and_nothing_else(tmp_path: Path) -> None:
    async def work() -> None:
        scorer = Scorer(await model_of(Scoring()), tmp_path)
        scored = await scorer.score([text("one"), text("two")])
        kept = Kept(file_in(tmp_path))
        await kept.require()
        assert kept.name == scorer.name
        again = await kept.score([text("two"), text("three"), text("one")])
        assert again[0] == scored[1] and again[2] == scored[0] and not again[1].cells
        assert kept.texts == 2 and kept.unscored == ["three: antiphon compare --under has not read it yet"]

    asyncio.run(work())


def test_where_nothing_is_known_nothing_is_missed(tmp_path: Path) -> None:
    async def work() -> None:
        await Scorer(await model_of(Scoring()), tmp_path).score([text("one")])
        kept = Kept(file_in(tmp_path))
        assert not (await kept.score([text("two")]))[0].cells and kept.unscored == []

    asyncio.run(work())
